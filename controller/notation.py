"""How single values of a job file are written. Every function takes outside data and raises BadInput."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from runner.environment import RESERVED_PREFIXES
from runner.errors import BadInput
from runner.model import Charge, Kind
from runner.retry import CHARGES
from runner.schema import as_text, text
from runner.secret_arn import FORMS, parse_secret_arn
from runner.wording import choices, shown

LETTERS = "letters, digits, {}, a letter or digit first"
JOB_NAME = text(100, "[A-Za-z0-9][A-Za-z0-9._-]*", LETTERS.format("'.', '_' and '-'"))
QUEUE_NAME = text(64, "[A-Za-z0-9][A-Za-z0-9_-]*", LETTERS.format("'_' and '-'"))
SIDECAR_NAME = text(32, "[a-z0-9][a-z0-9-]*", "small letters, digits and '-', a letter or digit first")
PATH = text(4096)
SELECTOR = text(256, r"[^\s/]+", "a job's id, a prefix of it, its name, or last; not a single task")
ROLE = text(
    2048,
    r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+",
    "a role's ARN: arn:aws:iam::111122223333:role/NAME",
)
IDEMPOTENCY_KEY = text(256, r"[\x20-\x7e]+", "printable ASCII characters")

_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
IMAGE = text(
    512,
    rf"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?|sha256:[0-9a-f]{12,64}",
    "an image reference like busybox, python:3.12-slim or registry.example.com/team/tool@sha256:…",
)

VARIABLE_ALLOWED = "letters, digits and '_', not a digit first"
VARIABLE = text(256, "[A-Za-z_][A-Za-z0-9_]*", VARIABLE_ALLOWED)
RULE_KINDS = tuple(str(kind) for kind in Kind if CHARGES.get(kind) is Charge.USER)
EXIT_CODES = re.compile(r"([0-9]{1,3})(?:-([0-9]{1,3}))?")
FACTOR = re.compile(r"x([0-9]{1,3}(?:\.[0-9]{1,3})?)")
RESERVED_TARGETS = ("/scratch", "/runner", "/proc", "/sys")


def variable(value: object) -> str:
    name = VARIABLE(value)
    if name.startswith(RESERVED_PREFIXES):
        problem = f"reserved: names that begin with {' or '.join(RESERVED_PREFIXES)} are set for every task"
        raise BadInput(problem)
    return name


def secret_variable(value: object) -> str:
    """Never shown when it is wrong: people put the secret itself where its variable's name belongs."""
    try:
        return VARIABLE(value)
    except BadInput:
        problem = f"must be the name of a variable: {VARIABLE_ALLOWED}"
        raise BadInput(problem) from None


def secret_arn(value: object) -> str:
    """Never shown when it is wrong, either."""
    arn = as_text(value)
    if parse_secret_arn(arn) is None:
        problem = f"must be {FORMS}"
        raise BadInput(problem)
    return arn


def shell(value: object) -> object:
    """A command that is one text is a shell's."""
    return ["sh", "-c", value] if isinstance(value, str) and value else value


def count_only(value: object) -> object:
    return value if isinstance(value, Mapping) else {"count": value}


def indices_only(value: object) -> object:
    return value if isinstance(value, Mapping) else {"indices": value}


def one_or_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def exit_codes(value: object) -> tuple[tuple[int, int], ...]:
    """`3`, `10-20`, or a list of such, as inclusive pairs."""
    return tuple(_exit_code(entry) for entry in (value if isinstance(value, list) else [value]))


def _exit_code(value: object) -> tuple[int, int]:
    found = EXIT_CODES.fullmatch(as_text(value))
    if found:
        low, high = int(found[1]), int(found[2] or found[1])
        if 1 <= low <= high <= 255:
            return low, high
    problem = f"{shown(value)} is not a failure's exit code; allowed: 1 to 255, or ascending like 10-20"
    raise BadInput(problem)


def rule_kind(value: object) -> Kind:
    if not isinstance(value, str) or value not in RULE_KINDS:
        problem = f"unknown outcome {shown(value)}; {choices(str(value), RULE_KINDS)}"
        raise BadInput(problem)
    return Kind(value)


def memory_factor(value: object) -> float:
    """`x2`: the next attempt gets twice the memory."""
    found = FACTOR.fullmatch(value) if isinstance(value, str) else None
    if not found or not 1 <= float(found[1]) <= 64:
        problem = f"{shown(value)} is not a factor; allowed: x1 to x64, like x2 or x1.5"
        raise BadInput(problem)
    return float(found[1])


def mount(value: object) -> object:
    """`source:target`, `source:target:rw` or `:ro`, as a mapping."""
    if not isinstance(value, str):
        return value
    source, *rest = value.split(":")
    if len(rest) not in (1, 2) or rest[1:] not in ([], ["rw"], ["ro"]) or not source:
        problem = f"{shown(value)} is not a mount; allowed: SOURCE:TARGET[:rw], or a mapping"
        raise BadInput(problem)
    return {"source": source, "target": rest[0], "writable": rest[1:] == ["rw"]}


def mount_target(value: object) -> str:
    target = PATH(value)
    if not target.startswith("/") or ".." in target.split("/"):
        problem = f"{shown(target)} must be an absolute path, without '..'"
        raise BadInput(problem)
    plain = "/" + posixpath.normpath(target).strip("/")
    taken = next((own for own in RESERVED_TARGETS if plain == own or plain.startswith(f"{own}/")), None)
    if plain == "/" or taken:
        problem = f"{shown(target)} is not free; not allowed: /, and within {', '.join(RESERVED_TARGETS)}"
        raise BadInput(problem)
    return plain


def variable_flags(value: object) -> object:
    """A list of `NAME=VALUE` as a mapping. A value is never shown."""
    return dict(_assignment(entry, "NAME=VALUE") for entry in value) if isinstance(value, list) else value


def secret_flags(value: object) -> object:
    """A list of NAME=file:PATH, NAME=env:VARIABLE or NAME=ARN as a mapping. What follows a name is never shown."""
    return dict(_secret_flag(entry) for entry in value) if isinstance(value, list) else value


def _secret_flag(entry: object) -> tuple[str, dict[str, str]]:
    form = "NAME=file:PATH, NAME=env:VARIABLE or NAME=ARN"
    name, given = _assignment(entry, form)
    source, colon, reference = given.partition(":")
    if source == "arn":
        return name, {source: given}
    if not colon or source not in ("file", "env"):
        problem = f"must be written {form}"
        raise BadInput(problem)
    return name, {source: reference}


def _assignment(entry: object, form: str) -> tuple[str, str]:
    name, equals, value = entry.partition("=") if isinstance(entry, str) else ("", "", "")
    if not equals:
        problem = f"must be written {form}"
        raise BadInput(problem)
    return name, value
