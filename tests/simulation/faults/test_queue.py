"""The queue: messages that come twice, fail in part, are gone or are too many; a queue that is not there.

| case | fault | scenarios |
|---|---|---|
| 1 | duplicate delivery while the attempt runs | `test_a_duplicate_of_what_…`, `test_messages_that_all_come_twice_…` |
| 2 | duplicate after the terminal record | `test_a_duplicate_after_the_terminal_record_…` |
| 6 | a batch fails in part | `test_of_a_batch_…` |
| 11 | 120,000 messages in flight | `test_a_queue_that_is_full_in_flight_…` |
| 12 | messages expired, queue purged | `test_messages_that_were_…`, `test_what_one_job_…`, `test_a_job_that_…` |
| 13 | queue missing, rights or credentials gone | `test_without_…`, and `test_controllers` |

Cases 3, 4, 5 and 7 are in `test_leases`, 8 and 9 in `test_dead_letters`, 10 in `test_controllers`.
"""

from __future__ import annotations

import asyncio

import pytest

from controller.simulation.faults import Effect, Fault
from controller.simulation.services.sqs import PREFIX
from controller.simulation.workload import Behaviour, steady
from controller.simulation.world import World
from runner.model import Status, TaskId
from runner.ports import ContainerSpec
from tests.simulation.faults.proof import proven
from tests.simulation.faults.scenes import (
    LEASE,
    attempts,
    begun,
    of_message,
    one_kind,
    one_runs,
    published,
    queue_of,
    said,
    seen,
    send_again,
    tap,
    tasks_on,
    three_on_two,
    time,
)


def as_asked(spec: ContainerSpec) -> Behaviour:
    return Behaviour(float(spec.env["SECONDS"]))


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

    proven(scene, settings=one_kind(), behave=steady(100.0))


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

    proven(scene, settings=one_kind(), behave=steady(100.0))


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

    proven(scene, settings=one_kind(), behave=steady(40.0))


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

    proven(scene, settings=one_kind(), behave=steady(5.0, exit_code=exit_code))


# 6: a batch fails in part


def test_of_a_batch_only_the_entries_that_failed_are_sent_again() -> None:
    async def scene(world: World) -> None:
        listening = tap(world, "sqs")
        world.sqs.behaviour.failing = 0.15
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
        assert failed > 5
        assert {event.subject for event in world.history.of("sent")} == {
            f"{job}/{index}" for index in range(40)
        }
        assert not len(world.sqs.queues[queue_of(world)])

    proven(scene, settings=one_kind(), behave=steady(10.0))


# 11: the queue's limit of messages in flight


def test_a_queue_that_is_full_in_flight_warns_adds_no_machine_and_is_not_taken_for_drained() -> None:
    async def scene(world: World) -> None:
        _, machine = await one_runs(world)
        world.sqs.behaviour.crowd = 120_000
        waiting, full_at = await world.submit(array=10), time()
        await asyncio.sleep(300.0)
        assert said(world, "nearly too many messages in flight")
        assert not [event for event in world.history.of("received") if event.subject.startswith(waiting)]
        assert list(world.machines.values()) == [machine]
        assert "is full in flight" in (await published(world)).reasons["spot"]
        assert (await world.job(waiting)).status is Status.RUNNABLE
        assert machine.life is not None
        world.sqs.behaviour.crowd = 0
        assert (await world.until_ended(waiting)).status is Status.SUCCEEDED
        assert [event for event in world.history.of("launched") if event.at > full_at + 300.0]

    proven(scene, settings=one_kind(), behave=steady(100.0))


# 12: messages are gone


def test_messages_that_were_purged_are_sent_again_and_each_task_runs_once() -> None:
    async def scene(world: World) -> None:
        job = await begun(world, array=12)
        await world.until(lambda: len(list(world.history.of("recorded"))) >= 2)
        world.sqs.queues[queue_of(world)].clear()
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert said(world, "messages were missing", job=job)
        started = [event.subject for event in world.history.of("container-started")]
        assert sorted(started) == sorted(f"{job}/{index}" for index in range(12))

    proven(scene, settings=one_kind(maximum=2), behave=steady(20.0))


