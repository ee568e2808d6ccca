"""What a simulated installation uses: DynamoDB's units by kind of collection, requests, messages, time of steps.

For installations of hundreds of machines, where nobody reads the history: `forget_history` does without it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.simulation.history import Event
from controller.simulation.network import Answer
from controller.simulation.services.dynamodb.capacity import Throughput
from controller.simulation.services.dynamodb.errors import Refused
from controller.simulation.services.sqs_message import nobody_watches
from controller.simulation.world import World
from controller.supervisor import Step, Supervisor

WRITING, READING = "TableWriteKeyRangeThroughputExceeded", "TableReadKeyRangeThroughputExceeded"


class Metered(Throughput):
    """Units that were given and requests that were refused, by kind of collection, as in `J` of `J#JOB`; `hottest`: the
    most that one collection of a kind gave within a second of the clock. `free`: nothing is counted or refused."""

    def __init__(self, rate: float, reason: str) -> None:
        super().__init__(rate, reason)
        self.given: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.hottest: dict[str, float] = {}
        self.free = False
        self._second = 0
        self._lately: Counter[str] = Counter()

    def take(self, table: str, hash_key: Any, units: float, now: float) -> None:
        """Raises Refused."""
        kind = str(hash_key).partition("#")[0]
        if self.free:
            return
        try:
            super().take(table, hash_key, units, now)
        except Refused:
            self.refused[kind] += 1
            raise
        self.given[kind] += units  # type: ignore[assignment]  # halves of them, too
        if int(now) != self._second:
            self._second, self._lately = int(now), Counter()
        self._lately[hash_key] += units  # type: ignore[assignment]
        self.hottest[kind] = max(self.hottest.get(kind, 0.0), self._lately[hash_key])


class _Forgotten(list[Event]):
    def append(self, _event: Event) -> None: ...


def forget_history(world: World) -> None:
    """Nothing is kept of what happens, and what is sent and written to the ledger is not looked at."""
    world.history.events = _Forgotten()
    for queue in world.sqs.queues.values():
        queue._watch = nobody_watches
    for table in world.dynamodb._core.tables.values():
        vars(table).pop("put", None)  # as the world put it there


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was used until now. `cpu`: seconds of this process; `agents` that live, `running` containers; messages
    `visible` and `in_flight` on all queues."""

    at: float
    cpu: float
    agents: int
    running: int
    visible: int
    in_flight: int
    requests: Mapping[tuple[str, str], int]
    writes: Mapping[str, float]
    reads: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TimedStep:
    """`seconds` of virtual time; `cpu`: of this process, without the services'; both are the controller's own only
    where nobody else is at work. `requests` and `reads`, in units, likewise. `sent`: tasks."""

    seconds: float
    cpu: float
    requests: int
    reads: float
    sent: int


class Meter:
    """Make it before anything happens in the world. DynamoDB then refuses what a partition does not have. `asked`:
    requests by who made them (`controller`, `agents`, `others`), service and operation; `used`: units by who and
    which."""

    def __init__(self, world: World) -> None:
        core = world.dynamodb._core
        self.writing, self.reading = Metered(1000.0, WRITING), Metered(3000.0, READING)
        core.writing, core.reading = self.writing, self.reading
        core.behaviour.throttles = True
        self.steps: list[TimedStep] = []
        self.asked: Counter[tuple[str, str, str]] = Counter()
        self.used: Counter[tuple[str, str]] = Counter()
        self._world = world
        self._services = 0.0
        self._carry_out = world.network.carry_out
        world.network.carry_out = self._timed  # type: ignore[method-assign]

    def read(self) -> Reading:
        world = self._world
        found = [queue.attributes() for queue in world.sqs.queues.values()]
        machines = world.alive
        return Reading(
            at=asyncio.get_running_loop().time(),
            cpu=time.process_time(),
            agents=sum(1 for machine in machines if machine.life is not None),
            running=sum(len(machine.site.daemon.containers) for machine in machines),
            visible=sum(int(each["ApproximateNumberOfMessages"]) for each in found),
            in_flight=sum(int(each["ApproximateNumberOfMessagesNotVisible"]) for each in found),
            requests=dict(world.network.requests),
            writes=dict(self.writing.given),
            reads=dict(self.reading.given),
        )

    def time_steps(self, supervisor: Supervisor) -> None:
        step = supervisor.step

        async def timed() -> Step:
            before, cpu = self._so_far(), time.process_time()
            done = await step()
            cpu = time.process_time() - cpu
            at, services, requests, reads = (
                now - then for now, then in zip(self._so_far(), before, strict=True)
            )
            self.steps.append(TimedStep(at, cpu - services, round(requests), reads, done.sent))
            return done

        supervisor.step = timed  # type: ignore[method-assign]

    def _so_far(self) -> tuple[float, ...]:
        requests, reads = self._world.network.requests.total(), self.reading.given.total()
        return asyncio.get_running_loop().time(), self._services, requests, reads

    def _timed(self, caller: str, service: str, operation: str, parameters: dict[str, Any]) -> Answer:
        begun, who = time.process_time(), _kind(caller)
        self.asked[who, service, operation] += 1
        writes, reads = self.writing.given.total(), self.reading.given.total()
        try:
            return self._carry_out(caller, service, operation, parameters)
        finally:
            self.used[who, "writes"] += self.writing.given.total() - writes
            self.used[who, "reads"] += self.reading.given.total() - reads
            self._services += time.process_time() - begun


def _kind(caller: str) -> str:
    if caller.startswith("controller"):
        return "controller"
    return "agents" if "/" in caller else "others"
