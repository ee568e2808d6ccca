"""What the simulated SQS does where it is asked to behave as badly as the documentation allows."""

from __future__ import annotations

import asyncio
from random import Random

from controller.simulation.services.sqs_behaviour import Behaviour
from tests.aws.test_simulated_sqs import Client
from tests.sqs.stage import virtual


async def queue(**behaviour: float) -> Client:
    return await Client(random=Random(1), behaviour=Behaviour(**behaviour)).create()  # type: ignore[arg-type]


@virtual
async def test_a_message_may_be_delivered_twice_at_once() -> None:
    client = await queue(duplicates=1.0)
    await client.send()
    first = (await client.take(hide=30, wait=5))[0]
    second = (await client.take(hide=30, wait=20))[0]
    assert first["MessageId"] == second["MessageId"]
    assert first["ReceiptHandle"] != second["ReceiptHandle"]


@virtual
async def test_whoever_waits_is_told_of_a_second_copy() -> None:
    client = await queue(duplicates=1.0)
    taking = [asyncio.create_task(client.take(wait=20)) for _ in range(2)]
    await asyncio.sleep(1)
    await client.send()
    assert all(await asyncio.gather(*taking))


@virtual
async def test_a_deleted_message_may_come_back() -> None:
    client = await queue(ghosts=1.0)
    await client.send()
    (message,) = await client.take()
    await client("delete_message", ReceiptHandle=message["ReceiptHandle"])
    assert not await client.take()
    await asyncio.sleep(60)
    assert (await client.take())[0]["MessageId"] == message["MessageId"]


@virtual
async def test_an_old_handle_may_delete_all_the_same() -> None:
    client = await queue(stale=1.0)
    await client.send()
    (message,) = await client.take(hide=1)
    await asyncio.sleep(2)
    await client.take(hide=1)
    await client("delete_message", ReceiptHandle=message["ReceiptHandle"])
    await asyncio.sleep(2)
    assert not await client.take()


@virtual
async def test_messages_may_come_in_no_order() -> None:
    client = await queue(shuffled=True)
    sent = [await client.send() for _ in range(10)]
    taken = [message["MessageId"] for _ in range(10) for message in await client.take()]
    assert sorted(taken) == sorted(sent)
    assert taken != sent


@virtual
async def test_a_receive_may_bring_a_part_and_a_long_poll_never_nothing() -> None:
    client = await queue(short=1.0)
    for _ in range(30):
        await client.send()
    brought = [len(await client.take(most=10, wait=20)) for _ in range(3)]
    assert min(brought) >= 1
    assert sum(brought) < 30


@virtual
async def test_entries_of_a_batch_may_fail_for_the_services_own_reasons_and_some_are_carried_out() -> None:
    client = await queue(failing=1.0)
    entries = [{"Id": str(number), "MessageBody": "body"} for number in range(10)]
    reply = await client("send_message_batch", Entries=entries)
    assert {(each["Code"], each["SenderFault"]) for each in reply["Failed"]} == {("InternalError", False)}
    assert 0 < (await client.counts())[0] < 10


@virtual
async def test_counts_may_be_late_by_so_many_seconds_and_no_more() -> None:
    client = await queue(lag=60.0)
    await client.counts()
    await asyncio.sleep(100)
    await client.send()
    seen = {(await client.counts())[0] for _ in range(50)}
    await asyncio.sleep(60)
    assert seen == {0}
    assert {(await client.counts())[0] for _ in range(50)} == {1}
