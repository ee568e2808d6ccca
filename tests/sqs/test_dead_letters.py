"""Messages that were received too often, from the queue to what becomes of their tasks.

Emulated: SQS, which moves messages to the dead letters by itself, in virtual time. The ledger is SQLite in memory.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.dead_letters import AT_LONGEST, AT_ONCE, INTERVAL, Fate, Settling, reason_of, replay
from controller.simulation.clock import now
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.records import SqliteRecords
from runner.adapters.sqs.letters import MAX_RECEIVES
from runner.array import Array
from runner.aws import Trouble
from runner.codec import encode_pointer
from runner.errors import NotFound, StorageError
from runner.model import Job, Retry, Status, TaskId
from runner.records import DeadLetter, TaskRecord
from runner.routing import Routes
from runner.settings import AgentSettings
from tests.aws.wrappers import answers, fails
from tests.contracts.acts import a_job, begin, cancel, give_back, refused, registered, succeed
from tests.sqs.rig import DEAD_LETTERS, make_letters, queue_name
from tests.sqs.stage import HIDE, Stage, takes, virtual

TASK = TaskId("job-1", 0)


class Office:
    """A job's first task, its message among the dead letters, and the leader that settles them."""

    def __init__(self, stage: Stage, job: Job) -> None:
        database = Database.memory()
        self.stage = stage
        self.job = job
        self.ledger = SqliteLedger(database, now, 30.0, steady=now)
        self.records = SqliteRecords(database, now)
        self.queue = stage.queue(linger=0.0)
        self.letters = make_letters(stage.aws)
        self.routes = Routes(None, AgentSettings(), {"default": 0})

    @classmethod
    async def opened(cls, **changes: object) -> Office:
        office = cls(await Stage.set(), a_job(**changes))
        await registered(office.records, **changes)  # type: ignore[arg-type]
        await office.records.release(office.job.id, now())
        return office

    def settling(self, holder: str = "leader") -> Settling:
        return Settling(self.letters, self.queue, self.routes, self.records, self.ledger, now, holder=holder)

    async def bounce(self, task: TaskId = TASK) -> None:
        """As often as it takes."""
        await self.queue.send("default", [task])
        await self.bounce_what_is_there()

    async def bounce_what_is_there(self) -> None:
        while leases := await self.queue.receive(1, wait=0.0, hide=HIDE):
            await self.queue.release(leases[0])

    def moved(self, count: int) -> None:
        """The messages of so many tasks, by the queue itself."""
        for index in range(count):
            self.stage.service.put(DEAD_LETTERS, encode_pointer(TaskId("job-1", index)))

    async def settled(self) -> Fate:
        (fate,) = (await self.settling().settle()).values()
        return fate

    async def task(self) -> TaskRecord:
        record = await self.records.task(TASK)
        assert record is not None
        return record

    @property
    def dead(self) -> int:
        return len(self.stage.service.queues[DEAD_LETTERS])


@virtual
async def test_a_message_received_too_often_is_a_dead_letter_with_its_count() -> None:
    office = await Office.opened()
    await office.bounce()
    (letter,) = await office.letters.list()
    assert (letter.queue, letter.task, letter.receives) == ("default", TASK, MAX_RECEIVES)
    assert reason_of(letter) == "received 1000 times without coming to an end"


@virtual
async def test_that_of_a_task_that_has_ended_is_dropped() -> None:
    office = await Office.opened()
    await succeed(office.ledger, await begin(office.ledger, office.job))
    await office.bounce()
    assert await office.settled() is Fate.DROPPED
    assert (office.dead, office.stage.messages()) == (0, 0)
    assert (await office.task()).status is Status.SUCCEEDED


@virtual
async def test_that_of_a_job_that_was_cancelled_is_dropped() -> None:
    office = await Office.opened()
    await cancel(office.records, office.job)
    await office.bounce()
    assert await office.settled() is Fate.DROPPED


@pytest.mark.parametrize("unknown", [TaskId("another-job", 0), TaskId("job-1", 1_000_000)])
@virtual
async def test_that_of_a_task_that_nobody_knows_is_dropped(unknown: TaskId) -> None:
    office = await Office.opened()
    await office.bounce(unknown)
    assert await office.settled() is Fate.DROPPED


