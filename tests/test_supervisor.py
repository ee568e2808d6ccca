"""The supervisor's step, over SQLite in memory and a fleet that only counts. Virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from controller import scheduling, submission
from controller.model import EnvironmentCapacity
from controller.simulation.clock import now, run
from controller.supervisor import Supervisor
from controller.wiring import open_parts
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.queue import SqliteQueue
from runner.adapters.sqlite.records import SqliteRecords
from runner.array import Array
from runner.configuration import load_settings
from runner.errors import Unavailable
from runner.model import Attempt, Job, Kind, Outcome, Status, TaskId
from runner.records import JobRecord, Verdict
from runner.routing import LOCAL, Routes
from runner.settings import Settings, SupervisorSettings

EMBEDDED = Routes.of(Settings())


@dataclass
class CountingFleet:
    running: int = 0
    maximum: int = 3
    asked: list[int] = field(default_factory=list)
    trouble: str = ""

    async def capacity(self) -> Mapping[str, EnvironmentCapacity]:
        running = self.running
        return {LOCAL: EnvironmentCapacity(LOCAL, running, running, 0, 0, self.maximum)}

    async def resize(self, environment: str, desired: int) -> None:
        self.asked.append(desired)
        self.running = max(self.running, desired)

    async def replace(self, environment: str, instance: str) -> None:
        raise AssertionError(instance)

    async def stop(self) -> None:
        """There is nothing to stop."""


class Desk:
    def __init__(self, window: int = 100) -> None:
        self.database = Database.memory()
        self.window = window
        self.settings = SupervisorSettings(window=window)
        self.queue = SqliteQueue(self.database, now, {"default": 0})
        self.ledger = SqliteLedger(self.database, now, lease=30.0)
        self.records = SqliteRecords(self.database, now)
        self.fleet = CountingFleet()

    def supervisor(self, holder: str = "one") -> Supervisor:
        return Supervisor(
            self.records,
            self.queue,
            self.fleet,
            now,
            holder=holder,
            settings=self.settings,
            routes=EMBEDDED,
            missing_after=60,
        )

    async def submit(self, name: str, tasks: int = 1, **changes: object) -> JobRecord:
        job = Job(name, name, ("x",), Array.of_size(tasks), created_at=now())
        changed = replace(job, **changes)  # type: ignore[arg-type]
        return (await submission.submit(self.records, self.queue, changed, self.window, EMBEDDED)).record

    async def work(self, limit: int, kind: Kind = Kind.SUCCEEDED) -> int:
        """Do up to `limit` tasks of what is on the queue; all of them end as `kind`."""
        leases = await self.queue.receive(limit, wait=0, hide=30)
        for lease in leases:
            job = await self.ledger.job(lease.task.job_id)
            assert job is not None
            attempt = await self.ledger.begin(lease, job, "host#1")
            if isinstance(attempt, Attempt):
                status = Status.SUCCEEDED if kind is Kind.SUCCEEDED else Status.FAILED
                await self.ledger.finish(attempt, Outcome(kind), Verdict(status))
        await self.queue.complete(leases)
        return len(leases)

    async def status(self, job_id: str) -> Status:
        record = await self.records.job(job_id)
        assert record is not None
        return record.status

    async def waiting(self) -> int:
        return (await self.queue.backlog())["default"].total


def scene(play: Callable[[Desk], Awaitable[None]], window: int = 100) -> None:
    async def main() -> None:
        await play(Desk(window))

    run(main())


def test_a_submit_sends_its_first_window_and_the_supervisor_the_following() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", tasks=250)
        assert await desk.waiting() == 100
        done = 0
        while await desk.status("a") is not Status.SUCCEEDED:
            done += await desk.work(10)
            await desk.supervisor().step()
        assert done == 250

    scene(play)


async def all_done(desk: Desk, name: str) -> float:
    """How long, in seconds, machines took that work on whatever there is."""
    began = asyncio.get_running_loop().time()
    while await desk.status(name) is not Status.SUCCEEDED:
        await desk.work(1000)
        await asyncio.sleep(0.1)
    return asyncio.get_running_loop().time() - began


def test_where_steps_are_far_apart_short_tasks_do_not_wait_for_the_next_one() -> None:
    async def play(desk: Desk) -> None:
        desk.settings = SupervisorSettings(window=desk.window, interval=5.0)
        running = asyncio.create_task(desk.supervisor().run())
        await desk.submit("a", tasks=10 * desk.window)
        assert await all_done(desk, "a") < 20.0
        running.cancel()

    scene(play)


def test_whoever_does_not_lead_any_more_sends_no_more_between_two_steps() -> None:
    async def play(desk: Desk) -> None:
        desk.settings = SupervisorSettings(window=desk.window, interval=30.0)
        running = asyncio.create_task(desk.supervisor("one").run())
        await desk.submit("a", tasks=10 * desk.window)
        await desk.work(1000)
        await asyncio.sleep(0.5)
        await desk.records.resign("one")
        assert await desk.records.lead("two", 60.0)
        await asyncio.sleep(8.0)  # a lease may be relied on for half of its time
        await desk.work(1000)
        await asyncio.sleep(12.0)
        assert await desk.waiting() == 0
        running.cancel()

    scene(play)


def test_a_step_that_did_not_lead_is_not_followed_by_sending() -> None:
    async def play(desk: Desk) -> None:
        desk.settings = SupervisorSettings(window=desk.window, interval=5.0, lease=30.0)
        running = asyncio.create_task(desk.supervisor("one").run())
        await desk.submit("a", tasks=10 * desk.window)
        await asyncio.sleep(0.5)
        await desk.work(1000)
        await asyncio.sleep(4.0)
        assert await desk.waiting()  # sent between two steps
        await desk.records.resign("one")
        assert await desk.records.lead("two", 60.0)
        await asyncio.sleep(1.0)
        await desk.work(1000)
        await asyncio.sleep(4.0)
        assert await desk.waiting() == 0
        running.cancel()

    scene(play)


def test_where_somebody_leads_that_one_sends_the_first_window_too() -> None:
    async def play(desk: Desk) -> None:
        job = Job("a", "a", ("x",), Array.of_size(250), created_at=now())
        await submission.submit(desk.records, desk.queue, job, 0, EMBEDDED)
        assert await desk.waiting() == 0
        await desk.supervisor().step()
        assert await desk.waiting() == 100

    scene(play)


def test_the_unfinished_jobs_are_read_again_only_if_one_of_them_was_settled() -> None:
    class Counting(SqliteRecords):
        reads = 0  # `tidy` reads them too

        async def jobs(self, **given: Any) -> Sequence[JobRecord]:
            self.reads += 1
            return await super().jobs(**given)

    async def play(desk: Desk) -> None:
        desk.records = records = Counting(desk.database, now)
        await desk.submit("a")
        await desk.submit("b", after=("a",))
        reads = []
        for done in (0, 1, 0):
            await desk.work(done)
            records.reads = 0
            await desk.supervisor().step()
            reads.append(records.reads)
        assert reads == [1, 2, 1]

    scene(play)


def test_the_queue_never_holds_more_than_a_window_of_a_job() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", tasks=1000)
        for _ in range(5):
            await desk.supervisor().step()
        assert await desk.waiting() == 100

    scene(play)


def test_no_more_than_max_parallel_are_sent_and_each_end_makes_place_for_one() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", tasks=10, max_parallel=3)
        assert await desk.waiting() == 3
        await desk.work(1)
        await desk.supervisor().step()
        assert await desk.waiting() == 3

    scene(play)


def test_enqueueing_twice_with_the_same_old_record_sends_no_more_than_max_parallel() -> None:
    async def play(desk: Desk) -> None:
        job = Job("a", "a", ("x",), Array.of_size(5), created_at=now(), max_parallel=1)
        old, _ = await desk.records.register(job)
        for _ in range(2):
            await scheduling.enqueue(desk.records, desk.queue, old, desk.window, EMBEDDED)
        leases = await desk.queue.receive(10, wait=0, hide=30)
        assert [lease.task.index for lease in leases] == [0]

    scene(play)


def test_a_crash_between_sending_and_moving_the_cursor_loses_and_doubles_nothing() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", tasks=150)
        window = await desk.records.unsent("a", 150)
        await desk.queue.send(
            "default", [TaskId("a", index) for index in window.indices]
        )  # and then it was killed
        await desk.supervisor().step()
        while await desk.work(10):
            await desk.supervisor().step()
        record = await desk.records.job("a")
        assert record is not None
        assert record.counts.succeeded == 150

    scene(play)


def test_a_child_starts_when_its_parent_has_succeeded() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a")
        await desk.submit("b", after=("a",))
        await desk.supervisor().step()
        assert await desk.status("b") is Status.PENDING
        await desk.work(10)
        await desk.supervisor().step()
        assert await desk.status("b") is Status.RUNNABLE
        await desk.supervisor().step()
        assert await desk.waiting() == 1

    scene(play)


def test_a_chain_behind_a_failure_ends_in_one_step_with_the_reasons() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a")
        await desk.submit("b", after=("a",))
        await desk.submit("c", tasks=5, after=("b",))
        await desk.work(10, Kind.FAILED)
        await desk.supervisor().step()
        last = await desk.records.job("c")
        assert last is not None
        assert last.ending is not None
        assert (last.status, last.counts.cancelled) == (Status.FAILED, 5)
        assert last.ending.reason == "b (b) failed: a (a) failed: 1 of 1 tasks did"

    scene(play)


class Counting(SqliteRecords):
    """Counts how often it is asked for one job."""

    looks = 0

    async def job(self, job_id: str) -> JobRecord | None:
        self.looks += 1
        return await super().job(job_id)


def test_a_chain_is_settled_with_one_look_at_each_job() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("j0")
        for number in range(1, 50):
            await desk.submit(f"j{number}", after=(f"j{number - 1}",))
        await desk.work(1, Kind.FAILED)
        desk.records = counting = Counting(desk.database, now)
        await desk.supervisor().step()
        assert await desk.status("j49") is Status.FAILED
        assert counting.looks <= 51

    scene(play)


def test_many_who_wait_for_one_look_at_it_once() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a")
        for number in range(20):
            await desk.submit(f"j{number}", after=("a",))
        desk.records = counting = Counting(desk.database, now)
        await desk.supervisor().step()
        assert counting.looks == 0

    scene(play)


def test_a_decision_for_more_machines_is_logged() -> None:
    async def play(desk: Desk) -> None:
        running = asyncio.create_task(desk.supervisor().run())
        with capture_logs() as logs:
            await asyncio.sleep(5)
            await desk.submit("a", tasks=2)
            await asyncio.sleep(60)
        running.cancel()
        decisions = [entry["desired"] for entry in logs if entry["event"] == "more machines"]
        assert decisions == [2]

    scene(play)


def test_a_retry_downstream_opens_what_ended_because_of_the_failure() -> None:
    async def play(desk: Desk) -> None:
        parent = await desk.submit("a")
        await desk.submit("b", after=("a",))
        await desk.work(10, Kind.FAILED)
        await desk.supervisor().step()
        parent = await desk.records.job("a") or parent
        reopened = await submission.retry(desk.records, parent, now, downstream=True)
        assert [(each.record.job.id, each.tasks) for each in reopened] == [("a", 1), ("b", 1)]
        for _ in range(4):
            await desk.supervisor().step()
            await desk.work(10)
        assert await desk.status("b") is Status.SUCCEEDED

    scene(play)


def test_only_one_of_two_supervisors_acts() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a")
        first, second = desk.supervisor("one"), desk.supervisor("two")
        assert [(await first.step()).leading, (await second.step()).leading] == [True, False]

    scene(play)


async def test_of_two_supervisors_in_one_process_one_leads(tmp_path: Path) -> None:
    async with open_parts(load_settings(None, {"RUNNER_HOME": str(tmp_path)}, tmp_path)) as parts:
        first, second = parts.supervisor(), parts.supervisor()
        assert [(await first.step()).leading, (await second.step()).leading] == [True, False]


def test_another_supervisor_takes_over_when_the_leader_falls_silent() -> None:
    async def play(desk: Desk) -> None:
        await desk.supervisor("one").step()
        await asyncio.sleep(11)
        assert (await desk.supervisor("two").step()).leading

    scene(play)


class SlowQueue(SqliteQueue):
    """`seconds` for every send; `sent` lists the jobs in the order in which their tasks came."""

    seconds = 0.0

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.database, now, {"default": 0})
        self.sent: list[str] = []

    async def send(self, queue: str, tasks: Sequence[TaskId], *, delay: float = 0.0) -> None:
        await super().send(queue, tasks, delay=delay)
        self.sent.append(tasks[0].job_id)
        await asyncio.sleep(self.seconds)


async def unsent_jobs(desk: Desk, *names: str) -> SlowQueue:
    """A queue in place of the desk's, and jobs of which nothing was sent."""
    for name in names:
        await desk.records.register(Job(name, name, ("x",), Array.of_size(1), created_at=now()))
    desk.queue = queue = SlowQueue(desk)
    return queue


