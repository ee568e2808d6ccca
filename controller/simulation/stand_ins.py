"""Stand-ins for agents, on machines that come and go: for whole days of fleets too large to simulate their agents.

Simulated at the agents' side of two ports. Of the ledger: each second's sums, each ended task's record and each host's
report are written by the adapters' own code, in the form, the number and the places in which agents leave them; what
agents read, their beats and the record of a beginning are left out. Of the queue: messages are taken, held, deleted,
without requests. Simulated Auto Scaling launches machines for the real supervisor; they work once they have booted,
and leave by the agents' own rule and in their own way (`retire`), over the simulated network.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from controller.simulation.clock import OUTSIDE, Process, now
from controller.simulation.metering import Meter
from controller.simulation.services.autoscaling_group import Group, Member
from controller.simulation.services.sqs_messages import Messages
from controller.simulation.world import World
from runner.adapters.dynamodb import keys, leadership, outcomes, tasks, totals
from runner.adapters.dynamodb.sums import End, Mark, Sums
from runner.adapters.dynamodb.table import Table
from runner.adapters.ec2.group import OwnGroup
from runner.adapters.ec2.retirement import retire
from runner.agent.emptiness import Emptiness
from runner.agent.upkeep import READING_SHARE
from runner.codec import decode_pointer, demand_on
from runner.model import Kind, Outcome, Status, TaskId
from runner.records import HostReport
from runner.routing import smallest

# For as long as SQS allows: nobody here renews it.
HELD = 43200.0
# As agents collect counts for one write.
TICK = 1.0
# Agents do so every five seconds. What the controller makes of it is the same.
REPORT_EVERY = 30.0


@dataclass(eq=False)
class Host:
    id: str
    running: int = 0
    idle_since: float = 0.0
    counted: dict[str, Sums] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class _Running:
    until: float
    number: int
    task: TaskId = field(compare=False)
    host: Host = field(compare=False)
    since: float = field(compare=False)
    handle: str = field(compare=False)
    queue: Messages = field(compare=False)


class StandIns:
    """For the agents of the world's first environment, with so many `slots` each. `seconds`: how long a task takes.
    Make it before a machine is launched. What they read and write is not counted by `meter`. `most`, `most_running`:
    hosts and tasks at a time so far."""

    def __init__(self, world: World, meter: Meter, slots: int, seconds: Callable[[], float]) -> None:
        self._world = world
        self._meter = meter
        self._per_host = slots
        self._seconds = seconds
        self._environment = next(iter(world.fleet.environments.values()))
        self._channels = tuple(world.routes.channels_of(self._environment.name))
        self._table = Table(world.aws, world.fleet.table, lambda: 0.0)
        self._outlook = leadership.Outlook(self._table, now)
        self._emptiness = Emptiness(world.settings.agent.confirm)
        self._random = Random("stand-ins")
        self._sizes: dict[str, int] = {}
        self._hosts: dict[str, Host] = {}
        self._slots: deque[Host] = deque()
        self._reports: deque[tuple[float, Host]] = deque()
        self._running: list[_Running] = []
        self._known: dict[str, set[int]] = {}
        self._begun = 0
        self._read_at = 0.0
        self._leaving: set[asyncio.Task[None]] = set()
        self.most = 0
        self.most_running = 0
        world.autoscaling._watch = self._changed

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def hosts(self) -> int:
        return len(self._hosts)

    async def work(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(TICK)
            with self._uncounted():
                await self._tick(asyncio.get_running_loop().time())

    @contextmanager
    def _uncounted(self) -> Iterator[None]:
        """Nothing in such a block waits: nobody else is at work meanwhile."""
        self._meter.reading.free = self._meter.writing.free = True
        try:
            yield
        finally:
            self._meter.reading.free = self._meter.writing.free = False

    async def _tick(self, at: float) -> None:
        changed: dict[tuple[str, str], Host] = {}
        while self._running and self._running[0].until <= at:
            ended = heapq.heappop(self._running)
            await self._end(ended, at)
            changed[ended.task.job_id, ended.host.id] = ended.host
        for channel in self._channels:
            queue = self._world.sqs.queues[self._world.fleet.queue_name(channel)]
            for task, host in self._take(queue, at):
                changed[task.job_id, host.id] = host
        for (job_id, _), host in changed.items():
            await self._write(job_id, host)
        await self._report(at)
        if self._hosts and at - self._read_at >= READING_SHARE * self._world.settings.agent.confirm:
            self._read_at = at
            await self._consider_leaving(at)

    def _take(self, queue: Messages, at: float) -> Iterator[tuple[TaskId, Host]]:
        if not self._slots:
            return
        for message in queue.take(len(self._slots), HELD, short=False):
            task = decode_pointer(message.body)
            if task.index in (known := self._known.setdefault(task.job_id, set())):
                queue.delete(message.handle)  # the ledger refuses it
                continue
            known.add(task.index)
            host = self._slots.popleft()
            self._begun += 1
            host.running += 1
            host.counted.setdefault(task.job_id, Sums()).begin(task.index, 1, now())
            until = at + self._seconds()
            heapq.heappush(
                self._running, _Running(until, self._begun, task, host, now(), message.handle, queue)
            )
            yield task, host
        self.most_running = max(self.most_running, len(self._running))

    async def _end(self, ended: _Running, at: float) -> None:
        host, task = ended.host, ended.task
        ended.queue.delete(ended.handle)
        outcome = Outcome(Kind.SUCCEEDED, exit_code=0, started_at=ended.since, finished_at=now())
        host.counted[task.job_id].end(End(task.index, 1, Status.SUCCEEDED, 1, outcome, now()))
        host.running -= 1
        host.idle_since = at
        self._slots.append(host)
        item = tasks.TaskItem(
            index=task.index,
            status=Status.SUCCEEDED,
            number=1,
            tries=1,
            owner=host.id,
            begun_at=ended.since,
            begin_mark=Mark(f"{host.id}-1.{ended.number}"),
            round=1,
            settled=1,
            end_mark=Mark(f"{host.id}-1.{ended.number}e"),
            outcome=outcomes.encode(outcome),
        )
        key = keys.task(task, keys.buckets_for(await self._size(task.job_id)))
        await self._table.put(tasks.pack(item, key, None))

    async def _write(self, job_id: str, host: Host) -> None:
        parts = keys.parts_for(await self._size(job_id))
        item = totals.item_of(job_id, parts, f"{host.id}-1", host.counted[job_id], None)
        await totals.put(self._table, item)

    async def _size(self, job_id: str) -> int:
        if job_id not in self._sizes:
            self._sizes[job_id] = (await self._world.job(job_id)).job.array.size
        return self._sizes[job_id]

    async def _report(self, at: float) -> None:
        while self._reports and self._reports[0][0] <= at:
            _, host = self._reports.popleft()
            if host.id in self._hosts:
                await leadership.report(self._table, self._said(host, "running"))
                self._reports.append((at + REPORT_EVERY, host))

    def _said(self, host: Host, state: str) -> HostReport:
        holds = smallest(self._environment, self._world.settings.agent)
        return HostReport(
            host=host.id,
            incarnation="00000001",
            state=state,
            vcpus=holds.vcpus,
            memory=holds.memory,
            free_vcpus=holds.vcpus - host.running,
            free_memory=0,
            tasks=host.running,
            engines=("docker",),
            queues=self._channels,
            pid=1,
            started_at=now(),
            seen_at=now(),
        )

    # machines come and go

    def _changed(self, group: Group, member: Member) -> None:
        self._world.watch.member(group, member)
        if member.state == "Pending":
            boot = self._world.fleet.boot * self._random.uniform(0.8, 1.2)
            asyncio.get_running_loop().call_later(boot, self._come, member.id, context=OUTSIDE)
        elif member.state.startswith("Terminat"):
            assert member.id not in self._hosts, f"{member.id} was taken away"

    def _come(self, instance: str) -> None:
        at = asyncio.get_running_loop().time()
        host = self._hosts[instance] = Host(instance, idle_since=at)
        self._slots.extend([host] * self._per_host)
        self._reports.appendleft((at, host))
        self.most = max(self.most, len(self._hosts))

    async def _consider_leaving(self, at: float) -> None:
        self._emptiness.read(demand_on(self._channels, await self._outlook.look()), at)
        idle = self._world.settings.agent.idle
        if not self._emptiness.lasting:
            return
        going = [host for host in self._hosts.values() if not host.running and at - host.idle_since > idle]
        if going:
            self._slots = deque(host for host in self._slots if host not in going)
        for host in going:
            del self._hosts[host.id]
            task = OUTSIDE.run(asyncio.ensure_future, self._leave(host))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _leave(self, host: Host) -> None:
        """Not all look in the same moment."""
        await asyncio.sleep(self._random.uniform(0.0, READING_SHARE * self._world.settings.agent.confirm))
        await retire(OwnGroup(self._world.of.aws(Process(f"{host.id}/agent1")), host.id))
        with self._uncounted():
            await leadership.report(self._table, self._said(host, "retired"))