@virtual
async def test_that_of_a_running_task_becomes_a_fresh_message_and_costs_it_nothing() -> None:
    office = await Office.opened()
    attempt = await begin(office.ledger, office.job)
    await office.bounce()
    assert await office.settled() is Fate.REPLAYED
    assert (office.dead, office.stage.visible()) == (0, 1)
    task = await office.task()
    assert (task.status, task.attempt, task.infra_failures) == (Status.RUNNING, attempt.number, 0)


@virtual
async def test_that_of_a_running_task_of_a_cancelled_job_stays_so_that_somebody_ends_it() -> None:
    office = await Office.opened()
    await begin(office.ledger, office.job)
    await cancel(office.records, office.job)
    await office.bounce()
    assert await office.settled() is Fate.REPLAYED


@virtual
async def test_that_of_a_task_whose_backoff_lasts_becomes_a_fresh_message_and_costs_it_nothing() -> None:
    office = await Office.opened(retry=Retry(retries=3))
    await give_back(office.ledger, await begin(office.ledger, office.job), delay=3600.0)
    await office.bounce()
    assert await office.settled() is Fate.REPLAYED
    assert (await office.task()).infra_failures == 0


@virtual
async def test_that_of_a_waiting_task_counts_as_a_loss_and_becomes_a_fresh_message() -> None:
    office = await Office.opened()
    await office.bounce()
    assert await office.settled() is Fate.REPLAYED
    task = await office.task()
    assert (task.status, task.infra_failures, office.stage.visible()) == (Status.RUNNABLE, 1, 1)
    (attempt,) = await office.records.attempts(TASK)
    assert "received 1000 times" in attempt.outcome.reason


@virtual
async def test_one_that_comes_back_and_back_fails_in_the_end_with_the_count() -> None:
    office = await Office.opened(retry=Retry(infra_retries=2))
    await office.bounce()
    fates = []
    while office.dead:
        fates.append(await office.settled())
        await office.bounce_what_is_there()
    assert fates == [Fate.REPLAYED, Fate.REPLAYED, Fate.FAILED]
    task = await office.task()
    assert task.status is Status.FAILED
    assert "received 1000 times" in task.reason
    assert "lost to the infrastructure 3 times" in task.reason
    assert office.stage.messages() == 0


@virtual
async def test_an_attempt_that_a_killed_leader_left_is_taken_over_as_any_other() -> None:
    office = await Office.opened()
    await begin(office.ledger, office.job, owner="controller#killed")
    await office.bounce()
    await office.settled()
    (lease,) = await office.queue.receive(1, wait=0.0, hide=HIDE)
    refusal = await refused(office.ledger, office.job, message=lease.message_id)
    await asyncio.sleep(refusal.retry_after or 0.0)
    assert (await begin(office.ledger, office.job, message=lease.message_id)).number == 2


@virtual
async def test_an_unreadable_message_waits_for_a_human() -> None:
    office = await Office.opened()
    office.stage.service.put(queue_name("default"), "hello")
    await office.queue.receive(1, wait=0.0, hide=HIDE)
    assert await office.settled() is Fate.LEFT
    assert office.dead == 1


@virtual
async def test_one_that_an_agent_put_aside_as_pointing_to_no_job_is_never_dropped() -> None:
    office = await Office.opened()
    await office.queue.send("default", [TaskId("another-job", 0)])
    (lease,) = await office.queue.receive(1, wait=0.0, hide=HIDE)
    await office.queue.quarantine(lease, "no job another-job")
    assert await office.settled() is Fate.LEFT
    assert office.dead == 1


@virtual
async def test_one_that_an_agent_put_aside_costs_its_task_nothing_even_if_it_can_be_read_here() -> None:
    """As one that was written by a newer version, and read by an agent of an older one."""
    office = await Office.opened()
    await office.queue.send("default", [TASK])
    (lease,) = await office.queue.receive(1, wait=0.0, hide=HIDE)
    await office.queue.quarantine(lease, "written by a newer version")
    assert await office.settled() is Fate.LEFT
    assert (await office.records.task(TASK), office.dead) == (None, 1)


@virtual
async def test_one_look_settles_no_more_than_a_leader_has_time_for() -> None:
    office = await Office.opened(array=Array.of_size(200))
    office.moved(200)
    office.stage.faulty.plan("send_message_batch", *(takes(1.0) for _ in range(1000)))
    began = now()
    fates = await office.settling().settle()
    assert now() - began <= AT_LONGEST + 3.0  # the lot that was begun in time
    assert 0 < list(fates.values()).count(Fate.REPLAYED) < 200
    assert office.dead == list(fates.values()).count(Fate.LEFT)


