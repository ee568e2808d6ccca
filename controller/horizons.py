"""Within how long the work on each channel should be done. Pure.

Channels that share an environment share its machines, so their work is looked at as one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from controller.demand import Load
from controller.sizing import part_of
from controller.worth import Terms, machines_worth
from runner.ports import Capacity

# What a machine is taken to cost where that is not known, in dollars an hour for each vCPU.
USUAL_PRICE = 0.05


@dataclass(frozen=True, slots=True)
class Stock:
    """An environment's machines: what one holds and costs an hour, how many there are or come, and may be at most.
    `price` 0: not known."""

    machine: Capacity
    price: float
    there: int
    most: int


def horizons(
    loads: Sequence[Load],
    stocks: Mapping[str, Stock],
    environments_of: Callable[[str], Sequence[str]],
    wait: float,
    boot: float,
) -> Mapping[str, float]:
    """By channel, in seconds, for those that have an environment in `stocks`. `wait`: what an hour of waiting is worth,
    in dollars; `boot`: seconds from asking for a machine to its first task."""
    found: dict[str, float] = {}
    for pool in _pools(loads, stocks, environments_of):
        first = stocks[pool.environments[0]]
        own = [stocks[name] for name in pool.environments]
        terms = terms_of(first, wait, boot)
        parts = [part_of(load, first.machine) for load in pool.loads]
        there, most = sum(each.there for each in own), sum(each.most for each in own)
        apart = min(load.apart for load in pool.loads)
        horizon = sum(part.work for part in parts) / machines_worth(parts, there, most, terms, apart)
        found |= {load.channel: horizon for load in pool.loads}
    return found


def terms_of(stock: Stock, wait: float, boot: float) -> Terms:
    return Terms(wait, stock.price or USUAL_PRICE * max(1.0, stock.machine.vcpus), boot)


@dataclass(frozen=True, slots=True)
class _Pool:
    environments: Sequence[str]
    loads: Sequence[Load]


def _pools(
    loads: Sequence[Load], stocks: Mapping[str, Stock], environments_of: Callable[[str], Sequence[str]]
) -> Sequence[_Pool]:
    """The first environment of each is the one that its most important load prefers."""
    pools: list[_Pool] = []
    for load in loads:
        names = [name for name in environments_of(load.channel) if name in stocks]
        if not names:
            continue
        touching = [pool for pool in pools if not set(pool.environments).isdisjoint(names)]
        pools = [pool for pool in pools if pool not in touching]
        environments = dict.fromkeys([name for pool in touching for name in pool.environments] + names)
        pools.append(_Pool(list(environments), [*(each for pool in touching for each in pool.loads), load]))
    return pools
