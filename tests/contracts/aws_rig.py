"""The rigs of the adapters of AWS: DynamoDB emulated by a server on this machine, or in memory; SQS in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from controller.ports import DeadLetters, Records
from controller.simulation.services.dynamodb import DynamoDb
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Table
from runner.aws import Aws
from runner.model import Attempt, Job, Lease
from runner.ports import Clock, Ledger, Queue
from runner.records import Refusal
from tests.aws.wrappers import Dated
from tests.contracts.rigs import LEASE, Rig
from tests.contracts.rigs import Clock as HandClock
from tests.dynamodb.emulator import a_name, connect, create_table, endpoint
from tests.sqs.rig import SqsSide


class ExactLedger(DynamoLedger):
    """The suites look at the counts at once. Ends are waited for anyway, beginnings are not."""

    async def begin(self, lease: Lease, job: Job, owner: str) -> Attempt | Refusal:
        begun = await super().begin(lease, job, owner)
        await self.flush()
        return begun


class AwsRig:
    """`connect` gives each process its own way to DynamoDB, which `dynamodb` describes."""

    refuses_stale_tokens = SqsSide.refuses_stale_tokens
    exact = SqsSide.exact

    def __init__(
        self, dynamodb: str, connect: Callable[[], Aws], table: str, clock: HandClock, sqs: SqsSide
    ) -> None:
        self.emulated = (
            f"DynamoDB {dynamodb}; {SqsSide.emulated}; the clock of all is moved by hand; "
            "counts of beginnings are written at once"
        )
        self._dynamodb = dynamodb
        self._connect = connect
        self._aws = connect()
        self._table = table
        self._clock = clock
        self._sqs = sqs
        self._peers: list[Rig] = []

    @classmethod
    async def by_ministack(cls) -> AwsRig:
        clock = HandClock()
        return await cls._make("by ministack", lambda: Dated(connect(endpoint()), clock), clock)

    @classmethod
    async def in_memory(cls) -> AwsRig:
        clock = HandClock()
        service = DynamoDb(clock)
        return await cls._make("in memory", lambda: service, clock)

    @classmethod
    async def _make(cls, dynamodb: str, connect: Callable[[], Aws], clock: HandClock) -> AwsRig:
        rig = cls(dynamodb, connect, a_name("contract"), clock, await SqsSide.make(clock))
        await create_table(rig._aws, rig._table)
        return rig

    def now(self) -> float:
        return self._clock()

    async def advance(self, seconds: float) -> None:
        self._clock.time += seconds
        self._sqs.moved()

    def queue(self, queues: Mapping[str, int]) -> Queue:
        return self._sqs.queue(queues)

    def ledger(self) -> Ledger:
        return make_ledger(self._aws, self._table, self._clock)

    def records(self) -> Records:
        return make_records(self._aws, self._table, self._clock)

    def dead_letters(self) -> DeadLetters:
        return self._sqs.letters()

    async def peer(self) -> Rig:
        peer = AwsRig(self._dynamodb, self._connect, self._table, self._clock, self._sqs)
        self._peers.append(peer)
        return peer

    async def put_raw(self, queue: str, payload: str) -> None:
        await self._sqs.put_raw(queue, payload)

    async def quarantined(self) -> Sequence[tuple[str, str]]:
        return await self._sqs.quarantined()

    async def close(self) -> None:
        for peer in self._peers:
            await peer.close()
        await self._aws.close()


def make_ledger(aws: Aws, table: str, now: Clock) -> Ledger:
    own = Table(aws, table, lambda: 0.5)
    return ExactLedger(own, now, LEASE, a_name("ledger"), linger=0.0, fresh=0.0)


def make_records(aws: Aws, table: str, now: Clock) -> Records:
    return DynamoRecords(Table(aws, table, lambda: 0.5), now, a_name("records"))
