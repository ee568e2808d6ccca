"""What waiting looks at, and that it supervises meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from controller.cli.live import PlainDisplay
from controller.simulation.clock import run
from controller.waiting import LISTENS, Troubles, View, Watch
from runner.array import Array
from runner.codec import encode_note
from runner.errors import NotFound
from runner.model import Job, Kind, Outcome, Status, TaskId
from runner.ports import Supervision
from runner.records import Counts, JobRecord, Note, TaskRecord


def record(job_id: str, *after: str, ended: bool = False, size: int = 1) -> JobRecord:
    counts = Counts(succeeded=size) if ended else Counts(runnable=size)
    return JobRecord(Job(job_id, job_id, ("x",), Array.of_size(size), after=after), counts, released_at=1.0)


class Jobs:
    """The part of `Records` that waiting asks for."""

    def __init__(self, *records: JobRecord) -> None:
        self.known = {one.job.id: one for one in records}
        self.asked: list[str] = []
        self.held_back: TaskRecord | None = None

    async def job(self, job_id: str) -> JobRecord | None:
        self.asked.append(job_id)
        return self.known.get(job_id)

    async def tasks(self, job_id: str, *, statuses: Collection[Status], limit: int) -> Sequence[TaskRecord]:
        return [self.held_back] if self.held_back else []


def look(jobs: Jobs, *job_ids: str, times: int = 1) -> View:
    async def main() -> View:
        watch = Watch(jobs, job_ids)  # type: ignore[arg-type]
        return [await watch.look() for _ in range(times)][-1]

    return asyncio.run(main())


def ids(records: Sequence[JobRecord]) -> list[str]:
    return [one.job.id for one in records]


def test_the_unfinished_parents_of_all_generations_are_seen() -> None:
    jobs = Jobs(record("a"), record("b", "a"), record("c", "b", "done"), record("done", ended=True))
    view = look(jobs, "c")
    assert (ids(view.jobs), ids(view.parents)) == (["c"], ["a", "b"])


def test_a_parent_that_is_waited_for_itself_is_seen_once() -> None:
    view = look(Jobs(record("a"), record("b", "a")), "a", "b")
    assert (ids(view.jobs), ids(view.parents)) == (["a", "b"], [])


def test_a_parent_two_jobs_share_is_seen_once() -> None:
    view = look(Jobs(record("a"), record("b", "a"), record("c", "a")), "b", "c")
    assert ids(view.parents) == ["a"]


def test_what_has_ended_is_not_read_again() -> None:
    jobs = Jobs(record("a", ended=True))
    look(jobs, "a", times=5)
    assert jobs.asked == ["a"]


def test_all_must_have_ended() -> None:
    assert not look(Jobs(record("a", ended=True), record("b")), "a", "b").ended
    assert look(Jobs(record("a", ended=True)), "a").ended


def test_a_job_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        look(Jobs(), "a")


STARTED = replace(record("a"), first_started_at=1.0)
HELD_BACK = TaskRecord(
    TaskId("a", 7), Status.RUNNABLE, attempt=1, outcome=Outcome(Kind.START_ERROR, reason="no registry")
)


def test_a_job_that_only_waits_for_another_try_says_why() -> None:
    jobs = Jobs(STARTED)
    jobs.held_back = HELD_BACK
    assert look(jobs, "a").trouble == "a: task 7 could not be started: no registry; it is tried again"


def test_a_job_of_which_something_runs_is_in_no_trouble() -> None:
    jobs = Jobs(replace(STARTED, counts=Counts(running=1, runnable=1)))
    jobs.held_back = HELD_BACK
    assert look(jobs, "a").trouble == ""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def at(done: int) -> View:
    return View(
        [replace(record("a", size=100), counts=Counts(runnable=99 - done, running=1, succeeded=done))]
    )


def test_plain_progress_is_silent_about_short_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    display = PlainDisplay(clock)
    for clock.now in (0.0, 0.5, 1.5):
        display.show(at(int(clock.now)))
    assert said(capsys) == []


def test_plain_progress_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    display = PlainDisplay(clock)
    for clock.now in (0.0, 10.0):
        display.show(at(int(clock.now)))
    assert said(capsys) == ["a (a) RUNNING, 10/100 done, 1 running, 89 waiting, 1/s, 1m30s left"]


def test_plain_progress_gets_more_seldom(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    display = PlainDisplay(clock)
    for tick in range(900):
        clock.now = tick / 10
        display.show(at(tick // 10))
    assert 3 <= len(said(capsys)) <= 8


def test_plain_progress_says_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    display = PlainDisplay(clock)
    for clock.now in range(200):
        display.show(at(1))
    assert len(said(capsys)) == 1


def test_trouble_is_said_at_once_and_not_again(capsys: pytest.CaptureFixture[str]) -> None:
    display = PlainDisplay(Clock())
    for trouble in ("agent local-1 \x1b[31mfailed", "", "agent local-1 \x1b[31mfailed"):
        display.show(replace(at(0), trouble=trouble))
    assert said(capsys) == ["agent local-1 \\x1b[31mfailed"]


# Why machines do not come


class Leader:
    """What it publishes, and how often it was listened to."""

    def __init__(self, note: str, led: bool = True) -> None:
        self._said = Supervision(led, 1, note)
        self.listened = 0

    async def supervision(self) -> Supervision:
        self.listened += 1
        return self._said


STARVED = encode_note(Note(trouble="spot: no capacity"))


def troubles(leader: Leader, own: str = "", looks: int = 1, every: float = 1.0) -> str:
    async def main() -> str:
        found, said = Troubles(lambda: own, leader.supervision), ""
        for _ in range(looks):
            said = await found.look()
            await asyncio.sleep(every)
        return said

    return run(main())


def test_where_another_process_leads_what_it_published_tells_why_machines_do_not_come() -> None:
    assert troubles(Leader(STARVED)) == "spot: no capacity"


def test_what_this_process_knows_itself_goes_first() -> None:
    assert troubles(Leader(STARVED), own="spot: no rights") == "spot: no rights"


def test_a_leader_that_is_gone_tells_nothing() -> None:
    assert troubles(Leader(STARVED, led=False)) == ""


def test_what_another_release_published_tells_nothing() -> None:
    assert troubles(Leader("{}")) == ""


def test_the_leader_is_not_listened_to_at_every_look() -> None:
    leader = Leader(STARVED)
    troubles(leader, looks=100, every=LISTENS / 10)
    assert leader.listened == 10
