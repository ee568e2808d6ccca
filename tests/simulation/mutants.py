"""Installations with one thing wrong in each: what the checker must find. Nothing is patched; a part is another one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil
from random import Random
from typing import Any

from controller.adapters.asg import AsgFleet
from controller.simulation.clock import Process
from controller.simulation.installation import Installation
from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Condition, Table, Written
from runner.adapters.sqs.queue import SqsQueue
from runner.agent.heartbeat import Heartbeat
from runner.agent.holding import Holding
from runner.aws import Aws, AwsError, Reply
from runner.model import Attempt, Charge, Job, Lease, Outcome, TaskId
from runner.ports import Ledger, Queue
from runner.records import Backlog, Refusal, Verdict


class AnyTable(Table):
    """A table whose agents can be given another kind of it."""

    def hurried(self) -> Table:
        return type(self)(self._aws, self.name, self._jitter, urgent=True)


class Mutant(Installation):
    """Its agents' ledger has `table`."""

    table: type[Table] = Table

    def ledger(self, process: Process, aws: Aws, name: str, random: Random) -> DynamoLedger:
        table = self.table(aws, self.fleet.table, random.random)
        return self.a_ledger(process, aws, table, name, random)

    def a_ledger(self, process: Process, aws: Aws, table: Table, name: str, random: Random) -> DynamoLedger:
        return DynamoLedger(table, process.now, self.settings.agent.lease, name, history=self.fleet.history)


# delete before record


class HastyLedger(DynamoLedger):
    """Deletes the message before it records how the attempt ended."""

    mailbox: Queue

    async def begin(self, lease: Lease, job: Job, owner: str) -> Attempt | Refusal:
        begun = await super().begin(lease, job, owner)
        if isinstance(begun, Attempt):
            self.leases[str(begun)] = lease
        return begun

    async def finish(self, attempt: Attempt, outcome: Outcome, verdict: Verdict) -> bool:
        lease = self.leases.pop(str(attempt), None)
        if lease is not None:
            await self.mailbox.complete([lease])
        return await super().finish(attempt, outcome, verdict)

    leases: dict[str, Lease]


class DeletesBeforeRecording(Mutant):
    def a_ledger(self, process: Process, aws: Aws, table: Table, name: str, random: Random) -> DynamoLedger:
        ledger = HastyLedger(table, process.now, self.settings.agent.lease, name)
        name_of = self.fleet.queue_name
        ledger.mailbox = SqsQueue(
            aws, process.now, {}, name=name_of, dead_letters=self.fleet.dead_letters, linger=0
        )
        ledger.leases = {}
        return ledger


# no fence


class UnfencedTable(AnyTable):
    async def update(
        self, key: Key, changes: Mapping[str, Any], condition: Condition, **more: Any
    ) -> Written:
        if key.pk.startswith("T#") and "out" in changes:
            condition = Condition("attribute_exists(#pk)")
        return await super().update(key, changes, condition, **more)


class NoFence(Mutant):
    """Whoever records, records: no attempt's number is looked at."""

    table = UnfencedTable


class UnguardedTable(AnyTable):
    async def put(self, item: dict[str, Any], condition: Condition | None = None) -> Written:
        return await super().put(item, None if str(item["pk"]).startswith("T#") else condition)


class BeginsAnyhow(Mutant):
    """Two who begin the same task at once both do."""

    table = UnguardedTable


# no lease check


class TakesOverAtOnce(Mutant):
    """Whoever finds a task held does not wait for a lease."""

    def a_ledger(self, process: Process, aws: Aws, table: Table, name: str, random: Random) -> DynamoLedger:
        return DynamoLedger(table, process.now, 0.0, name, history=self.fleet.history)


class DeafHeartbeat(Heartbeat):
    def expire(self, at: float) -> None:
        """It does not look."""

    async def _touch(self, held: list[Holding]) -> None:
        await self._ledger.touch([each.attempt for each in held])


class GoesOnWithoutLease(Installation):
    """An agent that lost its lease lets its containers run."""

    def heartbeat(self, queue: Queue, ledger: Ledger, pulse: Callable[[], None]) -> Heartbeat:
        own = self.settings.agent
        return DeafHeartbeat(queue, ledger, lease=own.lease, beat=own.beat, pulse=pulse)


class NoWatchdog(Installation):
    async def watchdog(
        self,
        read: Callable[[], tuple[str, str] | None],
        sweep: Callable[[Callable[[], bool]], Awaitable[bool]],
        agent_alive: Callable[[], bool],
        incarnation: str,
    ) -> None:
        """Nobody looks after frozen agents."""


# machines


