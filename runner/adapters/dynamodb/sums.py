"""What a source (one process, while it works on one job) has counted of the job's tasks. It only grows.

No counter is common to many writers: each writes its own sums, as a whole and again and again, and readers add them up.
Two records of the same source count the same events, so the one that counts more of them replaces the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runner.adapters.dynamodb.values import Item
from runner.model import Outcome, Status


class Mark(str):
    """`SOURCE.CALL`: which process made a write, and in which of its calls."""

    __slots__ = ()

    @property
    def source(self) -> str:
        return self.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class End:
    """An attempt that ended. `round` is the job's at that time; `at` stands in where the outcome has no times.

    `lifted`: whatever cancelled it had been lifted by then, see `standing`; it belongs to the round before.
    """

    index: int
    number: int
    status: Status
    round: int
    outcome: Outcome
    at: float
    lifted: bool = False


@dataclass(slots=True)
class Sums:
    """`failed` and `cancelled` by round: each `retry` starts them anew. `running`: index → attempt and since when."""

    begun: int = 0
    ended: int = 0
    succeeded: int = 0
    failed: dict[int, int] = field(default_factory=dict)
    cancelled: dict[int, int] = field(default_factory=dict)
    lifted: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    peak: int | None = None
    first: float | None = None
    last: float | None = None
    running: dict[int, tuple[int, float]] = field(default_factory=dict)

    @property
    def events(self) -> int:
        return self.begun + self.ended

    def begin(self, index: int, number: int, at: float) -> None:
        self.begun += 1
        self.running[index] = (number, at)

    def end(self, end: End) -> None:
        self.ended += 1
        if self.running.get(end.index, (0, 0.0))[0] == end.number:
            del self.running[end.index]
        if end.status is Status.SUCCEEDED:
            self.succeeded += 1
        elif end.status is Status.FAILED:
            self.failed[end.round] = self.failed.get(end.round, 0) + 1
        elif end.status is Status.CANCELLED:
            self.cancelled[end.round] = self.cancelled.get(end.round, 0) + 1
        self.lifted += end.lifted
        self._measure(end)

    def _measure(self, end: End) -> None:
        outcome = end.outcome
        finished = end.at if outcome.finished_at is None else outcome.finished_at
        started = finished if outcome.started_at is None else outcome.started_at
        self.seconds += outcome.duration or 0.0
        self.cpu += outcome.usage.cpu_seconds or 0.0
        self.peak = _most(self.peak, outcome.usage.peak_memory)
        self.first = started if self.first is None else min(self.first, started)
        self.last = finished if self.last is None else max(self.last, finished)


@dataclass(frozen=True, slots=True)
class Total:
    """All sources of a job together, as seen in one round of it. `active`: indices that may be running. `lifted`: how
    many ends, in all rounds, came after what had cancelled them was lifted. `earlier`: how many others ended as failed
    or cancelled in the rounds before.

    `short`: more seem to run than there are tasks left, so that some source must have died before it counted an end.
    """

    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    lifted: int = 0
    earlier: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    peak: int | None = None
    first: float | None = None
    last: float | None = None
    events: int = 0
    active: tuple[int, ...] = ()
    short: bool = False

    @property
    def finished(self) -> int:
        return self.succeeded + self.failed + self.cancelled


def total(parts: Iterable[Item], round_: int, size: int) -> Total:
    """Of the sums as they stand in the table, for a job of `size` tasks."""
    parts = list(parts)
    succeeded = _sum(parts, "k")
    failed, cancelled = _in_round(parts, "u", round_), _in_round(parts, "x", round_)
    running = _sum(parts, "b") - (_sum(parts, "n") - _sum(parts, "b"))
    left = max(0, size - succeeded - failed - cancelled)
    some = left > 0 and running > 0
    since = [part["w"] for part in parts if "w" in part] if some else []
    return Total(
        running=max(0, min(running, left)),
        succeeded=succeeded,
        failed=failed,
        cancelled=cancelled,
        lifted=int(_sum(parts, "y")),
        earlier=_before(parts, "u", round_) + _before(parts, "x", round_) - int(_sum(parts, "y")),
        seconds=float(_sum(parts, "s")),
        cpu=float(_sum(parts, "c")),
        peak=max((part["p"] for part in parts if "p" in part), default=None),
        first=_float(min([part["f"] for part in parts if "f" in part] + since, default=None)),
        last=_float(max((part["l"] for part in parts if "l" in part), default=None)),
        events=int(_sum(parts, "n")),
        active=tuple(sorted({index for part in parts for index in part.get("r", ())})) if some else (),
        short=running > left,
    )


def _sum(parts: Iterable[Item], name: str) -> int:
    found: int = sum(part.get(name, 0) for part in parts)
    return found


def _in_round(parts: Iterable[Item], name: str, round_: int) -> int:
    found: int = sum(part.get(name, {}).get(str(round_), 0) for part in parts)
    return found


def _before(parts: Iterable[Item], name: str, round_: int) -> int:
    found: int = sum(
        count for part in parts for each, count in part.get(name, {}).items() if int(each) < round_
    )
    return found


def pack(sums: Sums) -> Item:
    """`n` counts the events: what counts more of them replaces what counts fewer."""
    since = min((at for _, at in sums.running.values()), default=None)
    packed = {
        "n": sums.events,
        "b": sums.begun,
        "k": sums.succeeded or None,
        "u": _by_round(sums.failed),
        "x": _by_round(sums.cancelled),
        "y": sums.lifted or None,
        "s": sums.seconds or None,
        "c": sums.cpu or None,
        "p": sums.peak,
        "f": sums.first,
        "l": sums.last,
        "r": sorted(sums.running) or None,
        "w": since,
    }
    return {name: value for name, value in packed.items() if value is not None}


def pack_total(total: Total, round_: int) -> Item:
    """In the form of one source's: for a job that is over, of which only this round will be asked, and what was
    before it as a whole."""
    ended = total.events // 2
    return pack(
        Sums(
            begun=total.events - ended,
            ended=ended,
            succeeded=total.succeeded,
            failed={0: total.earlier + total.lifted, round_: total.failed},
            cancelled={round_: total.cancelled},
            lifted=total.lifted,
            seconds=total.seconds,
            cpu=total.cpu,
            peak=total.peak,
            first=total.first,
            last=total.last,
        )
    )


def _by_round(counts: Mapping[int, int]) -> Mapping[str, int] | None:
    return {str(round_): count for round_, count in counts.items()} or None


def _most(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
