"""Hosts that are nothing but what the controller sees of them: for fleets too large to simulate their agents.

Simulated at two ports. Of the ledger: reports, sums and cursors are written by the adapters' own code, in the form, the
number and the places in which as many agents would have left them; tasks' own records, which the controller reads only
for `retry` and for lost messages, are left out. Of Auto Scaling: members that are in service, and have no machine. The
queue is the simulated one: the controller's messages are taken from it, held, and deleted as tasks end. So a step of
the real supervisor reads, decides and sends what it would. What it cannot show is what agents do to each other.
"""

from __future__ import annotations

from collections import deque

from controller.simulation.clock import now
from controller.simulation.services.sqs_messages import Messages
from controller.simulation.world import World
from runner.adapters.dynamodb import leadership, totals
from runner.adapters.dynamodb.keys import parts_for
from runner.adapters.dynamodb.sums import End, Sums
from runner.adapters.dynamodb.table import Table
from runner.codec import decode_pointer
from runner.model import Kind, Outcome, Status, TaskId
from runner.records import HostReport
from runner.routing import smallest

# For as long as SQS allows: nobody here renews it.
HELD = 43200.0
SECONDS = 138.0


class Crowd:
    """So many `hosts` of the world's first environment, with so many tasks at once each."""

    def __init__(self, world: World, hosts: int, slots: int) -> None:
        self._world = world
        self._slots = hosts * slots
        environment = next(iter(world.fleet.environments.values()))
        self._capacity = smallest(environment, world.settings.agent)
        self._channels = tuple(world.routes.channels_of(environment.name))
        group = world.fleet.group(environment.name)
        self._hosts = [world.autoscaling.running(group).id for _ in range(hosts)]
        self._table = Table(world.aws, world.fleet.table, lambda: 0.0)
        self._sums: dict[tuple[str, int], Sums] = {}
        self._sizes: dict[str, int] = {}
        self._running: deque[tuple[TaskId, int, str, Messages]] = deque()
        self._next = 0

    async def report(self) -> None:
        """As each host does every few seconds."""
        for host in self._hosts:
            await leadership.report(self._table, self._said(host))

    async def work(self, ending: int) -> int:
        """The `ending` that have run longest end, others are taken as far as there are any. Returns how many run."""
        changed: set[tuple[str, int]] = set()
        for _ in range(min(ending, len(self._running))):
            task, host, handle, queue = self._running.popleft()
            queue.delete(handle)
            self._of(task, host).end(_end(task))
            changed.add((task.job_id, host))
        for queue in self._world.sqs.queues.values():
            changed |= self._take(queue)
        for job_id, host in sorted(changed):
            await self._write(job_id, host)
        return len(self._running)

    def _take(self, queue: Messages) -> set[tuple[str, int]]:
        changed: set[tuple[str, int]] = set()
        taken = queue.take(self._slots - len(self._running), HELD, short=False)
        for message in taken:
            task, host = decode_pointer(message.body), self._next
            self._next = (self._next + 1) % len(self._hosts)
            self._of(task, host).begin(task.index, 1, now())
            self._running.append((task, host, message.handle, queue))
            changed.add((task.job_id, host))
        return changed

    def _of(self, task: TaskId, host: int) -> Sums:
        return self._sums.setdefault((task.job_id, host), Sums())

    async def _write(self, job_id: str, host: int) -> None:
        if job_id not in self._sizes:
            self._sizes[job_id] = (await self._world.job(job_id)).job.array.size
        parts = parts_for(self._sizes[job_id])
        item = totals.item_of(job_id, parts, f"{self._hosts[host]}-1", self._sums[job_id, host], None)
        await totals.put(self._table, item)

    def _said(self, host: str) -> HostReport:
        return HostReport(
            host=host,
            incarnation="00000001",
            state="running",
            vcpus=self._capacity.vcpus,
            memory=self._capacity.memory,
            free_vcpus=0.0,
            free_memory=0,
            tasks=int(self._capacity.vcpus),
            engines=("docker",),
            queues=self._channels,
            pid=1,
            started_at=now(),
            seen_at=now(),
        )


def _end(task: TaskId) -> End:
    outcome = Outcome(Kind.SUCCEEDED, exit_code=0, started_at=now() - SECONDS, finished_at=now())
    return End(task.index, 1, Status.SUCCEEDED, 1, outcome, now())
