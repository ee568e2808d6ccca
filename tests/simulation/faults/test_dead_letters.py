"""Dead letters: messages that the queue gave up, or of which nothing can be made.

| case | fault | scenarios |
|---|---|---|
| 8 | a message among the dead letters | `test_a_dead_letter_…` |
| 9 | unreadable messages | `test_what_cannot_be_read_…`, `test_a_message_that_points_to_nothing_…` |

Other illegal messages (9) are in `tests/sqs/test_quarantine.py` and `tests/test_codec.py`: SQS takes no illegal
characters.
"""

from __future__ import annotations

import json

import pytest

from controller.simulation.faults import Effect, Fault
from controller.simulation.workload import steady
from controller.simulation.world import World
from runner.model import Status, TaskId
from tests.simulation.faults.proof import proven
from tests.simulation.faults.scenes import (
    LEASE,
    attempts,
    begun,
    kinds,
    of_message,
    one_kind,
    one_runs,
    queue_of,
    said,
    seen,
    send_again,
    time,
)

EXTEND = "change_message_visibility_batch"


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
        await world.until(lambda: letters(world) == 0)

    proven(scene, settings=one_kind(), behave=steady(300.0))


def test_a_dead_letter_of_a_task_that_has_ended_is_dropped() -> None:
    async def scene(world: World) -> None:
        with_few_receives(world)
        job, machine = await one_runs(world)
        task = f"{job}/0"
        async with world.fault(Fault(Effect.DENIED, "sqs", "delete_message_batch", f"{machine.id}/*")):
            await world.until(lambda: bool(seen(world, "redriven", task)))
        assert (await world.job(job)).status is Status.SUCCEEDED
        before = await attempts(world, job)
        await world.until(lambda: letters(world) == 0)
        assert said(world, "a dead letter is settled", task=task, fate="dropped")
        assert len(seen(world, "sent", task)) == 1
        assert await attempts(world, job) == before

    proven(scene, settings=one_kind(), behave=steady(5.0))


def test_a_dead_letter_of_a_task_that_can_never_begin_fails_it_in_the_end_and_says_how_often() -> None:
    async def scene(world: World) -> None:
        with_few_receives(world)
        async with world.fault(Fault(Effect.DENIED, "dynamodb", "put_item", "i-*")):
            job = await begun(world, retries={"infra": 2})
            assert (await world.until_ended(job)).status is Status.FAILED
        record = await world.records.task(TaskId(job, 0))
        assert record is not None
        assert (record.status, record.user_failures, record.infra_failures) == (Status.FAILED, 0, 3)
        assert "received 1000 times without coming to an end" in record.reason
        assert "lost to the infrastructure 3 times, the bound is 2" in record.reason
        assert kinds(world, f"{job}/0") == ["lost"] * 3
        await world.until(lambda: letters(world) == 0)
        assert not list(world.history.of("container-started"))

    proven(scene, settings=one_kind(), behave=steady(5.0))


# 9: unreadable messages


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not JSON", "not JSON"),
        ('"text"', "not a JSON object"),
        ('{"v":1,"job":"a"}', "illegal index"),
        ('{"v":1,"job":"a","index":-1}', "illegal index"),
        ('{"v":1,"job":"../../etc","index":0}', "illegal job id"),
        ('{"v":1,"job":"a\\u0000\\u001b[2J","index":0}', "illegal job id"),
        ('{"v":2,"job":"a","index":0}', "version 2"),
        ('{"v":1,"job":"a","index":0}' + " " * 2000, "longer than"),
        ("[" * 900, "not JSON"),
    ],
)
def test_what_cannot_be_read_is_quarantined_once_with_its_reason_and_the_agent_goes_on(
    body: str, reason: str
) -> None:
    async def scene(world: World) -> None:
        job = await world.submit(array=2)
        world.sqs.put(queue_of(world), body)
        world.start_controller()
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        await world.until_empty()
        (kept,) = (
            event for event in world.history.of("sent") if event.more["queue"] == world.fleet.dead_letters
        )
        assert reason in kept.more["reason"]
        (quarantined,) = said(world, "quarantined")
        assert len(of_message(world, "received", quarantined.more["message"])) == 1
        assert of_message(world, "deleted", quarantined.more["message"])
        assert (letters(world), len(world.sqs.queues[queue_of(world)])) == (1, 0)
        assert not list(world.history.of("agent-killed"))

    proven(scene, settings=one_kind(), behave=steady(5.0))


@pytest.mark.parametrize(("known", "index"), [(False, 0), (True, 2)], ids=["no such job", "no such index"])
def test_a_message_that_points_to_nothing_is_quarantined_once_with_its_reason(
    known: bool, index: int
) -> None:
    async def scene(world: World) -> None:
        job = await world.submit(array=2)
        send_again(world, f"{job if known else 'stranger'}/{index}")
        world.start_controller()
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        await world.until_empty()
        (kept,) = (
            event for event in world.history.of("sent") if event.more["queue"] == world.fleet.dead_letters
        )
        assert (
            f"no index {index}" in kept.more["reason"] if known else "no job stranger" in kept.more["reason"]
        )
        assert (letters(world), len(world.sqs.queues[queue_of(world)])) == (1, 0)

    proven(scene, settings=one_kind(), behave=steady(5.0))