def test_a_step_that_outlives_its_lease_stops() -> None:
    async def play(desk: Desk) -> None:
        queue = await unsent_jobs(desk, "a", "b", "c")
        queue.seconds = 11
        step = asyncio.create_task(desk.supervisor("one").step())
        await asyncio.sleep(10.5)
        assert await desk.records.lead("two", 10)
        assert not (await step).leading
        assert queue.sent == ["a"]
        assert desk.fleet.asked == []

    scene(play)


def test_a_long_step_keeps_its_lease() -> None:
    async def play(desk: Desk) -> None:
        queue = await unsent_jobs(desk, "a", "b", "c", "d")
        queue.seconds = 6
        step = asyncio.create_task(desk.supervisor("one").step())
        for _ in range(4):
            await asyncio.sleep(5.5)
            assert not await desk.records.lead("two", 10)
        assert (await step).leading
        assert queue.sent == ["a", "b", "c", "d"]

    scene(play)


def test_a_leader_whose_steps_fail_leads_on() -> None:
    class Unreachable(CountingFleet):
        async def capacity(self) -> Mapping[str, EnvironmentCapacity]:
            message = "out of reach"
            raise Unavailable(message)

    async def play(desk: Desk) -> None:
        desk.fleet = Unreachable()
        running = asyncio.create_task(desk.supervisor().run())
        for _ in range(300):
            await asyncio.sleep(1)
            assert (await desk.ledger.supervision()).led
        running.cancel()

    scene(play)


