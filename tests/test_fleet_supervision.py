"""The supervisor over a fleet: channels, machines, what is published. SQLite in memory stands in for SQS and DynamoDB,
a scripted fleet for Auto Scaling. Virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from controller import submission
from controller.model import EnvironmentCapacity, Instance
from controller.simulation.clock import now, run
from controller.supervisor import Supervisor
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.queue import SqliteQueue
from runner.adapters.sqlite.records import SqliteRecords
from runner.codec import decode_note, demand_on
from runner.errors import Unavailable
from runner.model import Attempt, Charge, Job, Kind, Outcome, Status
from runner.records import Backlog, HostReport, JobRecord, Note, Verdict
from runner.routing import Routes
from runner.settings import SupervisorSettings
from tests.fleets import GIB, environment, job_of, on_demand, routes_of

ROUTES = routes_of(
    environment("small", "m6i.large"), on_demand("steady", "m6i.large"), environment("large", "r6i.4xlarge")
)


@dataclass
class ScriptedFleet:
    """Machines come at once."""

    routes: Routes
    machines: dict[str, list[str]] = field(default_factory=dict)
    replaced: list[str] = field(default_factory=list)
    fails: bool = False
    trouble: str = ""

    async def capacity(self) -> Mapping[str, EnvironmentCapacity]:
        if self.fails:
            message = "autoscaling is out of reach"
            raise Unavailable(message)
        return {name: self._capacity(name) for name in self.routes.environments}

    def _capacity(self, name: str) -> EnvironmentCapacity:
        found = [Instance(each, in_service=True) for each in self.machines.get(name, [])]
        return EnvironmentCapacity(name, len(found), len(found), 0, 0, 10, found)

    async def resize(self, environment: str, desired: int) -> None:
        own = self.machines.setdefault(environment, [])
        own += [f"i-{environment}-{number}" for number in range(len(own), desired)]

    async def replace(self, environment: str, instance: str) -> None:
        self.replaced.append(instance)
        self.machines[environment].remove(instance)

    async def stop(self) -> None:
        """There is nothing to stop."""

    @property
    def counts(self) -> dict[str, int]:
        return {name: len(own) for name, own in self.machines.items() if own}


class StaleQueue(SqliteQueue):
    """Its counts are those of ten minutes ago."""

    async def backlog(self) -> Mapping[str, Backlog]:
        return {name: replace(depth, as_of=now() - 600) for name, depth in (await super().backlog()).items()}


class Desk:
    def __init__(self, queue: type[SqliteQueue] = SqliteQueue) -> None:
        database = Database.memory()
        self.queue = queue(database, now, ROUTES.channels)
        self.ledger = SqliteLedger(database, now, lease=30.0)
        self.records = SqliteRecords(database, now)
        self.fleet = ScriptedFleet(ROUTES)
        self.supervisor = Supervisor(
            self.records,
            self.queue,
            self.fleet,
            now,
            holder="one",
            settings=SupervisorSettings(),
            routes=ROUTES,
            missing_after=60,
        )

    async def submit(self, job_id: str, tasks: int, **more: Any) -> Job:
        job = job_of(job_id, tasks, created_at=now(), **more)
        await submission.submit(self.records, self.queue, job, 5000, ROUTES)
        return job

    async def depths(self) -> dict[str, int]:
        return {name: depth.total for name, depth in (await self.queue.backlog()).items() if depth.total}

    async def begin(self, job: Job) -> Attempt:
        (lease,) = await self.queue.receive(1, wait=0, hide=30)
        attempt = await self.ledger.begin(lease, job, "host#1")
        await self.queue.complete([lease])
        assert isinstance(attempt, Attempt)
        return attempt

    async def finish(self, attempt: Attempt, seconds: float = 0.0, verdict: Verdict | None = None) -> None:
        outcome = Outcome(Kind.SUCCEEDED, started_at=now() - seconds, finished_at=now())
        await self.ledger.finish(attempt, outcome, verdict or Verdict(Status.SUCCEEDED))

    async def note(self) -> Note:
        return decode_note((await self.ledger.supervision()).note)

    async def record(self, job_id: str) -> JobRecord:
        record = await self.records.job(job_id)
        assert record is not None
        return record

    async def report(self, host: str, state: str = "running") -> None:
        await self.ledger.report(
            HostReport(host, "1", state, 2, GIB, 2, GIB, 0, ("docker",), (), 1, now(), now())
        )


def scene(play: Callable[[Desk], Awaitable[None]], **more: Any) -> None:
    async def main() -> None:
        await play(Desk(**more))

    run(main())


def test_each_job_goes_to_the_channel_that_its_tasks_need() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 3)
        await desk.submit("b", 2, gib=60.0)
        assert await desk.depths() == {"default.2x8": 3, "default.16x128": 2}

    scene(play)


def test_machines_are_asked_for_where_the_tasks_fit() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 3)
        await desk.submit("b", 2, gib=60.0)
        await desk.supervisor.step()
        assert desk.fleet.counts == {"small": 2, "large": 2}

    scene(play)


def test_how_long_an_earlier_job_of_that_name_took_counts() -> None:
    async def play(desk: Desk) -> None:
        job = await desk.submit("a", 1, name="short")
        await desk.finish(await desk.begin(job), seconds=3.0)
        await desk.submit("b", 200, name="short")
        await desk.submit("c", 20, name="new")
        await desk.supervisor.step()
        assert desk.fleet.counts == {"small": 10, "steady": 1}  # 200 · 3 s / (2 · 300 s), and 20 / 2
        assert (
            "200 tasks of default.2x8 (2 at a time, about 3s each)" in (await desk.note()).reasons["steady"]
        )

    scene(play)


def test_the_decisions_are_published_with_their_reasons() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 3)
        await desk.supervisor.step()
        note = await desk.note()
        assert note.demand == {"default.2x8": 3}
        assert note.reasons == {
            "small": "2 machines for 3 tasks of default.2x8 (2 at a time, not seen to end yet, taken for 1m each)",
            "steady": "nothing to do",
            "large": "nothing to do",
        }

    scene(play)


def test_agents_learn_the_demand_of_their_own_channels() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 3)
        await desk.supervisor.step()
        supervision = await desk.ledger.supervision()
        assert demand_on(ROUTES.channels_of("small"), supervision) == 3
        assert demand_on(ROUTES.channels_of("large"), supervision) == 0

    scene(play)


def test_a_machine_need_not_stay_for_tasks_that_run_elsewhere() -> None:
    async def play(desk: Desk) -> None:
        job = await desk.submit("a", 2)
        await desk.begin(job)
        for waiting in (1, 0):
            await desk.supervisor.step()
            supervision = await desk.ledger.supervision()
            assert (supervision.demand, demand_on(["default.2x8"], supervision)) == (2, waiting)
            if waiting:
                await desk.begin(job)

    scene(play)


def test_a_machine_need_not_stay_for_tasks_that_must_not_run_beside_others() -> None:
    async def play(desk: Desk) -> None:
        job = await desk.submit("a", 9, max_parallel=1)
        await desk.begin(job)
        await desk.supervisor.step()
        assert demand_on(["default.2x8"], await desk.ledger.supervision()) == 0

    scene(play)


def test_a_note_that_cannot_be_read_leaves_the_demand_of_all() -> None:
    async def play(desk: Desk) -> None:
        await desk.records.lead("one", 60)
        await desk.records.publish("one", 7, "from a newer release")
        assert demand_on(["default.2x8"], await desk.ledger.supervision()) == 7

    scene(play)


def test_counts_that_are_stale_hold_the_fleet_as_it_is() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 30)
        step = await desk.supervisor.step()
        assert (step.demand, desk.fleet.counts) == (30, {})
        assert "was last seen 10m ago" in (await desk.note()).reasons["small"]

    scene(play, queue=StaleQueue)


def test_a_fleet_out_of_reach_holds_and_the_demand_is_published_all_the_same() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 3)
        desk.fleet.fails = True
        with pytest.raises(Unavailable):
            await desk.supervisor.step()
        supervision = await desk.ledger.supervision()
        assert supervision.demand == 3
        assert (await desk.note()).reasons["small"] == "held: autoscaling is out of reach"

    scene(play)


def test_after_a_retry_a_task_goes_where_its_memory_is() -> None:
    async def play(desk: Desk) -> None:
        job = await desk.submit("a", 1)
        verdict = Verdict(Status.RUNNABLE, Charge.USER, memory=60 * GIB)
        await desk.finish(await desk.begin(job), verdict=verdict)
        await desk.supervisor.step()
        await asyncio.sleep(61)  # its message is gone: nobody sent it again
        await desk.supervisor.step()
        assert await desk.depths() == {"default.16x128": 1}

    scene(play)


def test_what_was_lost_twice_is_sent_again_to_machines_on_demand() -> None:
    async def play(desk: Desk) -> None:
        job = await desk.submit("a", 1)
        verdict = Verdict(Status.RUNNABLE, Charge.INFRA)
        await desk.finish(await desk.begin(job), verdict=verdict)
        for _ in range(2):
            await desk.supervisor.step()
            await asyncio.sleep(61)
        await desk.supervisor.step()
        assert await desk.depths() == {"default.2x8": 1}
        await desk.finish(await desk.begin(job), verdict=verdict)
        for _ in range(2):
            await desk.supervisor.step()
            await asyncio.sleep(61)
        await desk.supervisor.step()
        assert await desk.depths() == {"default.2x8.od": 1}

    scene(play)


def test_tasks_on_another_channel_are_not_taken_for_missing() -> None:
    async def play(desk: Desk) -> None:
        job = await desk.submit("a", 1)
        verdict = Verdict(Status.RUNNABLE, Charge.USER, memory=60 * GIB)
        attempt = await desk.begin(job)
        await desk.finish(attempt, verdict=verdict)
        await desk.queue.send("default.16x128", [attempt.task])
        for _ in range(5):
            await desk.supervisor.step()
            await asyncio.sleep(61)
        assert await desk.depths() == {"default.16x128": 1}

    scene(play)


def test_a_job_whose_queue_left_the_settings_does_not_stop_the_others() -> None:
    async def play(desk: Desk) -> None:
        await desk.records.register(job_of("gone", 5, queue="gone"))
        await desk.submit("a", 3)
        step = await desk.supervisor.step()
        assert step.demand == 8
        assert desk.fleet.counts == {"small": 2}

    scene(play)


def test_a_machine_whose_agent_drains_is_made_up_for() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 4)
        await desk.supervisor.step()
        await desk.report("i-small-0", "draining")
        await asyncio.sleep(15)
        await desk.supervisor.step()
        assert desk.fleet.counts == {"small": 3}

    scene(play)


def test_a_machine_that_never_registers_is_replaced() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 4)
        for _ in range(100):
            await desk.report("i-small-1")
            await desk.supervisor.step()
            await asyncio.sleep(10)
        assert desk.fleet.replaced == ["i-small-0"]

    scene(play)


def test_jobs_of_one_channel_are_sent_in_equal_shares() -> None:
    async def play(desk: Desk) -> None:
        for job_id in "abcde":
            await desk.records.register(job_of(job_id, 100_000))
        await desk.supervisor.step()
        sent = [(await desk.record(job_id)).queued for job_id in "abcde"]
        assert sent == [1000] * 5

    scene(play)
