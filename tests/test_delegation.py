"""Jobs of a backend: the supervisor hands them to it, and its own machines never hear of them. Virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from controller import submission
from controller.model import Reason
from controller.ports import Lead
from controller.simulation.clock import now, run
from controller.supervisor import Supervisor
from runner.codec import decode_note
from runner.errors import Unavailable
from runner.model import Attempt, Kind, Lease, Outcome, Status, TaskId
from runner.records import JobRecord, Verdict
from runner.routing import Routes
from runner.settings import Settings, SupervisorSettings
from tests.fleets import environment, fleet_of
from tests.test_supervisor import EMBEDDED, Desk

FLEET = Routes(fleet_of(environment("spot", "m6i.large")), Settings().agent)


@dataclass
class Elsewhere:
    """A backend that notes what it is asked for, and counts tasks as sent."""

    desk: Desk
    trouble: str = ""
    broken: str = ""
    started: list[str] = field(default_factory=list)
    refreshed: list[list[str]] = field(default_factory=list)
    forgotten: int = 0

    async def start(self, record: JobRecord, lead: Lead) -> int:
        await lead()
        if record.job.id == self.broken:
            raise Unavailable(self.broken)
        self.started.append(record.job.id)
        window = await self.desk.records.unsent(record.job.id, 100)
        await self.desk.records.sent(record.job.id, window)
        return len(window.indices)

    async def refresh(self, records: Sequence[JobRecord], lead: Lead) -> None:
        await lead()
        self.refreshed.append(sorted(record.job.id for record in records))

    async def stop(self, record: JobRecord) -> None:
        raise NotImplementedError

    def forget(self) -> None:
        self.forgotten += 1

    async def reasons(self, record: JobRecord, now: float) -> Sequence[Reason]:
        raise NotImplementedError


class Stage(Desk):
    def __init__(self) -> None:
        super().__init__()
        self.batch = Elsewhere(self)

    def supervising(self, holder: str = "one", routes: Routes = EMBEDDED) -> Supervisor:
        return Supervisor(
            self.records,
            self.queue,
            self.fleet,
            now,
            holder=holder,
            settings=SupervisorSettings(),
            routes=routes,
            missing_after=60,
            backends={"batch": self.batch},
        )


def scene(play: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        await play(Stage())

    run(main())


def test_a_job_of_a_backend_is_started_there_and_not_sent() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a", 5, backend="batch")
        step = await stage.supervising().step()
        assert (stage.batch.started, stage.batch.refreshed) == (["a"], [["a"]])
        assert (await stage.waiting(), step.sent, stage.fleet.running) == (0, 5, 0)

    scene(play)


def test_its_first_window_is_not_sent_with_its_submission() -> None:
    async def play(stage: Stage) -> None:
        record = await stage.submit("a", 5, backend="batch")
        assert (await stage.waiting(), record.sent) == (0, 0)

    scene(play)


def test_no_machine_is_asked_for_what_a_backend_runs() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a", 5, backend="batch")
        await stage.submit("b", 2)
        step = await stage.supervising().step()
        supervision = await stage.ledger.supervision()
        assert (step.demand, supervision.demand) == (7, 2)
        assert decode_note(supervision.note).demand == {"default": 2}

    scene(play)


def test_what_a_backend_runs_is_not_taken_for_lost_messages() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a", 5, backend="batch")
        supervisor = stage.supervising()
        for _ in range(40):
            await supervisor.step()
            await asyncio.sleep(10)
        assert await stage.waiting() == 0

    scene(play)


def test_a_job_comes_after_one_of_a_backend() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("first", backend="batch")
        await stage.submit("second", after=("first",))
        supervisor = stage.supervising()
        await supervisor.step()
        assert await stage.waiting() == 0
        lease = Lease(TaskId("first", 0), "", "x", "", 1, 0.0)
        job = await stage.ledger.job("first")
        assert job is not None
        attempt = await stage.ledger.begin(lease, job, "x")
        assert isinstance(attempt, Attempt)
        await stage.ledger.finish(attempt, Outcome(Kind.SUCCEEDED), Verdict(Status.SUCCEEDED))
        await supervisor.step()
        assert await stage.waiting() == 1

    scene(play)


def test_one_that_cannot_be_started_keeps_neither_others_nor_the_own_from_going_on() -> None:
    async def play(stage: Stage) -> None:
        stage.batch.broken = "bad"
        await stage.submit("bad", backend="batch")
        await stage.submit("good", backend="batch")
        own = await stage.submit("own")
        with pytest.raises(Unavailable):
            await stage.supervising().step()
        assert stage.batch.started == ["good"]
        assert stage.batch.refreshed == [["bad", "good"]]
        assert (own.sent, stage.fleet.asked) == (1, [1])

    scene(play)


def test_a_backend_forgets_when_the_lead_is_taken() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a", backend="batch")
        one, other = stage.supervising("one"), stage.supervising("other")
        await one.step()
        await one.step()
        assert stage.batch.forgotten == 0
        await asyncio.sleep(11)
        await other.step()
        await asyncio.sleep(11)
        await one.step()
        assert stage.batch.forgotten == 1

    scene(play)


def test_a_leader_that_was_frozen_for_its_lease_has_its_backends_forget() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a", backend="batch")
        supervisor = stage.supervising()
        await supervisor.step()
        await asyncio.sleep(11)
        await supervisor.step()
        assert stage.batch.forgotten == 1

    scene(play)


def test_on_one_machine_a_backend_without_jobs_is_not_looked_at() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("own")
        await stage.supervising().step()
        assert stage.batch.refreshed == []

    scene(play)


def test_but_it_is_after_its_job_was_cancelled_while_nobody_led() -> None:
    async def play(stage: Stage) -> None:
        record = await stage.submit("a", backend="batch")
        await submission.cancel(stage.records, record, now)
        await stage.supervising().step()
        assert stage.batch.refreshed == [[]]

    scene(play)


def test_and_not_any_more_a_day_later() -> None:
    async def play(stage: Stage) -> None:
        record = await stage.submit("a", backend="batch")
        await submission.cancel(stage.records, record, now)
        await asyncio.sleep(90_000)
        await stage.supervising().step()
        assert stage.batch.refreshed == []

    scene(play)


def test_it_is_looked_at_once_more_after_the_last_of_its_jobs_has_ended() -> None:
    async def play(stage: Stage) -> None:
        record = await stage.submit("a", backend="batch")
        supervisor = stage.supervising()
        await supervisor.step()
        await submission.cancel(stage.records, record, now)
        await supervisor.step()
        assert stage.batch.refreshed == [["a"], []]

    scene(play)


def test_in_a_fleet_it_is_always_looked_at() -> None:
    async def play(stage: Stage) -> None:
        await stage.supervising(routes=FLEET).step()
        assert stage.batch.refreshed == [[]]

    scene(play)


def test_a_job_of_a_backend_that_the_settings_do_not_have_is_left_alone() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a", backend="emr")
        step = await stage.supervising().step()
        assert (step.sent, stage.batch.started, await stage.waiting()) == (0, [], 0)

    scene(play)


def test_its_trouble_is_published() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a", backend="batch")
        stage.batch.trouble = "no credentials"
        await stage.supervising().step()
        assert decode_note((await stage.ledger.supervision()).note).trouble == "no credentials"

    scene(play)
