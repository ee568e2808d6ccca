"""Addresses of queues. Emulated: SQS, in virtual time."""

from __future__ import annotations

import asyncio

from runner.adapters.sqs.service import Service
from tests.sqs.rig import queue_name
from tests.sqs.stage import HIDE, Stage, never_answers, take_one, task, virtual

BEFORE_LONG = 1.0


@virtual
async def test_a_beat_for_a_known_queue_does_not_wait_for_the_address_of_another() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    lease = await take_one(queue)
    stage.faulty.plan("get_queue_url", never_answers)
    sending = asyncio.create_task(queue.send("low", [task(1)]))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(BEFORE_LONG):
        assert not await queue.extend([lease], HIDE)
    sending.cancel()


@virtual
async def test_the_address_of_one_queue_does_not_wait_for_that_of_another() -> None:
    stage = await Stage.set()
    service = Service(stage.aws)
    stage.faulty.plan("get_queue_url", never_answers)
    hanging = asyncio.create_task(service.call(queue_name("low"), "receive_message"))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(BEFORE_LONG):
        await service.call(queue_name("high"), "receive_message")
    hanging.cancel()


@virtual
async def test_an_urgent_call_does_not_wait_for_an_address_that_others_ask_for() -> None:
    stage = await Stage.set()
    service = Service(stage.aws)
    stage.faulty.plan("get_queue_url", never_answers)
    hanging = asyncio.create_task(service.call(queue_name("low"), "receive_message"))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(BEFORE_LONG):
        await service.call(queue_name("low"), "receive_message", urgent=True)
    hanging.cancel()


@virtual
async def test_calls_at_the_same_time_ask_for_an_address_once() -> None:
    stage = await Stage.set()
    service = Service(stage.aws)
    await asyncio.gather(*(service.call(queue_name("low"), "receive_message") for _ in range(5)))
    assert stage.aws.requests["get_queue_url"] == 1