def test_messages_that_were_never_taken_and_expired_are_sent_again() -> None:
    async def scene(world: World) -> None:
        name = queue_of(world)
        world.sqs.answer("delete_queue", {"QueueUrl": PREFIX + name})
        attributes = {"MessageRetentionPeriod": "60"}
        world.sqs.answer("create_queue", {"QueueName": name, "Attributes": attributes})
        job = await begun(world, array=4)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert list(world.history.of("expired"))
        assert said(world, "messages were missing", job=job, resent="4")
        assert sorted(event.subject for event in world.history.of("container-started")) == [
            f"{job}/{index}" for index in range(4)
        ]

    proven(scene, settings=one_kind(), behave=steady(5.0))


def test_what_one_job_lost_on_a_queue_that_others_keep_busy_is_sent_again() -> None:
    async def scene(world: World) -> None:
        poor = await world.submit(array=2, env={"SECONDS": "5"})
        busy = await world.submit(array=2, env={"SECONDS": "2000"})
        world.sqs.queues[queue_of(world)].clear()
        for index in range(2):
            send_again(world, f"{busy}/{index}")
        world.start_controller()
        assert (await world.until_ended(poor)).status is Status.SUCCEEDED
        assert [event.more["job"] for event in said(world, "messages were missing")] == [poor]
        assert (await world.until_ended(busy)).status is Status.SUCCEEDED
        started = sorted(event.subject for event in world.history.of("container-started"))
        assert started == sorted(f"{job}/{index}" for job in (poor, busy) for index in range(2))

    proven(scene, settings=one_kind(), behave=as_asked)


def test_a_job_that_outlives_its_history_is_ended_as_failed_and_says_so() -> None:
    async def scene(world: World) -> None:
        for group in world.autoscaling.groups.values():
            group.starved = "We currently do not have sufficient capacity"
        job = await begun(world, array=4)
        record = await world.until_ended(job)
        assert record.status is Status.FAILED
        assert record.ending is not None
        assert "it was not over 1h after it was submitted" in record.ending.reason
        assert time() >= 3600.0

    proven(scene, settings=one_kind(history=3600.0), behave=steady(5.0))


# 13: no queue, no rights


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken"])
def test_without_the_right_to_receive_agents_ask_ever_less_often_and_name_action_and_queue(code: str) -> None:
    async def scene(world: World) -> None:
        async with world.fault(Fault(Effect.DENIED, "sqs", "receive_message", "i-*", code=code)):
            job = await begun(world)
            await world.until(lambda: bool(said(world, "cannot receive")))
            began = time()
            await asyncio.sleep(300.0)
            asked = world.network.failures[str(Effect.DENIED)]
            assert (time() - began) / 30 <= asked <= 20 * len(world.machines)
            told = said(world, "cannot receive")[-1].more["error"]
            assert f"sqs:ReceiveMessage on {PREFIX}{queue_of(world)} failed: {code}" in told
        assert (await world.until_ended(job)).status is Status.SUCCEEDED

    proven(scene, settings=one_kind(), behave=steady(5.0))


def test_without_the_right_to_receive_a_host_is_reported_as_unhealthy() -> None:
    async def scene(world: World) -> None:
        async with world.fault(Fault(Effect.DENIED, "sqs", "receive_message", "i-*")):
            await begun(world)
            await world.until(lambda: bool(said(world, "cannot receive")))
            await asyncio.sleep(60.0)
            (report,) = await world.records.hosts()
        assert report.state == "unhealthy"
        assert "sqs:ReceiveMessage" in report.note

    proven(scene, settings=one_kind(), behave=steady(5.0))


def test_without_its_queue_agents_and_controller_say_so_and_all_is_well_once_it_is_there() -> None:
    async def scene(world: World) -> None:
        job = await begun(world, array=6)
        await world.until(lambda: any(machine.site.daemon.running for machine in world.alive))
        name = queue_of(world)
        world.sqs.answer("delete_queue", {"QueueUrl": PREFIX + name})
        await asyncio.sleep(300.0)
        for event in said(world, "cannot receive"):
            assert f" on {name} failed: AWS.SimpleQueueService.NonExistentQueue" in event.more["error"]
            assert "`runner-controller deploy` makes it" in event.more["error"]
        assert 0 < len(said(world, "cannot receive")) < 40
        supervisor = world.controllers["controller"].supervisor
        assert f"on {name} failed" in supervisor.health.trouble(time())
        world.sqs.answer("create_queue", {"QueueName": name, "Attributes": {}})
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert not supervisor.health.trouble(time())

    proven(scene, settings=one_kind(maximum=2), behave=steady(20.0))
