"""Which machines do no work and never will: whose agent never came, fell silent, or says that it can take none, or see
none to its end. Pure.

A machine is given up on the second look only, some time after the first. Time is measured by the controller's own
steady clock, from when it first saw the machine, or a report of its agent that was not there before: no wall clock has
to be right. By the end of the silence every lease it held has long run out, so nothing it might still run counts. If
new ones fail too, the next are given up ever later: another machine will not mend a broken image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from controller.model import EnvironmentCapacity
from runner.records import HostReport
from runner.units import format_duration

# Seconds between the two looks.
APART = 60.0
FIRST_BACKOFF = 300.0
LONGEST_BACKOFF = 1800.0
# In times of silence: what runs is not given up as long as its engine may come back.
RESTARTS = 2.0
# At a time, part of an environment: when most are silent, the fault is hardly theirs.
PART = 0.2


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds. `boot`: from a machine's launch to its agent's first report. `silence`: between two reports."""

    boot: float
    silence: float


@dataclass(frozen=True, slots=True)
class Setback:
    """Machines of one environment that were replaced in vain so far."""

    count: int
    last: float

    @property
    def again_at(self) -> float:
        return self.last + min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(self.count - 1, 10))


class NoSign(StrEnum):
    """What an agent's reports tell if not that it is at work, and why its machine is then given up."""

    NEVER = "its agent never reported"
    UNFIT = "its agent reports that it can take no tasks"
    HELPLESS = "its agent reports that no engine answers, and has tasks that it cannot see to their end"


Sign = float | NoSign
"""What an agent's last report said of the time. It need not be right: only that it changes counts."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One machine as it was seen so far. `sign`: of its agent's life; `changed_at`: since when it is that one;
    `doubted_at`: when it first seemed lost."""

    changed_at: float
    sign: Sign
    doubted_at: float | None = None

    @property
    def well(self) -> bool:
        return not isinstance(self.sign, NoSign) and self.doubted_at is None


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier looks left; a new controller begins with none, and only becomes more patient by it."""

    sights: Mapping[str, Sight] = field(default_factory=dict)
    setbacks: Mapping[str, Setback] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replacement:
    environment: str
    instance: str
    reason: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """`remarks`: by environment, what people should know of machines that do not come up."""

    replace: Sequence[Replacement]
    memory: Memory
    remarks: Mapping[str, str]


def judge(
    environments: Mapping[str, EnvironmentCapacity],
    hosts: Sequence[HostReport],
    memory: Memory,
    now: float,
    patience: Patience,
) -> Judgement:
    """`now` is a steady time, such as the event loop's."""
    signs = {host.host: _sign(host) for host in reversed(hosts)}
    sights: dict[str, Sight] = {}
    setbacks: dict[str, Setback] = {}
    replace: list[Replacement] = []
    for environment in environments.values():
        seen = {
            each.id: _seen(signs.get(each.id, NoSign.NEVER), memory.sights.get(each.id), now, patience)
            for each in environment.instances
            if each.in_service and not each.leaving
        }
        sights |= seen
        setback = memory.setbacks.get(environment.name)
        lost = list(_lost(environment, seen, now))
        if all(sight.well for sight in seen.values()) and seen:
            setback = None
        if lost and (setback is None or now >= setback.again_at):
            replace += lost
            setback = Setback(setback.count + 1 if setback else 1, now)
        if setback is not None:
            setbacks[environment.name] = setback
    return Judgement(replace, Memory(sights, setbacks), _remarks(setbacks, now))


def _sign(host: HostReport) -> Sign:
    """An unfit host may still finish what it has, if it has an engine to tell of its end."""
    if host.state != "unhealthy" or (host.tasks and host.engines):
        return host.seen_at
    return NoSign.HELPLESS if host.tasks else NoSign.UNFIT


def _seen(sign: Sign, before: Sight | None, now: float, patience: Patience) -> Sight:
    if before is None or sign != before.sign:
        return Sight(now, sign)
    allowed = _allowed(sign, patience)
    if before.doubted_at is not None or now - before.changed_at <= allowed:
        return before
    return Sight(before.changed_at, sign, now)


def _allowed(sign: Sign, patience: Patience) -> float:
    if sign is NoSign.NEVER:
        return patience.boot
    return RESTARTS * patience.silence if sign is NoSign.HELPLESS else patience.silence


def _lost(environment: EnvironmentCapacity, seen: Mapping[str, Sight], now: float) -> Iterator[Replacement]:
    """Those that seemed lost before and still do, the longest lost first, as many as may go at a time."""
    doubted = [
        (sight.changed_at, name, sight)
        for name, sight in seen.items()
        if sight.doubted_at is not None and now - sight.doubted_at >= APART
    ]
    for _, name, sight in sorted(doubted)[: max(1, int(PART * len(seen)))]:
        for_so_long = format_duration(round(now - sight.changed_at))
        what = sight.sign if isinstance(sight.sign, NoSign) else "its agent fell silent"
        yield Replacement(environment.name, name, f"{what}, {for_so_long} by now")


def _remarks(setbacks: Mapping[str, Setback], now: float) -> Mapping[str, str]:
    return {
        name: (
            f"machines do not come up, fall silent or are unfit (replaced {setback.count} times, next not before "
            f"{format_duration(round(max(0.0, setback.again_at - now)))}): see the agent's log on one of them"
        )
        for name, setback in setbacks.items()
        if setback.count > 1
    }