def test_one_that_resigns_makes_way_at_once() -> None:
    async def play(desk: Desk) -> None:
        first = desk.supervisor("one")
        await first.step()
        await first.resign()
        assert (await desk.supervisor("two").step()).leading

    scene(play)


def test_machines_are_asked_for_only_while_there_is_something_to_do() -> None:
    async def play(desk: Desk) -> None:
        supervisor = desk.supervisor()
        await supervisor.step()
        await desk.submit("a", tasks=2)
        await supervisor.step()
        assert desk.fleet.asked == [0, 2]

    scene(play)


def test_the_agents_are_told_the_demand() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", tasks=7)
        await desk.submit("b", after=("a",))
        await desk.supervisor().step()
        supervision = await desk.ledger.supervision()
        assert (supervision.led, supervision.demand) == (True, 7)

    scene(play)


def test_tasks_whose_messages_vanished_are_sent_again_once_the_queue_was_long_empty() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", tasks=3)
        await desk.queue.complete(await desk.queue.receive(2, wait=0, hide=30))
        await desk.work(1)
        supervisor = desk.supervisor()
        for _ in range(10):
            await supervisor.step()
            await asyncio.sleep(8)
        assert await desk.work(10) == 2
        assert await desk.status("a") is Status.SUCCEEDED

    scene(play)


def test_a_service_out_of_reach_is_tried_again_ever_later_and_never_in_a_hot_loop() -> None:
    class Unreachable(CountingFleet):
        async def capacity(self) -> Mapping[str, EnvironmentCapacity]:
            self.asked.append(0)
            message = "out of reach"
            raise Unavailable(message)

    async def play(desk: Desk) -> None:
        desk.fleet = Unreachable()
        running = asyncio.create_task(desk.supervisor().run())
        await asyncio.sleep(600)
        running.cancel()
        assert 5 < len(desk.fleet.asked) < 200

    scene(play)