@virtual
async def test_what_one_step_has_no_time_for_is_settled_in_the_next_ones() -> None:
    office = await Office.opened(array=Array.of_size(200))
    office.moved(200)
    office.stage.faulty.plan("send_message_batch", *(takes(1.0) for _ in range(200)))
    settling = office.settling()
    steps = 0
    while office.dead:
        await settling.chore()
        await asyncio.sleep(1.0)
        steps += 1
    assert 2 <= steps <= 200 / AT_ONCE


@virtual
async def test_one_whose_job_cannot_be_read_costs_the_others_nothing() -> None:
    office = await Office.opened(array=Array.of_size(2))
    office.moved(2)
    records = Unreadable(office.records, TaskId("job-1", 0))
    settling = Settling(
        office.letters, office.queue, office.routes, records, office.ledger, now, holder="leader"
    )
    for _ in range(3):
        await settling.settle()
    task = await office.records.task(TaskId("job-1", 1))
    assert task is not None
    assert (task.infra_failures, office.dead) == (1, 1)


@virtual
async def test_a_killed_leader_has_charged_no_task_of_an_earlier_lot_that_is_still_there() -> None:
    office = await Office.opened(array=Array.of_size(60))
    office.moved(60)
    office.stage.faulty.plan("send_message_batch", *(takes(1.0) for _ in range(60)))
    settling = asyncio.ensure_future(office.settling().settle())
    await asyncio.sleep(AT_LONGEST)
    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)
    while office.dead:
        await office.settling("next").settle()
    losses = [task.infra_failures for task in await all_tasks(office)]
    assert losses.count(1) >= 60 - AT_ONCE


async def all_tasks(office: Office) -> list[TaskRecord]:
    found = [await office.records.task(TaskId("job-1", index)) for index in range(60)]
    return [task for task in found if task is not None]


class Unreadable:
    """Records of which one task's cannot be read."""

    def __init__(self, records: SqliteRecords, task: TaskId) -> None:
        self._records = records
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    async def task(self, task: TaskId) -> TaskRecord | None:
        if task == self._task:
            message = "written by a newer version"
            raise StorageError(message)
        return await self._records.task(task)


@virtual
async def test_one_that_cannot_be_removed_at_first_counts_as_one_loss_all_the_same() -> None:
    office = await Office.opened()
    office.moved(1)
    denied = fails("AccessDenied", Trouble.DENIED)
    office.stage.faulty.plan("delete_message_batch", denied, denied, denied)
    settling = office.settling()
    while office.dead:
        await settling.chore()
        await asyncio.sleep(INTERVAL)
    assert (await office.task()).infra_failures == 1


@virtual
async def test_one_that_cannot_be_sent_again_at_first_counts_as_one_loss_all_the_same() -> None:
    office = await Office.opened()
    office.moved(1)
    denied = fails("AccessDenied", Trouble.DENIED)
    office.stage.faulty.plan("send_message_batch", denied, denied, denied)
    settling = office.settling()
    while office.dead:
        await settling.chore()
        await asyncio.sleep(INTERVAL)
    assert ((await office.task()).infra_failures, office.stage.visible()) == (1, 1)


@virtual
async def test_what_was_settled_before_another_could_not_be_counts_once() -> None:
    office = await Office.opened()
    office.moved(2)
    denied = fails("AccessDenied", Trouble.DENIED)
    office.stage.faulty.plan("send_message_batch", answers({}), denied)
    settling = office.settling()
    while office.dead:
        await settling.chore()
        await asyncio.sleep(INTERVAL)
    assert (await office.task()).infra_failures == 1


@virtual
async def test_those_that_wait_for_a_human_do_not_keep_others_from_being_settled() -> None:
    office = await Office.opened()
    for _ in range(300):
        office.stage.service.put(DEAD_LETTERS, "hello")
    office.moved(1)
    fates = await office.settling().settle()
    assert Fate.REPLAYED in fates.values()


@virtual
async def test_what_was_sent_again_is_told_even_if_others_look_at_its_letter_meanwhile() -> None:
    office = await Office.opened()
    await office.bounce()
    (letter,) = await office.letters.list()
    unseen(office.stage)
    replayed = await replay([letter], office.letters, office.queue, office.routes, office.records)
    assert (list(replayed), office.stage.visible()) == ([letter], 1)


