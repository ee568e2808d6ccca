"""The supervisor over a fleet: channels, machines, what is published. SQLite in memory stands in for SQS and DynamoDB,
a scripted fleet for Auto Scaling. Virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from controller import submission
from controller.model import EnvironmentCapacity, Instance
from controller.simulation.clock import now, run
from controller.simulation.services.service import denied
from controller.supervisor import Supervisor
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.queue import SqliteQueue
from runner.adapters.sqlite.records import SqliteRecords
from runner.aws import AwsError
from runner.codec import decode_note, demand_on
from runner.errors import Unavailable
from runner.model import Attempt, Charge, Job, Kind, Outcome, Status, TaskId
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
    denied: bool | str = False  # which environment may not be resized; True: none may
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
        if self.denied in (True, environment) and desired > len(own):
            raise denied()
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


class ShiftedQueue(SqliteQueue):
    """Its counts are not all of one moment: 50 messages seem to have gone from one channel to another."""

    async def backlog(self) -> Mapping[str, Backlog]:
        found = dict(await super().backlog())
        for channel, more in (("default.2x8", -50), ("default.16x128", 50)):
            found[channel] = replace(found[channel], visible=found[channel].visible + more)
        return found


class Desk:
    def __init__(self, queue: type[SqliteQueue] = SqliteQueue) -> None:
        database = Database.memory()
        self.queue = queue(database, now, ROUTES.channels)
        self.ledger = SqliteLedger(database, now, lease=30.0)
        self.records = SqliteRecords(database, now)
        self.fleet = ScriptedFleet(ROUTES)
        self.supervisor = self.another("one", self.fleet)

    def another(self, holder: str, fleet: ScriptedFleet, **more: Any) -> Supervisor:
        return Supervisor(
            self.records,
            self.queue,
            fleet,
            now,
            holder=holder,
            settings=SupervisorSettings(interval=5.0, lease=30.0),
            routes=ROUTES,
            missing_after=60,
            **more,
        )

    async def purge(self, channel: str, of: str) -> int:
        """Of the job's messages on the channel none is left. How many there were."""
        others, lost = [], 0
        while leases := await self.queue.receive(1000, wait=0, hide=30):
            await self.queue.complete(leases)
            others += [(lease.queue, lease.task) for lease in leases]
        for name, task in others:
            if (name, task.job_id) == (channel, of):
                lost += 1
            else:
                await self.queue.send(name, [task])
        return lost

    async def submit(self, job_id: str, tasks: int, **more: Any) -> Job:
        job = job_of(job_id, tasks, created_at=now(), **more)
        await submission.submit(self.records, self.queue, job, 5000, ROUTES)
        return job

    async def depths(self) -> dict[str, int]:
        return {name: depth.total for name, depth in (await self.queue.backlog()).items() if depth.total}

    async def submit_known(self, job_id: str, tasks: int, *, seconds: float) -> Job:
        """A job whose tasks are known to take so long, from an earlier one of its name."""
        await self.finish(await self.begin(await self.submit(f"{job_id}-earlier", 1, name=job_id)), seconds)
        return await self.submit(job_id, tasks, name=job_id)

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
        await desk.submit("b", 20, name="short")
        await desk.supervisor.step()
        assert desk.fleet.counts == {"small": 4}  # √(20 · 3 s / 2 · 0.50), of which 3 waves make 3.3
        assert "20 tasks of default.2x8 (2 at a time, about 3s each)" in (await desk.note()).reasons["small"]

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


def test_idle_machines_leave_while_the_only_task_waits_for_its_backoff_and_one_comes_back_when_it_shows() -> (
    None
):
    async def play(desk: Desk) -> None:
        job = await desk.submit("a", 1)
        verdict = Verdict(Status.RUNNABLE, Charge.USER, delay=600.0)
        (lease,) = await desk.queue.receive(1, wait=0, hide=30)
        attempt = await desk.ledger.begin(lease, job, "host#1")
        assert isinstance(attempt, Attempt)
        await desk.finish(attempt, verdict=verdict)
        await desk.queue.release(lease, 600.0)
        for _ in range(30):
            await desk.supervisor.step()
            await asyncio.sleep(5)
        assert demand_on(["default.2x8"], await desk.ledger.supervision()) == 0
        desk.fleet.machines.clear()
        await desk.supervisor.step()
        assert desk.fleet.counts == {}
        await asyncio.sleep(500)
        await desk.supervisor.step()
        assert desk.fleet.counts == {"small": 1}

    scene(play)


