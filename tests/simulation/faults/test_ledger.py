"""The ledger: writes that fail, writes of which nobody hears, records that are too large, too many at once.

| case | fault | scenarios |
|---|---|---|
| 14 | throttled or 500 when recording | `test_what_cannot_be_recorded_…` |
| 15 | a write is applied, the reply lost | `test_an_end_…`, `test_a_beginning_…`, `test_replies_that_are_lost_…` |
| 16 | a result too large for a record | `test_a_result_that_is_too_large_…` |
| 17 | more than 1,000 ends a second on one job | `test_more_than_a_thousand_ends_…` |
| 18 | transaction conflict, failed condition | `test_a_transaction_…`, `test_two_that_store_…`, `test_a_condition_…` |

Case 19 is in `test_controllers`. How results of all kinds are shortened is in `tests/dynamodb/test_outcomes.py`, what
conditions find of our own earlier writes in `tests/dynamodb/test_own_writes.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from controller.simulation.faults import Effect, Fault
from controller.simulation.workload import Behaviour, steady
from controller.simulation.world import World
from runner.aws import AwsError, Reply, Trouble
from runner.model import Status, TaskId
from runner.ports import ContainerSpec
from tests.aws.items import written_by
from tests.simulation.faults.proof import proven
from tests.simulation.faults.scenes import (
    LEASE,
    begun,
    kinds,
    one_kind,
    one_runs,
    said,
    seen,
    tap,
    time,
)

REFUSED = "ConditionalCheckFailedException"
CONFLICT = "TransactionConflictException"


# 14: recording fails


@pytest.mark.parametrize("effect", [Effect.THROTTLED, Effect.FAILED])
@pytest.mark.parametrize("exit_code", [0, 1])
def test_what_cannot_be_recorded_is_tried_again_while_the_lease_is_kept_and_the_message_stays(
    effect: Effect, exit_code: int
) -> None:
    async def scene(world: World) -> None:
        job, _ = await one_runs(world)
        task = f"{job}/0"
        async with world.fault(Fault(effect, "dynamodb", "update_item", "i-*")):
            await world.until(lambda: bool(seen(world, "container-ended", task)))
            await asyncio.sleep(2 * LEASE)
            assert said(world, "cannot record", attempt=f"{task}#1")
            assert not seen(world, "recorded", task)
            assert not seen(world, "deleted", task)
            assert len(seen(world, "received", task)) == 1
        over = time()
        await world.until_ended(job)
        (recorded,) = seen(world, "recorded", task)
        assert recorded.at - over < 10.0
        assert recorded.more["kind"] == ("failed" if exit_code else "succeeded")
        assert len(seen(world, "begun", task)) == len(seen(world, "container-started", task)) == 1

    proven(scene, settings=one_kind(), behave=steady(30.0, exit_code=exit_code))


# 15: the reply is lost


def losing_replies(world: World, operation: str, times: int, trouble: Trouble) -> Counter[str]:
    """Of the requests that write each task's item, alone or with others, so many get no reply. Returns how many, by
    item."""
    listening = tap(world, "dynamodb")
    lost: Counter[str] = Counter()

    def instead(asked: str, given: dict[str, Any]) -> Reply | None:
        names = [str(key) for key in written_by(operation, asked, given) if "T#" in str(key)]
        losing = [name for name in names if lost[name] < times]
        if not losing:
            return None
        lost.update(losing)
        with suppress(AwsError):  # the first was carried out, the others are refused for that
            listening.inner.answer(asked, given)
        raise AwsError("dynamodb:Write", "table", "ReadTimeout", "no reply", trouble)

    listening.instead = instead
    return lost


@pytest.mark.parametrize("trouble", [Trouble.UNREACHABLE, Trouble.SERVER])
@pytest.mark.parametrize("times", [1, 3, 20], ids=["once", "by the client", "by the adapter"])
def test_an_end_of_which_nobody_heard_is_recognised_as_our_own(times: int, trouble: Trouble) -> None:
    async def scene(world: World) -> None:
        lost = losing_replies(world, "update_item", times, trouble)
        job = await begun(world, array=4)
        assert (await world.until_ended(job)).counts.succeeded == 4
        assert list(lost.values()) == [times] * 4
        for index in range(4):
            assert kinds(world, f"{job}/{index}") == ["succeeded"]
            assert len(seen(world, "container-started", f"{job}/{index}")) == 1

    proven(scene, settings=one_kind(), behave=steady(5.0))


@pytest.mark.parametrize("trouble", [Trouble.UNREACHABLE, Trouble.SERVER])
@pytest.mark.parametrize("times", [1, 3], ids=["once", "by the client"])
def test_a_beginning_of_which_nobody_heard_is_recognised_as_our_own(times: int, trouble: Trouble) -> None:
    async def scene(world: World) -> None:
        lost = losing_replies(world, "put_item", times, trouble)
        job = await begun(world, array=4)
        assert (await world.until_ended(job)).counts.succeeded == 4
        assert list(lost.values()) == [times] * 4
        for index in range(4):
            assert [event.more["attempt"] for event in seen(world, "begun", f"{job}/{index}")] == [1]
            assert kinds(world, f"{job}/{index}") == ["succeeded"]

    proven(scene, settings=one_kind(), behave=steady(5.0))


@pytest.mark.parametrize("times", [4, 20])
def test_a_beginning_of_which_nobody_hears_for_seconds_is_nobodys_loss(times: int) -> None:
    async def scene(world: World) -> None:
        lost = losing_replies(world, "put_item", times, Trouble.UNREACHABLE)
        job = await begun(world)
        await world.until_ended(job)
        assert list(lost.values()) == [times]
        (first,) = seen(world, "begun", f"{job}/0")
        (started,) = seen(world, "container-started", f"{job}/0")
        assert started.at - first.at < LEASE / 2

    proven(scene, settings=one_kind(), behave=steady(5.0))


def test_a_beginning_that_was_given_up_as_lost_is_taken_over_and_not_charged_to_the_user() -> None:
    async def scene(world: World) -> None:
        losing_replies(world, "put_item", 60, Trouble.UNREACHABLE)
        job = await begun(world)
        assert (await world.until_ended(job)).counts.succeeded == 1
        assert len(seen(world, "received", f"{job}/0")) > 1
        assert said(world, "cannot begin", task=f"{job}/0")
        record = await world.records.task(TaskId(job, 0))
        assert record is not None
        assert record.user_failures == 0
        assert len(seen(world, "container-started", f"{job}/0")) == 1

    proven(scene, settings=one_kind(), behave=steady(5.0))


@pytest.mark.parametrize("effect", [Effect.LOST, Effect.RESET, Effect.FAILED_AFTER])
def test_replies_that_are_lost_now_and_then_leave_one_record_for_each_task(effect: Effect) -> None:
    async def scene(world: World) -> None:
        async with world.fault(Fault(effect, "dynamodb", share=0.3)):
            job = await begun(world, array=12)
            await asyncio.sleep(200.0)
        record = await world.until_ended(job)
        assert record.counts.succeeded == 12

    proven(scene, settings=one_kind(), behave=steady(10.0))


# 16: too large


def test_a_result_that_is_too_large_is_shortened_and_says_so() -> None:
    rubbish = b"\xff" * 600
    behaviour = Behaviour(
        5.0,
        exit_code=1,
        output=b"\n".join([b"\xff" * 1000] * 40),
        metadata=b"\n".join(b"key%d=%s" % (number, rubbish) for number in range(60)),
    )

    async def scene(world: World) -> None:
        job = await begun(world)
        assert (await world.until_ended(job)).status is Status.FAILED
        record = await world.records.task(TaskId(job, 0))
        assert record is not None
        assert record.outcome is not None
        assert (record.status, str(record.outcome.kind), record.outcome.exit_code) == (
            Status.FAILED,
            "failed",
            1,
        )
        assert "too large for a record, and shortened" in record.outcome.warning

    proven(scene, settings=one_kind(), behave=lambda _spec: behaviour)


# 17: many at once


def test_more_than_a_thousand_ends_in_one_second_are_counted_exactly_and_throttled_for_a_moment() -> None:
    def behave(spec: ContainerSpec) -> Behaviour:
        return Behaviour(max(1.0, 200.0 - time()))

    async def scene(world: World) -> None:
        world.dynamodb.behaviour.throttles = True
        listening = tap(world, "dynamodb")
        job = await begun(world, array=1400, vcpus=0.1, memory="64MiB")
        record = await world.until_ended(job)
        assert (record.status, record.counts.succeeded) == (Status.SUCCEEDED, 1400)
        recorded = sorted(event.at for event in world.history.of("recorded"))
        assert max(sum(at <= later < at + 1.0 for later in recorded) for at in recorded[:1]) > 1000
        assert recorded[-1] - recorded[0] < 5.0
        throttled = [call.at for call in listening.calls if call.code == "ThrottlingException"]
        assert throttled
        assert max(throttled) - min(throttled) < 5.0

    proven(scene, settings=one_kind(10, "m6i.4xlarge"), behave=behave)


# 18: conflicts and conditions


def test_a_transaction_that_is_in_the_way_is_waited_for() -> None:
    async def scene(world: World) -> None:
        world.dynamodb.behaviour.committing = 0.5
        listening = tap(world, "dynamodb")
        world.start_controller()
        jobs = [await world.submit(array=2) for _ in range(3)]
        conflicts = [call for call in listening.calls if call.code == CONFLICT]
        assert conflicts
        for job in jobs:
            assert (await world.until_ended(job)).counts.succeeded == 2
        for call in conflicts:
            assert [again for again in listening.of(call.operation, by=call.by) if again.at > call.at]

    proven(scene, settings=one_kind(), behave=steady(5.0))


def test_two_that_store_the_same_job_at_once_store_it_once() -> None:
    async def scene(world: World) -> None:
        world.dynamodb.behaviour.committing = 0.5
        world.start_controller()
        both = [world.submitting(array=3, idempotency_key="the same")[1] for _ in range(2)]
        first, second = await asyncio.gather(*both)
        assert first == second
        assert [event.subject for event in world.history.of("registered")] == [first]
        assert (await world.until_ended(first)).counts.succeeded == 3

    proven(scene, settings=one_kind(), behave=steady(5.0))


def test_a_condition_that_failed_is_never_asked_again_as_it_was() -> None:
    async def scene(world: World) -> None:
        listening = tap(world, "dynamodb")
        world.sqs.behaviour.duplicates = 0.5
        world.start_controller("first")
        world.start_controller("second")
        job = await world.submit(array=12, retries={"count": 2, "backoff": 5})
        await world.until_ended(job)
        world.sqs.behaviour.duplicates = 0.0
        asked = Counter((call.by, call.operation, str(call.parameters)) for call in listening.calls)
        refused = [call for call in listening.calls if call.code == REFUSED]
        assert len(refused) > 10
        for call in refused:
            assert asked[call.by, call.operation, str(call.parameters)] == 1

    def behave(spec: ContainerSpec) -> Behaviour:
        return Behaviour(20.0, exit_code=1 if spec.name.endswith("-1") else 0)

    proven(scene, settings=one_kind(), behave=behave)
