"""What a job file may say: its keys, their bounds, what must hold between them. See `docs/jobfile.md`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field

from controller import notation
from runner.array import MAX_ARRAY, Array
from runner.arrays import parse_array, parse_indices
from runner.model import BACKENDS, Kind, Limits, Retry, Sidecar
from runner.schema import (
    Section,
    as_text,
    checked,
    duration,
    flag,
    number,
    one_of,
    shorthand,
    size,
    whole,
)
from runner.wording import Loc, shown

MAX_COMMAND = 30 * 1024
MAX_ENV = 30 * 1024
DAY = 86400.0

_LIMITS, _RETRY = Limits(), Retry()

Text = Annotated[str, checked(as_text)]
Path = Annotated[str, checked(notation.PATH)]
Image = Annotated[str, checked(notation.IMAGE)]
Flag = Annotated[bool, checked(flag)]
Memory = Annotated[int, checked(size(6 * 1024**2, 64 * 1024**4))]
Variable = Annotated[str, checked(notation.variable)]
Command = Annotated[list[Text], shorthand(notation.shell)]
Spans = Annotated[tuple[range, ...], checked(parse_indices)]


class ArraySection(Section):
    indices: Annotated[Array, checked(parse_array)] | None = None
    lines: Path | None = None
    items: list[object] | None = None
    items_file: Path | None = None
    only: Spans | None = None
    allow_duplicates: Flag = False

    def problems(self) -> Iterator[tuple[Loc, str]]:
        sources = ("indices", "lines", "items", "items_file")
        given = [source for source in sources if getattr(self, source) is not None]
        if len(given) != 1:
            yield (
                (),
                f"exactly one of {', '.join(sources)} must be given, not {' and '.join(given) or 'none'}",
            )


class RuleSection(Section):
    on: Annotated[list[Annotated[Kind, checked(notation.rule_kind)]], shorthand(notation.one_or_list)] = (
        Field(default_factory=list)
    )
    exit_code: Annotated[tuple[tuple[int, int], ...], checked(notation.exit_codes)] = ()
    then: Annotated[str, checked(one_of(("retry", "fail")))]
    memory: Annotated[float, checked(notation.memory_factor)] = 1.0

    def problems(self) -> Iterator[tuple[Loc, str]]:
        if not self.on and not self.exit_code:
            yield (), "a rule needs on (outcomes) or exit_code"
        if self.then == "fail" and self.memory != 1.0:
            yield ("memory",), "has no effect: there is no next attempt after fail"


class RetriesSection(Section):
    count: Annotated[int, checked(whole(0, 1000))] = _RETRY.retries
    infra: Annotated[int, checked(whole(0, 1000))] = _RETRY.infra_retries
    backoff: Annotated[float, checked(duration(0, DAY))] = _RETRY.backoff
    backoff_factor: Annotated[float, checked(number(1, 100))] = _RETRY.backoff_factor
    max_backoff: Annotated[float, checked(duration(0, 7 * DAY))] = _RETRY.max_backoff
    max_memory: Memory | None = _RETRY.max_memory
    rules: list[RuleSection] = Field(default_factory=list, max_length=100)

    def problems(self) -> Iterator[tuple[Loc, str]]:
        if "max_backoff" in self.model_fields_set and self.max_backoff < self.backoff:
            yield ("max_backoff",), "must not be less than backoff"
        for position, rule in enumerate(self.rules):
            yield from _within(("rules", position), rule)


class MountSection(Section):
    source: Path
    target: Annotated[str, checked(notation.mount_target)]
    writable: Flag = False


class SecretSection(Section):
    file: Path | None = None
    env: Annotated[str, checked(notation.secret_variable)] | None = None
    arn: Annotated[str, checked(notation.secret_arn)] | None = None

    def problems(self) -> Iterator[tuple[Loc, str]]:
        if sum(source is not None for source in (self.file, self.env, self.arn)) != 1:
            yield (), "exactly one of file (a path), env (a variable's name) and arn must be given"


class SidecarSection(Section):
    name: Annotated[str, checked(notation.SIDECAR_NAME)]
    image: Image
    command: Command = Field(default_factory=list)
    env: dict[Variable, Text] = Field(default_factory=dict)
    memory: Memory = Sidecar("", "").memory

    def problems(self) -> Iterator[tuple[Loc, str]]:
        yield from _too_large("command", self.command, MAX_COMMAND)
        yield from _too_large("env", _pairs(self.env), MAX_ENV)


class JobFile(Section):
    name: Annotated[str, checked(notation.JOB_NAME)]
    image: Image | None = None
    command: Command
    array: Annotated[ArraySection, shorthand(notation.indices_only)] | None = None
    env: dict[Variable, Text] = Field(default_factory=dict)
    vcpus: Annotated[float, checked(number(0.01, 1024))] = _LIMITS.vcpus
    memory: Memory = _LIMITS.memory
    timeout: Annotated[float, checked(duration(0.01, 365 * DAY))] | None = _LIMITS.timeout
    grace: Annotated[float, checked(duration(0, 3600))] = _LIMITS.grace
    pids: Annotated[int, checked(whole(1, 4_194_304))] = _LIMITS.pids
    queue: Annotated[str, checked(notation.QUEUE_NAME)] = "default"
    backend: Annotated[str, checked(one_of(BACKENDS))] | None = None
    after: list[Annotated[str, checked(notation.SELECTOR)]] = Field(default_factory=list, max_length=100)
    max_parallel: Annotated[int, checked(whole(1, MAX_ARRAY))] | None = None
    retries: Annotated[RetriesSection, shorthand(notation.count_only)] = RetriesSection()
    mounts: list[Annotated[MountSection, shorthand(notation.mount)]] = Field(
        default_factory=list, max_length=100
    )
    secrets: dict[Variable, SecretSection] = Field(default_factory=dict, max_length=100)
    sidecars: list[SidecarSection] = Field(default_factory=list, max_length=10)
    role: Annotated[str, checked(notation.ROLE)] | None = None
    idempotency_key: Annotated[str, checked(notation.IDEMPOTENCY_KEY)] | None = None

    def problems(self) -> Iterator[tuple[Loc, str]]:
        if not self.command or not self.command[0]:
            yield ("command",), "must name a program"
        yield from _too_large("command", self.command, MAX_COMMAND)
        yield from _too_large("env", _pairs(self.env), MAX_ENV)
        if self.array is not None:
            yield from _within(("array",), self.array)
        yield from _within(("retries",), self.retries)
        if self.retries.max_memory is not None and self.retries.max_memory < self.memory:
            yield ("retries", "max_memory"), "must not be less than memory"
        yield from _twice("after", self.after)
        yield from _twice("mounts", [mount.target for mount in self.mounts])
        yield from self._secret_problems()
        yield from self._sidecar_problems()

    def _secret_problems(self) -> Iterator[tuple[Loc, str]]:
        for name, secret in self.secrets.items():
            yield from _within(("secrets", name), secret)
            if name in self.env:
                yield ("secrets", name), "is in env too; a name can be only one of them"

    def _sidecar_problems(self) -> Iterator[tuple[Loc, str]]:
        if self.sidecars and self.image is None:
            yield ("sidecars",), "need a job with an image: without one nothing runs in containers"
        yield from _twice("sidecars", [sidecar.name for sidecar in self.sidecars])
        for position, sidecar in enumerate(self.sidecars):
            yield from _within(("sidecars", position), sidecar)


def _within(loc: Loc, section: Section) -> Iterator[tuple[Loc, str]]:
    for inner, problem in section.problems():
        yield (*loc, *inner), problem


def _too_large(key: str, texts: Iterable[str], most: int) -> Iterator[tuple[Loc, str]]:
    size = sum(len(text.encode()) + 1 for text in texts)
    if size > most:
        yield (key,), f"payload too large: {size:,} bytes; at most {most:,}"


def _pairs(env: dict[str, str]) -> Iterator[str]:
    return (f"{name}={value}" for name, value in env.items())


def _twice(key: str, names: list[str]) -> Iterator[tuple[Loc, str]]:
    counts = Counter(names)
    for position, name in enumerate(names):
        if counts[name] > 1 and name in names[:position]:
            yield (key, position), f"{shown(name)} stands twice"
