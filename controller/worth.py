"""How many machines work deserves, and so how soon it should end: one more costs its boot, and saves waiting. Pure.

Work itself costs the same on many machines as on few, but each that is launched is paid for while it boots and until
it has gone again: `overhead` seconds. With K machines, a backlog of V machine-seconds ends after V / K, so with an hour
of waiting worth λ dollars and an hour of a machine p the best K is √(λ V / (p · overhead)): the square root, so four
times the work deserves twice the machines. Where A machines are there already, others come `boot` seconds later; by
then those there have done A · boot of it, and only for the rest more are worth anything: √(λ (V - A · boot) / …).
Several jobs that are served one after the other each wait for what is before them, so each one's V counts.

Tasks are whole: a job of n equal tasks takes n / (slots · K) waves, rounded up, and any K that does not save a wave
is bought for nothing. So a single job's waves are rounded, to whichever side costs less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# A machine that has nothing to do any more goes after about so many seconds.
TAIL = 30.0

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Terms:
    """`wait` and `machine`: what an hour of waiting is worth and an hour of a machine costs, in dollars. `boot`: seconds
    from asking for a machine to its first task."""

    wait: float
    machine: float
    boot: float

    @property
    def machines_for_a_second(self) -> float:
        """So many launches cost as much as a second of waiting."""
        return self.wait / (self.machine * (self.boot + TAIL))


@dataclass(frozen=True, slots=True)
class Part:
    """A job's share of a backlog: `tasks` of `seconds` each, of which a machine holds `slots` at a time; on no more than
    `width` machines at a time."""

    tasks: int
    seconds: float
    slots: int
    width: float

    @property
    def work(self) -> float:
        """In seconds of a full machine."""
        return self.tasks * self.seconds / self.slots


def machines_worth(parts: Sequence[Part], there: int, most: int, terms: Terms) -> float:
    """How many machines should do the parts, in this order, where `there` are so many and no more than `most` can be
    had. Not rounded; never more than can be busy, and of those there no more than would have been launched for it."""
    width = sum(part.width for part in parts)
    if len(parts) == 1:
        return min(width, _in_waves(parts[0], there, most, terms))
    return min(width, max(_flowing(parts, there, terms), min(there, _flowing(parts, 0, terms))))


def _flowing(parts: Sequence[Part], there: int, terms: Terms) -> float:
    """As if tasks could be cut to fit."""
    before = saved = 0.0
    for part in parts:
        before += part.work
        saved += max(0.0, before - there * terms.boot)
    return math.sqrt(terms.machines_for_a_second * saved)


def _in_waves(part: Part, there: int, most: int, terms: Terms) -> float:
    fresh = _fresh(part, most, terms)
    if not there:
        return fresh
    more = _more(part, there, most, terms)
    return there + more if more else min(there, fresh)


def _fresh(part: Part, most: int, terms: Terms) -> float:
    """Where none is there yet."""
    whole, rate = part.tasks / part.slots, terms.machines_for_a_second
    least = max(1, math.ceil(whole / max(1, most)))
    ideal = whole / max(1e-9, _flowing([part], 0, terms))
    waves = {max(least, math.floor(ideal)), max(least, math.ceil(ideal))}
    return whole / min(waves, key=lambda count: whole / count + rate * count * part.seconds)


def _more(part: Part, there: int, most: int, terms: Terms) -> float:
    """How many beside those there: they begin a boot later, and do what is left then in so many waves."""
    whole, rate, seconds = part.tasks / part.slots, terms.machines_for_a_second, max(part.seconds, 1e-3)
    alone = math.ceil(whole / there - 1e-9) * seconds
    ideal = _flowing([part], there, terms)
    if ideal <= there:
        ideal = there
    end = (part.work + (ideal - there) * terms.boot) / ideal
    best, least = 0.0, rate * alone
    for waves in {max(1, math.floor((end - terms.boot) / seconds)), max(1, math.ceil((end - terms.boot) / seconds))}:
        ends = terms.boot + waves * seconds
        left = whole - there * math.floor(ends / seconds + 1e-9)
        more = max(0.0, left / waves)
        if there + more <= most and more + rate * ends < least:
            best, least = more, more + rate * ends
    return best