def test_one_look_at_counts_that_lag_brings_no_large_machine() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 300)
        for steps in range(30):
            await desk.supervisor.step()
            assert ("large" in desk.fleet.counts) == (steps >= 24)
            await asyncio.sleep(5)

    scene(play, queue=ShiftedQueue)


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
        await desk.submit_known("a", 4, seconds=3600.0)
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
        assert sent == [16] * 5  # twice as many in all as the machines hold, when there are all of them

    scene(play)


async def work_off(desk: Desk, slots: int, until: str) -> list[str]:
    """Rounds of an hour in which all slots do one task each, until that job's tasks have begun. Whose, in turn."""
    begun: list[str] = []
    record = await desk.record(until)
    while begun.count(until) < record.job.array.size:
        leases = await desk.queue.receive(slots, wait=0, hide=7200)
        attempts = []
        for lease in leases:
            job = await desk.ledger.job(lease.task.job_id)
            assert job is not None
            attempt = await desk.ledger.begin(lease, job, "host#1")
            assert isinstance(attempt, Attempt)
            attempts.append(attempt)
            begun.append(job.id)
        for _ in range(10):
            await desk.supervisor.step()
            await asyncio.sleep(360)
        for attempt in attempts:
            await desk.finish(attempt, seconds=3600)
        await desk.queue.complete(leases)
        await desk.supervisor.step()
    return begun


def test_a_second_users_ten_tasks_begin_before_the_first_users_next_hundred() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("first", 1000, user="ann")
        await desk.submit("one", 1, user="ann")
        await work_off(desk, 40, until="one")
        await desk.submit("second", 10, user="ben")
        begun = await work_off(desk, 40, until="second")
        while begun.pop() != "second":
            pass  # those began after its last
        assert begun.count("first") < 100

    scene(play)


# One broken thing, and all others


def test_a_group_that_may_not_grow_keeps_no_other_from_growing() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 3)
        await desk.submit("b", 2, gib=60.0)
        desk.fleet.denied = "small"
        with pytest.raises(AwsError):
            await desk.supervisor.step()
        assert desk.fleet.counts == {"large": 2}
        note = await desk.note()
        assert "not resized: " in note.reasons["small"]
        assert note.demand == {"default.2x8": 3, "default.16x128": 2}

    scene(play)


class UnsendableQueue(SqliteQueue):
    """Nothing can be sent to one of its channels."""

    async def send(self, queue: str, tasks: Sequence[TaskId], *, delay: float = 0.0) -> None:
        if queue == "default.16x128":
            message = "no such queue: default.16x128"
            raise Unavailable(message)
        await super().send(queue, tasks, delay=delay)


def test_a_job_that_cannot_be_sent_keeps_no_other_from_being_sent_nor_the_fleet_from_growing() -> None:
    async def play(desk: Desk) -> None:
        await desk.records.register(job_of("a", 2, gib=60.0))
        await desk.records.register(job_of("b", 3))
        with pytest.raises(Unavailable, match="no such queue"):
            await desk.supervisor.step()
        assert await desk.depths() == {"default.2x8": 3}
        assert desk.fleet.counts["small"] == 2

    scene(play, queue=UnsendableQueue)


@dataclass
class FreezingFleet(ScriptedFleet):
    """Whoever resizes it after a while is frozen meanwhile, and somebody else leads."""

    freeze: Callable[[], Awaitable[None]] | None = None

    async def resize(self, environment: str, desired: int) -> None:
        await super().resize(environment, desired)
        if self.freeze is not None:
            await self.freeze()


def test_a_leader_that_was_frozen_replaces_nobody() -> None:
    async def play(desk: Desk) -> None:
        began = now()

        async def freeze() -> None:
            if now() - began > 675:  # from here on a step would replace one
                await asyncio.sleep(31)
                await desk.records.lead("two", 1000)

        fleet = FreezingFleet(ROUTES, freeze=freeze)
        await desk.submit("a", 4)
        supervisor = desk.another("one", fleet)
        while (await supervisor.step()).leading:
            await asyncio.sleep(10)
        assert now() - began > 675
        assert fleet.replaced == []

    scene(play)


# Who leads


def test_a_leader_that_may_not_scale_makes_way_for_one_that_may() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 4)
        powerless = ScriptedFleet(ROUTES, denied=True)
        first = asyncio.create_task(desk.another("laptop", powerless).run())
        await asyncio.sleep(1)
        second = asyncio.create_task(desk.supervisor.run())
        await asyncio.sleep(60)
        assert desk.fleet.counts == {"small": 2}
        await cancelled(first, second)

    scene(play)