@virtual
async def test_an_unreadable_letter_that_could_not_be_found_again_is_not_told_as_replayed() -> None:
    office = await Office.opened()
    office.stage.service.put(queue_name("default"), "hello")
    await office.queue.receive(1, wait=0.0, hide=HIDE)
    (letter,) = await office.letters.list()
    unseen(office.stage)
    assert not await replay([letter], office.letters, office.queue, office.routes, office.records)


def unseen(stage: Stage) -> None:
    """Others look at the dead letters now."""
    stage.faulty.plan("receive_message", answers({}))


@virtual
async def test_one_whose_queue_is_not_configured_any_more_is_left_and_costs_its_task_nothing() -> None:
    office = await Office.opened(queue="gone")
    await office.bounce()
    office.routes = a_fleets_routes()
    assert await office.settled() is Fate.LEFT
    assert await office.records.task(TASK) is None


def a_fleets_routes() -> Routes:
    from runner.settings import FleetSettings

    return Routes(FleetSettings("fleet", "us-east-1", "fleet", {}, {}), AgentSettings())


@virtual
async def test_they_are_looked_at_now_and_then_and_not_in_every_step() -> None:
    office = await Office.opened()
    settling = office.settling()
    for _ in range(30):
        await settling.chore()
        await asyncio.sleep(INTERVAL / 10)
    assert office.stage.aws.requests["receive_message"] == 3


@virtual
async def test_a_dead_letter_queue_out_of_reach_does_not_stop_the_leader() -> None:
    office = await Office.opened()
    office.stage.faulty.plan("receive_message", fails("AccessDenied", Trouble.DENIED))
    await office.settling().chore()
    await office.bounce()
    await asyncio.sleep(INTERVAL)
    await office.settling().chore()
    assert office.dead == 0


@virtual
async def test_replaying_sends_a_known_task_where_it_belongs_today() -> None:
    office = await Office.opened()
    await office.bounce()
    (letter,) = await office.letters.list()
    await replay([letter], office.letters, office.queue, office.routes, office.records)
    (lease,) = await office.queue.receive(1, wait=0.0, hide=HIDE)
    assert (lease.task, lease.receives, office.dead) == (TASK, 1, 0)


@virtual
async def test_nothing_is_sent_if_one_of_the_chosen_belongs_to_a_queue_that_is_not_configured() -> None:
    office = await Office.opened()
    await registered(office.records, id="job-2", queue="gone")
    await office.bounce()
    office.stage.service.put(DEAD_LETTERS, encode_pointer(TaskId("job-2", 0)))
    letters = await office.letters.list()
    with pytest.raises(NotFound):
        await replay(letters, office.letters, office.queue, OneQueue(), office.records)
    assert (office.stage.visible(), office.dead) == (0, 2)


class OneQueue(Routes):
    """Only `default` is configured."""

    def __init__(self) -> None:
        super().__init__(None, AgentSettings(), {"default": 0})

    def channel(self, job: Job, memory: int, infra_failures: int = 0) -> str:
        if job.queue != "default":
            raise NotFound(job.queue)
        return super().channel(job, memory, infra_failures)


@virtual
async def test_nothing_is_replayed_to_a_queue_that_is_not_configured() -> None:
    stage = await Stage.set()
    stage.service.put(queue_name("a"), "hello")
    stage.service.put(queue_name("b"), "hello")
    await stage.queue({"a": 0, "b": 0}).receive(10, wait=0.0, hide=HIDE)
    letters = make_letters(stage.aws, ["a"])
    found = {letter.queue: letter for letter in await letters.list()}
    with pytest.raises(NotFound, match="came from queue 'b', which is not configured any more"):
        await letters.replay([letter.id for letter in found.values()])
    assert stage.visible("a") == 0
    assert sorted(each.queue for each in await letters.list()) == ["a", "b"]


@virtual
async def test_a_letter_nobody_looks_at_any_more_can_be_seen_by_others_at_once() -> None:
    office = await Office.opened()
    await office.bounce()
    one, two = make_letters(office.stage.aws), make_letters(office.stage.aws)
    seen: list[DeadLetter] = [*await one.list(), *await two.list()]
    assert [letter.task for letter in seen] == [TASK, TASK]
