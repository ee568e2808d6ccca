"""The service's state, and the two things that all operations do with it: read an item, carry out a write."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from controller.simulation.services.dynamodb.capacity import (
    READS,
    WRITES,
    Meter,
    Throughput,
    read_units,
    write_units,
)
from controller.simulation.services.dynamodb.errors import ONGOING, Refused, unmet
from controller.simulation.services.dynamodb.schema import Key
from controller.simulation.services.dynamodb.tables import Stored, Table
from controller.simulation.services.dynamodb.writing import Write
from runner.ports import Clock


@dataclass
class Behaviour:
    """What the service may do, by its documentation; all of it may be changed at any time.

    `lag`: an eventually consistent read may tell what was true up to so many seconds ago. `unread`: the share of
    batches of reads that leave some of their keys unread. `committing`: for how many seconds a transaction conflicts
    with other writes to its items. `throttles`: what a collection takes is limited.
    """

    lag: float = 0.0
    unread: float = 0.0
    committing: float = 0.0
    throttles: bool = False


@dataclass
class Core:
    now: Clock
    random: Random
    behaviour: Behaviour
    tables: dict[str, Table] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)
    reading: Throughput = field(
        default_factory=lambda: Throughput(READS, "TableReadKeyRangeThroughputExceeded")
    )
    writing: Throughput = field(
        default_factory=lambda: Throughput(WRITES, "TableWriteKeyRangeThroughputExceeded")
    )
    _committing: dict[tuple[str, Key], float] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        if name not in self.tables:
            raise Refused("ResourceNotFoundException", "Requested resource not found")
        return self.tables[name]

    def as_of(self, consistent: bool) -> float | None:
        """The time of which a read tells; None: now."""
        lag = self.behaviour.lag
        return None if consistent or not lag else self.now() - self.random.uniform(0.0, lag)

    def get(self, operation: str, table: Table, key: Key, consistent: bool) -> Stored | None:
        found = table.get(key, self.as_of(consistent))
        self.count_read(operation, table, key.hash, read_units(found.size if found else 0, consistent))
        return found

    def count_read(self, operation: str, table: Table, hash_key: object, units: float) -> None:
        """Raises Refused if the collection has less than that to give; then nothing is counted."""
        if self.behaviour.throttles:
            self.reading.take(table.name, hash_key, units, self.now())
        self.meter.reads[operation] += units

    def count_write(self, operation: str, write: Write, units: int) -> None:
        """Raises Refused, likewise."""
        if self.behaviour.throttles:
            self.writing.take(write.table.name, write.key.hash, units, self.now())
        self.meter.writes[operation] += units

    def carry_out(self, operation: str, write: Write) -> tuple[Stored | None, Stored | None]:
        """The item before and after. Raises Refused."""
        if self.conflicts(write):
            raise Refused("TransactionConflictException", ONGOING)
        before = write.table.get(write.key)
        if not write.met(before):
            self.count_write(operation, write, write_units(write.weight(before)))
            raise unmet(before.item if before and write.shows else None)
        after = write.change(before)
        size = max(before.size if before else 0, after.size if after else 0)
        self.count_write(operation, write, write_units(size))
        self.put(write, after)
        return before, after

    def put(self, write: Write, after: Stored | None) -> None:
        write.table.put(write.key, after, self.now(), self.behaviour.lag)

    def conflicts(self, write: Write) -> bool:
        until = self._committing.get((write.table.name, write.key)) if self._committing else None
        return until is not None and until > self.now()

    def commit(self, writes: list[Write]) -> None:
        """From now on they are in a transaction's way, for a while."""
        if self.behaviour.committing:
            now = self.now()
            self._committing = {each: until for each, until in self._committing.items() if until > now}
            until = now + self.behaviour.committing
            self._committing.update({(each.table.name, each.key): until for each in writes})
