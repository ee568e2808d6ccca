"""The queue: messages that come twice, are lost, cannot be extended, cannot be read.

| case | fault | scenarios |
|---|---|---|
| 1 | duplicate delivery while the attempt runs | `test_a_duplicate_of_what_…`, `test_messages_that_all_come_twice_…` |
| 2 | duplicate after the terminal record | `test_a_duplicate_after_the_terminal_record_…` |
| 3 | heartbeats fail past the local deadline | `test_a_machine_that_is_cut_off_…` |
| 4 | agent frozen for longer than its lease | `test_a_late_result_…`, `test_the_container_of_a_frozen_agent_…` |
| 5 | a beat finds the message lost | `test_a_beat_that_…`, `test_an_attempt_that_was_taken_over_…` |
| 6 | a batch fails in part | `test_of_a_batch_…` |
| 7 | a task longer than 12 hours | `test_a_task_of_thirteen_hours_…` |
| 8 | a message among the dead letters | `test_a_dead_letter_…` |
| 9 | unreadable messages | `test_what_cannot_be_read_…`, `test_a_message_that_points_to_nothing_…` |
| 11 | 120,000 messages in flight | `test_a_queue_that_is_full_in_flight_…` |
| 12 | messages expired, queue purged | `test_messages_that_were_…`, `test_a_job_that_outlives_…` |
| 13 | queue missing, rights or credentials gone | `test_without_…`, and `test_controllers` |

Case 10 is in `test_controllers`. Real processes are killed and frozen (3, 4) in `tests/faults/test_processes.py`. Other
illegal messages (9) are in `tests/sqs/test_quarantine.py` and `tests/test_codec.py`: SQS takes no illegal characters.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from controller.simulation.clock import Process
from controller.simulation.faults import Effect, Fault
from controller.simulation.play import play
from controller.simulation.workload import Behaviour, steady
from controller.simulation.world import World
from runner.model import Attempt, Charge, Lease, Status, TaskId
from runner.ports import ContainerSpec
from tests.simulation.faults.scenes import (
    BEAT,
    LEASE,
    attempts,
    begun,
    hosts,
    kinds,
    never_two_at_once,
    of_message,
    one_kind,
    one_runs,
    queue_of,
    said,
    seen,
    send_again,
    tap,
    tasks_on,
    three_on_two,
    time,
)

EXTEND = "change_message_visibility_batch"


# 1: duplicates of what runs


def test_a_duplicate_of_what_runs_elsewhere_is_refused_and_hidden_until_a_lease_has_passed() -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        task = tasks_on(full)[0]
        duplicate = send_again(world, task)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        first, second = of_message(world, "received", duplicate)[:2]
        assert not first.by.startswith(full.id)
        assert said(world, "refused", task=task, why="held")
        assert second.at - first.at >= LEASE
        assert len(seen(world, "begun", task)) == len(seen(world, "container-started", task)) == 1

    play(scene, settings=one_kind(), behave=steady(100.0))


def test_a_duplicate_of_what_runs_right_here_is_hidden_until_a_lease_has_passed() -> None:
    async def scene(world: World) -> None:
        job, _, other = await three_on_two(world)
        (task,) = tasks_on(other)
        duplicate = send_again(world, task)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        first, second = of_message(world, "received", duplicate)[:2]
        assert first.by.startswith(other.id)
        assert second.at - first.at >= LEASE
        assert len(seen(world, "begun", task)) == len(seen(world, "container-started", task)) == 1

    play(scene, settings=one_kind(), behave=steady(100.0))


def test_messages_that_all_come_twice_make_no_container_more() -> None:
    async def scene(world: World) -> None:
        world.sqs.behaviour.duplicates = 1.0
        job = await begun(world, array=8)
        await world.until_ended(job)
        world.sqs.behaviour.duplicates = 0.0
        await world.until_empty()
        received = {event.more["message"]: 0 for event in world.history.of("sent")}
        for event in world.history.of("received"):
            received[event.more["message"]] += 1
        assert min(received.values()) > 1
        started = [event.subject for event in world.history.of("container-started")]
        assert sorted(started) == [f"{job}/{index}" for index in range(8)]
        assert not len(world.sqs.queues[queue_of(world)])

    play(scene, settings=one_kind(), behave=steady(40.0))


# 2: duplicates of what has ended


@pytest.mark.parametrize(
    ("exit_code", "status"), [(0, Status.SUCCEEDED), (3, Status.FAILED)], ids=["success", "failure"]
)
def test_a_duplicate_after_the_terminal_record_is_deleted_and_changes_nothing(
    exit_code: int, status: Status
) -> None:
    async def scene(world: World) -> None:
        job, _ = await one_runs(world)
        await world.until_ended(job)
        before = await world.records.task(TaskId(job, 0)), await attempts(world, job)
        duplicate = send_again(world, f"{job}/0")
        await world.until(lambda: bool(of_message(world, "deleted", duplicate)))
        assert (await world.records.task(TaskId(job, 0)), await attempts(world, job)) == before
        assert (await world.job(job)).status is status
        assert len(seen(world, "container-started", f"{job}/0")) == 1

    play(scene, settings=one_kind(), behave=steady(5.0, exit_code=exit_code))


# 3: no beat gets through


@pytest.mark.parametrize("effect", [Effect.UNREACHABLE, Effect.REFUSED, Effect.FAILED, Effect.LOST])
def test_a_machine_that_is_cut_off_stops_its_containers_in_time_and_others_take_over(effect: Effect) -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        tasks = tasks_on(full)
        cut_off = time()
        async with world.fault(Fault(effect, process=f"{full.id}/*")):
            await world.until(lambda: all(len(hosts(world, task)) > 1 for task in tasks))
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        for task in tasks:
            stopped = seen(world, "container-ended", task)[0].at
            shown = next(event.at for event in seen(world, "received", task) if event.at > cut_off)
            assert stopped < shown
            assert kinds(world, task) == ["lost", "succeeded"]
            assert full.id not in hosts(world, task)[1:]
            lost = (await attempts(world, job, int(task.partition("/")[2])))[0].outcome
            record = await world.records.task(TaskId(job, int(task.partition("/")[2])))
            assert record is not None
            assert lost.charge in (None, Charge.INFRA)
            assert (record.user_failures, record.infra_failures) == (0, 1)

    play(scene, settings=one_kind(), behave=steady(100.0))


# 4: the agent is frozen


def test_a_late_result_of_an_agent_that_was_frozen_is_rejected_and_the_newer_one_stands() -> None:
    def behave(spec: ContainerSpec) -> Behaviour:
        return Behaviour(50.0 if spec.name.endswith("-1") else 5.0)

    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        tasks, process = tasks_on(full), full.life.process.name
        full.freeze_agent()
        await world.until(lambda: all(kinds(world, task) == ["lost", "succeeded"] for task in tasks))
        full.thaw_agent()
        await world.until(lambda: len(said(world, "attempt ended", stands="False")) == 2)
        assert {event.by for event in said(world, "attempt ended", stands="False")} == {process}
        assert not [event for task in tasks for event in seen(world, "recorded", task) if event.by == process]
        assert (await world.job(job)).counts.succeeded == 3
        for task in tasks:
            found = await attempts(world, job, int(task.partition("/")[2]))
            assert [str(each.outcome.kind) for each in found] == ["lost", "succeeded"]

    play(scene, settings=one_kind(), behave=behave)


def test_the_container_of_a_frozen_agent_is_gone_before_another_one_runs() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        task = f"{job}/0"
        machine.freeze_agent()
        await world.until(lambda: len(hosts(world, task)) == 2)
        machine.thaw_agent()
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert never_two_at_once(world, task)
        assert kinds(world, task) == ["lost", "succeeded"]

    play(scene, settings=one_kind(), behave=steady(400.0))


# 5: a beat finds its message lost


@pytest.mark.parametrize(
    "code", ["MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", "ReceiptHandleIsInvalid"]
)
def test_a_beat_that_finds_the_message_lost_leaves_the_task_to_the_ledger_without_a_crash_or_a_loop(
    code: str,
) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        listening = tap(world, "sqs")

        def lost(operation: str, given: dict[str, Any]) -> Any:
            if operation != EXTEND:
                return None
            failed = [{"Id": each["Id"], "Code": code, "SenderFault": True} for each in given["Entries"]]
            return {"Successful": [], "Failed": failed}

        listening.instead = lost
        began = time()
        await asyncio.sleep(LEASE)
        beats = listening.of(EXTEND)
        assert said(world, "message lost", task=f"{job}/0")
        assert 0 < len(beats) <= (time() - began) / BEAT + 1
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert len(seen(world, "container-started", f"{job}/0")) == 1
        assert not list(world.history.of("agent-ended", "agent-killed", subject=machine.id))

    play(scene, settings=one_kind(), behave=steady(100.0))


def test_a_message_that_shows_while_its_task_runs_is_refused_to_others_for_longer_each_time() -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        task, began = tasks_on(full)[0], time()
        cannot_extend = Fault(Effect.DENIED, "sqs", EXTEND, f"{full.id}/*")
        async with world.fault(cannot_extend):
            assert (await world.until_ended(job)).status is Status.SUCCEEDED
        shown = [event.at for event in seen(world, "received", task) if event.at > began]
        pauses = [after - before for before, after in pairwise(shown)]
        assert len(pauses) >= 3
        assert all(later > 1.5 * earlier for earlier, later in pairwise(pauses))
        assert len(seen(world, "begun", task)) == len(seen(world, "container-started", task)) == 1

    play(scene, settings=one_kind(), behave=steady(900.0))


def test_an_attempt_that_was_taken_over_is_stopped_at_its_next_beat() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        task = TaskId(job, 0)
        stranger = Process("stranger")
        ledger = world.of.ledger(stranger, world.aws, "stranger", world.random("stranger"))
        lease = Lease(task, next(iter(world.routes.channels)), "another", "", 2, 0.0)
        taken = await ledger.begin(lease, (await world.job(job)).job, f"{machine.id}#other")
        taken_at = time()
        assert isinstance(taken, Attempt)
        await world.until(lambda: not machine.site.daemon.running, look=0.1)
        assert time() - taken_at <= BEAT + 1.0
        assert [event.by for event in seen(world, "recorded", str(task))] == [machine.life.process.name]
        assert said(world, "attempt ended", attempt=f"{task}#1", stands="False")
        assert len(said(world, "execution failed")) == 0

    play(scene, settings=one_kind(), behave=steady(400.0))


# 6: a batch fails in part


def test_of_a_batch_only_the_entries_that_failed_are_sent_again() -> None:
    async def scene(world: World) -> None:
        listening = tap(world, "sqs")
        world.sqs.behaviour.failing = 0.3
        job = await begun(world, array=40)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        world.sqs.behaviour.failing = 0.0
        await world.until_empty()
        failed = 0
        for operation, name in (
            ("send_message_batch", "MessageBody"),
            ("delete_message_batch", "ReceiptHandle"),
        ):
            told: dict[tuple[str, str], list[bool]] = {}
            for call in listening.of(operation):
                refused = {each["Id"] for each in call.reply["Failed"]}
                for entry in call.parameters["Entries"]:
                    told.setdefault((call.by, entry[name]), []).append(entry["Id"] not in refused)
            failed += sum(not each for answers in told.values() for each in answers)
            assert all(answers == [False] * (len(answers) - 1) + [True] for answers in told.values())
        assert failed > 10
        assert {event.subject for event in world.history.of("sent")} == {
            f"{job}/{index}" for index in range(40)
        }
        assert not len(world.sqs.queues[queue_of(world)])

    play(scene, settings=one_kind(), behave=steady(10.0))


# 7: longer than a message can be hidden


def test_a_task_of_thirteen_hours_runs_to_its_end_exactly_once() -> None:
    """The slowest here, as nothing but the time passes; so beats and steps are rarer than usual."""

    async def scene(world: World) -> None:
        job = await begun(world)
        assert (await world.until_ended(job, limit=60_000.0)).status is Status.SUCCEEDED
        task = f"{job}/0"
        (began,) = seen(world, "container-started", task)
        assert [event.at - began.at > 12 * 3600 for event in seen(world, "received", task)][-1]
        assert len(seen(world, "begun", task)) == 1
        assert kinds(world, task) == ["succeeded"]
        await world.until_empty()
        assert not len(world.sqs.queues[queue_of(world)])

    settings = one_kind(maximum=1)
    rarely = replace(
        settings,
        agent=replace(settings.agent, lease=3600.0, beat=600.0),
        supervisor=replace(settings.supervisor, interval=300.0, lease=1200.0),
    )
    play(scene, settings=rarely, behave=steady(13 * 3600.0))


# 8: dead letters


def with_few_receives(world: World, most: int = 1) -> None:
    """The queue gives up a message sooner than it is deployed."""
    name = queue_of(world)
    url = {"QueueUrl": world.sqs.answer("get_queue_url", {"QueueName": name})["QueueUrl"]}
    policy = world.sqs.answer("get_queue_attributes", {**url, "AttributeNames": ["RedrivePolicy"]})
    policy = json.loads(policy["Attributes"]["RedrivePolicy"])
    attributes = {"RedrivePolicy": json.dumps({**policy, "maxReceiveCount": str(most)})}
    world.sqs.answer("delete_queue", url)
    world.sqs.answer("create_queue", {"QueueName": name, "Attributes": attributes})


def letters(world: World) -> int:
    return len(world.sqs.queues[world.fleet.dead_letters])


def test_a_dead_letter_of_a_task_that_runs_becomes_a_fresh_message_and_the_task_runs_once() -> None:
    async def scene(world: World) -> None:
        with_few_receives(world)
        job, machine = await one_runs(world)
        task = f"{job}/0"
        async with world.fault(
            Fault(Effect.DENIED, "sqs", EXTEND, f"{machine.id}/*", ends=time() + 2 * LEASE)
        ):
            await world.until(lambda: bool(seen(world, "redriven", task)))
        (moved, *_) = seen(world, "redriven", task)
        await world.until(lambda: any(event.at > moved.at for event in seen(world, "sent", task)))
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert len(seen(world, "begun", task)) == len(seen(world, "container-started", task)) == 1
        await world.until_empty()
        assert letters(world) == 0

    play(scene, settings=one_kind(), behave=steady(300.0))