class OtherAws:
    def __init__(self, aws: Aws, of: Installation) -> None:
        self._aws = aws
        self._of = of

    async def call(self, service: str, operation: str, /, *, urgent: bool = False, **given: Any) -> Reply:
        return await self._aws.call(service, operation, urgent=urgent, **given)

    async def close(self) -> None:
        await self._aws.close()


class TwiceAws(OtherAws):
    async def call(self, service: str, operation: str, /, *, urgent: bool = False, **given: Any) -> Reply:
        reply = await super().call(service, operation, urgent=urgent, **given)
        if given.get("ShouldDecrementDesiredCapacity"):
            try:
                await super().call(service, operation, urgent=urgent, **given)
            except AwsError:
                return reply
        return reply


class DecrementsTwice(Installation):
    """An instance that leaves takes two from the desired capacity."""

    def aws(self, process: Process) -> Aws:
        return TwiceAws(super().aws(process), self)


class VisibleFleet(AsgFleet):
    """Wants as many instances as there are visible messages, and no more."""

    mailbox: Queue

    async def resize(self, environment: str, desired: int) -> None:
        visible = sum(depth.visible for depth in (await self.mailbox.backlog()).values())
        group = (await self._groups(environment))[environment]
        wanted = max(int(group["MinSize"]), min(ceil(visible / 2), int(group["MaxSize"])))
        if wanted != int(group["DesiredCapacity"]):
            await self._set(environment, wanted)


class ScalesOnVisible(Installation):
    """Messages in flight do not count when the fleet is sized."""

    def groups(self, process: Process, aws: Aws) -> AsgFleet:
        fleet = VisibleFleet(aws, self.fleet, process.now)
        fleet.mailbox = self.queue(process, aws, dict(self.routes.channels), self.random("mailbox"))
        return fleet


class VisibleQueue(SqsQueue):
    async def backlog(self) -> Mapping[str, Backlog]:
        found = await super().backlog()
        return {name: Backlog(each.visible, 0, 0, each.as_of) for name, each in found.items()}


class MissesWhatIsInFlight(Installation):
    """Messages in flight do not count when the supervisor looks for missing ones."""

    def queue(self, process: Process, aws: Aws, channels: dict[str, int], random: Random) -> SqsQueue:
        letters, name = self.fleet.dead_letters, self.fleet.queue_name
        return VisibleQueue(aws, process.now, channels, name=name, dead_letters=letters, jitter=random.random)


class VisibleRecords(DynamoRecords):
    mailbox: Queue

    async def publish(self, holder: str, demand: int, note: str = "") -> None:
        visible = sum(depth.visible for depth in (await self.mailbox.backlog()).values())
        await super().publish(holder, visible, note)


class DrainedWhenNoneIsVisible(Installation):
    """Agents are told of a demand that leaves out what is in flight."""

    def records(self, process: Process, aws: Aws, random: Random) -> DynamoRecords:
        table = Table(aws, self.fleet.table, random.random)
        records = VisibleRecords(table, process.now, process.name, history=self.fleet.history)
        records.mailbox = self.queue(process, aws, dict(self.routes.channels), random)
        return records


# charges and messages


class UnfairLedger(DynamoLedger):
    async def finish(self, attempt: Attempt, outcome: Outcome, verdict: Verdict) -> bool:
        return await super().finish(
            attempt, outcome, replace(verdict, charge=Charge.USER if verdict.charge else None)
        )


class ChargesTheUser(Mutant):
    """Whatever goes wrong, the user pays."""

    def a_ledger(self, process: Process, aws: Aws, table: Table, name: str, random: Random) -> DynamoLedger:
        return UnfairLedger(table, process.now, self.settings.agent.lease, name)


class ForgetfulAws(OtherAws):
    async def call(self, service: str, operation: str, /, *, urgent: bool = False, **given: Any) -> Reply:
        if operation == "send_message":  # a single one: to the dead letters
            return {}
        return await super().call(service, operation, urgent=urgent, **given)


class DropsBadMessages(Installation):
    """What cannot be read is deleted, and not put aside."""

    def aws(self, process: Process) -> Aws:
        return ForgetfulAws(super().aws(process), self)


class SilentQueue(SqsQueue):
    async def send(self, queue: str, tasks: Sequence[TaskId], *, delay: float = 0.0) -> None:
        """Not even once."""


class SendsNoReplacement(Installation):
    """An agent whose task belongs on another channel deletes its message, and sends no other."""

    def queue(self, process: Process, aws: Aws, channels: dict[str, int], random: Random) -> SqsQueue:
        if "/agent" not in process.name:
            return super().queue(process, aws, channels, random)
        letters, name = self.fleet.dead_letters, self.fleet.queue_name
        return SilentQueue(aws, process.now, channels, name=name, dead_letters=letters, jitter=random.random)