def test_a_leader_whose_steps_fail_makes_way_after_the_third() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 4)
        unreachable = ScriptedFleet(ROUTES, fails=True)
        first = asyncio.create_task(desk.another("laptop", unreachable).run())
        await asyncio.sleep(15)
        assert not (await desk.supervisor.step()).leading
        await asyncio.sleep(30)
        assert (await desk.supervisor.step()).leading
        await cancelled(first)

    scene(play)


def test_where_nobody_takes_its_place_it_leads_most_of_the_time() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 4)
        desk.fleet.denied = True
        alone = asyncio.create_task(desk.supervisor.run())
        led = 0
        for _ in range(3600):
            await asyncio.sleep(1)
            led += (await desk.ledger.supervision()).led
        assert led > 0.75 * 3600
        await cancelled(alone)

    scene(play)


def test_a_reserve_leads_only_once_nobody_has_led_for_a_lease() -> None:
    async def play(desk: Desk) -> None:
        await desk.supervisor.step()
        reserve = desk.another("laptop", desk.fleet, outlook=desk.ledger.supervision)
        assert not (await reserve.step()).leading
        await desk.supervisor.resign()
        await asyncio.sleep(25)
        assert not (await reserve.step()).leading
        await asyncio.sleep(10)
        assert (await reserve.step()).leading

    scene(play)


def test_a_daemon_that_was_started_again_leads_before_a_reserve_does() -> None:
    async def play(desk: Desk) -> None:
        await desk.supervisor.step()
        reserve = asyncio.create_task(
            desk.another("laptop", desk.fleet, outlook=desk.ledger.supervision).run()
        )
        await asyncio.sleep(20)
        await desk.supervisor.resign()
        await asyncio.sleep(20)
        assert (await desk.another("daemon", desk.fleet).step()).leading
        await cancelled(reserve)

    scene(play)


async def cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# Machines that come up


def test_a_booting_fleet_asks_for_no_extra_machine() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 4)
        await desk.supervisor.step()
        await asyncio.sleep(15)
        await desk.report("i-small-0", "unhealthy")  # as every agent is until it has looked at its host
        await desk.supervisor.step()
        await desk.report("i-small-0")
        await asyncio.sleep(15)
        await desk.supervisor.step()
        assert desk.fleet.counts == {"small": 2}

    scene(play)


def test_a_machine_that_stays_unhealthy_is_made_up_for() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit_known("a", 4, seconds=3600.0)
        for _ in range(3):
            await desk.supervisor.step()
            await desk.report("i-small-0", "unhealthy")
            await asyncio.sleep(15)
        assert desk.fleet.counts == {"small": 3}

    scene(play)


# Messages that are gone


def test_messages_are_missed_though_a_sibling_channel_is_busy() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 50)
        await desk.submit("b", 1000, gib=60.0)
        await desk.purge("default.2x8", "a")
        for _ in range(15):
            await desk.supervisor.step()
            await asyncio.sleep(5)
        assert (await desk.depths())["default.2x8"] >= 40

    scene(play)


def test_messages_are_missed_though_their_channel_never_is_empty() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 3)
        await desk.submit("b", 5)
        await desk.purge("default.2x8", "a")
        assert await desk.depths() == {"default.2x8": 5}
        for minutes in (30, 2):
            before = await desk.depths()
            for _ in range(minutes):
                await desk.supervisor.step()
                await asyncio.sleep(60)
        assert before == {"default.2x8": 5}
        assert (await desk.depths())["default.2x8"] >= 8

    scene(play)


def test_what_stays_silent_is_sent_again_ever_later() -> None:
    async def play(desk: Desk) -> None:
        await desk.submit("a", 1)
        busy = await desk.submit("b", 40)
        again = []
        for minute in range(8 * 60):
            if await desk.purge("default.2x8", "a"):
                again.append(minute)
            if minute % 20 == 0:
                await desk.finish(await desk.begin(busy))
            await desk.supervisor.step()
            await asyncio.sleep(60)
        assert [minute // 30 for minute in again] == [0, 1, 3, 7, 15]

    scene(play)


def test_what_waits_behind_long_tasks_is_not_missed_for_hours() -> None:
    async def play(desk: Desk) -> None:
        job = await desk.submit("a", 3)
        await desk.submit("b", 3)
        for _ in range(2):
            await desk.queue.release((await desk.queue.receive(1, wait=0, hide=30))[0])
        lease, *_ = await desk.queue.receive(1, wait=0, hide=50_000)
        assert isinstance(await desk.ledger.begin(lease, job, "host#1"), Attempt)
        for _ in range(3 * 60):
            await desk.supervisor.step()
            await asyncio.sleep(60)
        assert await desk.depths() == {"default.2x8": 6}

    scene(play)
