"""How many machines work deserves: one more costs its boot, and saves waiting. Pure.

Work itself costs the same on many machines as on few, but each that is launched is paid for while it boots and until
it has gone again, `overhead` in all. With K machines, V machine-seconds end after V / K; so with an hour of waiting
worth w dollars and an hour of a machine p, the best K is √(V · w / (p · overhead)): four times the work deserves twice
the machines. Where A machines are there already, others come `boot` seconds later; by then those there have done
A · boot of it, and only what is left then is shared with more: the best K is √((V - A · boot) · w / (p · overhead)).

Where jobs keep coming, fewer machines that are busy from one to the next save the boots.

Tasks are whole. A job of n equal tasks runs in n / (slots · K) waves, rounded up, and a machine that saves no wave is
bought for nothing. So the waves of a single job are rounded, to whichever side costs less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# A machine that has nothing to do any more goes after about so many seconds.
TAIL = 30.0

# Jobs do not come on time: machines that are to be busy until the next one have so many times as much to do.
SLACK = 1.1

# The slowest boot takes longer than the fastest by about so large a part of the usual one; and what is gained by that
# must be so many times what it costs.
SPREAD = 0.3
CAUTION = 6.0

# What adds up to less is none.
NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Terms:
    """`wait`, `machine`: what an hour of waiting is worth and an hour of a machine costs, in dollars. `boot`: seconds
    from asking for a machine to its first task."""

    wait: float
    machine: float
    boot: float

    @property
    def launches_a_second(self) -> float:
        """So many launches cost as much as a second of waiting."""
        return self.wait / (self.machine * (self.boot + TAIL))


@dataclass(frozen=True, slots=True)
class Part:
    """A job's share of a backlog: `tasks` of `seconds` each, of which a machine holds `slots` at a time, on no more
    than `width` machines at a time. `running` of them have begun, each some time ago."""

    tasks: int
    seconds: float
    slots: int
    width: float
    running: int = 0

    @property
    def whole(self) -> float:
        """In machines, if all were to run at once."""
        return self.tasks / self.slots

    @property
    def work(self) -> float:
        """In seconds of a full machine."""
        return self.whole * self.seconds

    @property
    def left(self) -> float:
        """Of `work`, if those that run are half done."""
        return self.work - self.running / self.slots * self.seconds / 2


def machines_worth(
    parts: Sequence[Part], there: int, most: int, terms: Terms, apart: float = math.inf
) -> float:
    """How many machines should do the parts, where `there` are so many and `most` can be had. Not rounded; never more
    than can be busy, and of those there no more than would have been launched for it. More than `most` where more would
    be worth it. `apart`: seconds between one job and the next, as far as is known."""
    fresh = _fresh(parts, most, terms)
    if not there or there >= most:
        wanted = fresh
    elif len(parts) == 1 and (more := _more(parts[0], there, most, terms)):
        wanted = there + more
    elif len(parts) == 1:
        wanted = min(there, fresh)
    else:
        wanted = max(min(there, fresh), _flowing(sum(part.left for part in parts), there, terms))
    return min(_steady(parts, wanted, terms, apart), sum(part.width for part in parts))


def _steady(parts: Sequence[Part], wanted: float, terms: Terms, apart: float) -> float:
    """Fewer, if those are busy until the next job comes and are there for it, and that costs less than to launch all
    those wanted for each. Where jobs come so soon that these would be there still, nothing is saved."""
    work = sum(part.left for part in parts)
    takes = terms.boot + work / wanted
    if takes + TAIL < apart < takes + wanted / terms.launches_a_second:
        return max(1.0, math.floor(work / (SLACK * apart)))
    return wanted


def spares(machines: int, terms: Terms) -> int:
    """How many to launch beyond those that have work, where none is there: the first to come up begin, so that the last
    task begins sooner. Of K whose boots are spread evenly over s seconds, N are up after s · N / K; so the best K is
    √(N · s · w / (p · overhead)). How boots are spread is not known: so only what gains several times what it costs is
    bought, and little of it."""
    spread = SPREAD * terms.boot
    best = math.sqrt(machines * spread / CAUTION * terms.launches_a_second)
    return max(0, min(machines // 3, math.floor(best) - machines))


def _flowing(work: float, there: int, terms: Terms) -> float:
    """As if tasks could be cut to fit."""
    return math.sqrt(max(NOTHING, work - there * terms.boot) * terms.launches_a_second)


def _fresh(parts: Sequence[Part], most: int, terms: Terms) -> float:
    """As if none was there yet."""
    ideal = _flowing(sum(part.left for part in parts), 0, terms)
    return ideal if len(parts) > 1 else _in_waves(parts[0], ideal, max(1, most), terms)


def _in_waves(part: Part, ideal: float, most: int, terms: Terms) -> float:
    """About as many, but so that their last wave is full, if that costs less."""
    near = min(ideal, part.whole, most)
    waves = part.whole / near
    rounded = (part.whole / math.ceil(waves - NOTHING), part.whole / max(1, math.floor(waves)))
    found = [near, *(each for each in rounded if each <= most)]
    best = min(found, key=lambda machines: machines + terms.launches_a_second * _seconds(part, machines))
    return ideal if best == most else best


def _seconds(part: Part, machines: float) -> float:
    """Half way between whole waves and none: neither do all machines come at once, nor do all tasks take as long."""
    waves = part.whole / machines
    return part.seconds * (math.ceil(waves - NOTHING) + max(1.0, waves)) / 2


def _more(part: Part, there: int, most: int, terms: Terms) -> float:
    """How many beside those there: they begin a boot later, and do what is left then in so many waves."""
    ideal = min(most, _flowing(part.left, there, terms))
    if ideal <= there:
        return 0.0
    rate, seconds = terms.launches_a_second, part.seconds
    end = (part.left + (ideal - there) * terms.boot) / ideal
    first = max(1, math.floor((end - terms.boot) / seconds))
    best, least = 0.0, rate * seconds * math.ceil(part.whole / there - NOTHING)
    for waves in range(first, first + 4):
        ends = terms.boot + waves * seconds
        more = max(0.0, part.whole - there * math.floor(ends / seconds + NOTHING)) / waves
        if there + more <= most and more + rate * ends < least:
            best, least = more, more + rate * ends
    return best
