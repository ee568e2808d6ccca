"""Holds a run to the promises: what its history and its end show of each, see the rules in `promises`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from controller.simulation.history import Event
from controller.simulation.promises.containers import NoDouble, WithinLease
from controller.simulation.promises.fleet import NoneScaledIn, NotDrained, Recovered
from controller.simulation.promises.messages import Acknowledged, NotOverlooked, Quarantined
from controller.simulation.promises.records import Charged, Fenced, OneRecord
from controller.simulation.promises.rule import End, Rule, See, Terms, Violation

RULES: Sequence[type[Rule]] = (
    OneRecord,
    Fenced,
    Acknowledged,
    WithinLease,
    Recovered,
    NoneScaledIn,
    Charged,
    Quarantined,
    NoDouble,
    NotOverlooked,
    NotDrained,
)


def check(events: Iterable[Event], end: End, terms: Terms) -> Sequence[Violation]:
    """In the order of their time."""
    rules = [rule(terms) for rule in RULES]
    handlers: defaultdict[str, list[See]] = defaultdict(list)
    for rule in rules:
        for what, see in rule.handlers.items():
            handlers[what].append(see)
    for event in events:
        for see in handlers.get(event.what, ()):
            see(event)
    for rule in rules:
        rule.end(end)
    return sorted((each for rule in rules for each in rule.violations), key=lambda each: each.at)
