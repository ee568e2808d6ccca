"""What the contract suites need of an adapter family, and those there are.

The suites use the ports and a `Rig`, nothing else. A new family (SQS and DynamoDB, say) is one more rig in `RIGS`.
A rig whose service cannot be told the time waits in `advance`, and may set `patience_factor` below 1 to make the
times in the suites shorter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from controller.ports import DeadLetters, Records
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.dead_letters import SqliteDeadLetters
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.queue import SqliteQueue
from runner.adapters.sqlite.records import SqliteRecords
from runner.ports import Ledger, Queue

EPOCH = 1_700_000_000.0
LEASE = 30.0


class Rig(Protocol):
    """`emulated` says what stands in for the real thing.

    `refuses_stale_tokens`: acting on a lease that another receive has replaced does nothing. The port does not
    promise it, and SQS does not keep it. `exact`: a receive gives all it may and does so at once, deliveries and the
    backlog are counted exactly. The port does not promise that either.
    """

    emulated: str
    refuses_stale_tokens: bool
    exact: bool

    def now(self) -> float: ...

    async def advance(self, seconds: float) -> None:
        """Let time pass, for the queue and for the ledger."""
        ...

    def queue(self, queues: Mapping[str, int]) -> Queue: ...

    def ledger(self) -> Ledger: ...

    def records(self) -> Records: ...

    def dead_letters(self) -> DeadLetters: ...

    async def peer(self) -> Rig:
        """The same data and the same time, seen by another process."""
        ...

    async def put_raw(self, queue: str, payload: str) -> None:
        """Put a message on a queue as somebody else might have written it."""
        ...

    async def quarantined(self) -> Sequence[tuple[str, str]]:
        """Payload and reason of each message that could not be read."""
        ...

    async def close(self) -> None: ...


class Clock:
    def __init__(self) -> None:
        self.time = EPOCH

    def __call__(self) -> float:
        return self.time


class SqliteRig:
    refuses_stale_tokens = True
    exact = True

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def now(self) -> float:
        return self._clock()

    async def advance(self, seconds: float) -> None:
        self._clock.time += seconds

    def queue(self, queues: Mapping[str, int]) -> Queue:
        return SqliteQueue(self._database, self._clock, queues)

    def ledger(self) -> Ledger:
        return SqliteLedger(self._database, self._clock, LEASE, steady=self._clock)

    def records(self) -> Records:
        return SqliteRecords(self._database, self._clock)

    def dead_letters(self) -> DeadLetters:
        return SqliteDeadLetters(self._database, self._clock)

    async def put_raw(self, queue: str, payload: str) -> None:
        sql = "INSERT INTO messages (queue, visible_at, body) VALUES (?, ?, ?)"
        values = (queue, self._clock(), payload)
        await self._database.write(lambda connection: connection.execute(sql, values))

    async def quarantined(self) -> Sequence[tuple[str, str]]:
        sql = "SELECT body, reason FROM dead_letters ORDER BY id"
        return await self._database.read(lambda connection: connection.execute(sql).fetchall())

    async def close(self) -> None:
        await self._database.close()


class MemoryRig(SqliteRig):
    emulated = "the clock is moved by hand; peers share the one connection"

    def __init__(self) -> None:
        super().__init__(Database.memory(), Clock())

    async def peer(self) -> Rig:
        return self


class FileRig(SqliteRig):
    emulated = "the clock is moved by hand; peers are connections of their own, in this process"

    def __init__(self, database: Database, clock: Clock, path: Path) -> None:
        super().__init__(database, clock)
        self._path = path
        self._peers: list[Rig] = []

    @classmethod
    async def make(cls, path: Path) -> FileRig:
        return cls(await Database.open(path), Clock(), path)

    async def peer(self) -> Rig:
        peer = FileRig(await Database.open(self._path), self._clock, self._path)
        self._peers.append(peer)
        return peer

    async def close(self) -> None:
        for peer in self._peers:
            await peer.close()
        await super().close()


RIGS = ("memory", "file", "aws", "simulated")


async def make_rig(name: str, folder: Path) -> Rig:
    if name in ("aws", "simulated"):
        from tests.contracts.aws_rig import AwsRig

        return await (AwsRig.by_ministack() if name == "aws" else AwsRig.in_memory())
    return MemoryRig() if name == "memory" else await FileRig.make(folder / "runner.db")
