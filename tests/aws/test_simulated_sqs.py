"""The simulation keeps to what the documentation of SQS says. In virtual time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from controller.simulation.clock import now
from controller.simulation.services.sqs import PREFIX, SimulatedSqs
from controller.simulation.services.sqs_messages import ARN
from runner.aws import AwsError, Reply
from tests.sqs.stage import virtual

HOUR = 3600.0


class Client:
    def __init__(self, **settings: Any) -> None:
        self.service = SimulatedSqs(now, **settings)

    async def create(self, name: str = "q", **attributes: str) -> Client:
        await self.service.call("sqs", "create_queue", QueueName=name, Attributes=attributes)
        return self

    async def __call__(self, operation: str, name: str = "q", **parameters: Any) -> Reply:
        return await self.service.call("sqs", operation, QueueUrl=PREFIX + name, **parameters)

    async def send(self, body: str = "body", **more: Any) -> str:
        return str((await self("send_message", MessageBody=body, **more))["MessageId"])

    async def take(self, name: str = "q", hide: int = 30, most: int = 1, wait: int = 0) -> list[Any]:
        reply = await self(
            "receive_message",
            name,
            MaxNumberOfMessages=most,
            VisibilityTimeout=hide,
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"],
        )
        return list(reply.get("Messages", []))

    async def hide(self, handle: str, seconds: int) -> None:
        await self("change_message_visibility", ReceiptHandle=handle, VisibilityTimeout=seconds)

    async def counts(self, name: str = "q") -> tuple[int, int, int]:
        attributes = (await self("get_queue_attributes", name, AttributeNames=["All"]))["Attributes"]
        kinds = ("", "NotVisible", "Delayed")
        visible, hidden, delayed = (int(attributes[f"ApproximateNumberOfMessages{kind}"]) for kind in kinds)
        return visible, hidden, delayed


async def refused(code: str, call: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        await call
    assert caught.value.code.rpartition(".")[2] == code
    return caught.value


@virtual
async def test_a_message_is_hidden_from_its_receive_until_its_time_is_over() -> None:
    sqs = await Client().create()
    await sqs.send()
    assert len(await sqs.take(hide=30)) == 1
    await asyncio.sleep(29)
    assert not await sqs.take()
    await asyncio.sleep(1)
    assert len(await sqs.take()) == 1


@virtual
async def test_counts_tell_visible_hidden_and_delayed_messages_apart() -> None:
    sqs = await Client().create()
    for delay in (0, 0, 0, 10, 10):
        await sqs.send(DelaySeconds=delay)
    await sqs.take()
    assert await sqs.counts() == (2, 1, 2)


@virtual
async def test_a_long_poll_ends_with_the_first_message() -> None:
    sqs = await Client().create()
    polling = asyncio.create_task(sqs.take(wait=20))
    await asyncio.sleep(7)
    await sqs.send()
    await asyncio.sleep(0)
    assert len(await polling) == 1


@virtual
async def test_a_long_poll_sees_a_message_whose_time_is_over() -> None:
    sqs = await Client().create()
    await sqs.send()
    await sqs.take(hide=5)
    began = now()
    assert len(await sqs.take(wait=20)) == 1
    assert now() - began == pytest.approx(5)


@virtual
async def test_a_long_poll_ends_empty_when_its_time_is_over() -> None:
    sqs = await Client().create()
    began = now()
    assert not await sqs.take(wait=20)
    assert now() - began == pytest.approx(20)


@virtual
async def test_twelve_hours_in_total_count_from_the_receive() -> None:
    sqs = await Client().create()
    await sqs.send()
    await asyncio.sleep(HOUR)
    (message,) = await sqs.take(hide=60)
    await sqs.hide(message["ReceiptHandle"], 43200)
    await asyncio.sleep(HOUR)
    error = await refused("InvalidParameterValue", sqs.hide(message["ReceiptHandle"], 11 * 3600 + 1))
    assert "beyond the limit" in str(error)
    await sqs.hide(message["ReceiptHandle"], 11 * 3600)


@pytest.mark.parametrize("obeys", [False, True])
@virtual
async def test_a_handle_whose_time_is_over_is_refused_or_obeyed_as_chosen(obeys: bool) -> None:
    sqs = await Client(obeys_expired=obeys).create()
    await sqs.send()
    (message,) = await sqs.take(hide=5)
    await asyncio.sleep(6)
    if obeys:
        await sqs.hide(message["ReceiptHandle"], 30)
    else:
        await refused("MessageNotInflight", sqs.hide(message["ReceiptHandle"], 30))
    assert (await sqs.counts())[1] == int(obeys)


@virtual
async def test_a_handle_that_was_replaced_deletes_nothing_and_says_nothing() -> None:
    sqs = await Client().create()
    await sqs.send()
    (old,) = await sqs.take(hide=5)
    await asyncio.sleep(6)
    await sqs.take()
    await sqs("delete_message", ReceiptHandle=old["ReceiptHandle"])
    assert (await sqs.counts())[1] == 1


@virtual
async def test_what_is_no_handle_is_refused() -> None:
    sqs = await Client().create()
    await refused("ReceiptHandleIsInvalid", sqs("delete_message", ReceiptHandle="nonsense"))


@virtual
async def test_entries_of_a_batch_fail_one_by_one() -> None:
    sqs = await Client().create()
    entries = [
        {"Id": "good", "MessageBody": "body"},
        {"Id": "empty", "MessageBody": ""},
        {"Id": "late", "MessageBody": "body", "DelaySeconds": 901},
        {"Id": "control", "MessageBody": "\x00"},
    ]
    reply = await sqs("send_message_batch", Entries=entries)
    assert [each["Id"] for each in reply["Successful"]] == ["good"]
    assert [each["Id"] for each in reply["Failed"]] == ["empty", "late", "control"]


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "EmptyBatchRequest"),
        ([{"Id": str(n), "MessageBody": "b"} for n in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": "a", "MessageBody": "b"}] * 2, "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "MessageBody": "b"}], "InvalidBatchEntryId"),
        ([{"Id": str(n), "MessageBody": "b" * 200_000} for n in range(6)], "BatchRequestTooLong"),
    ],
)
@virtual
async def test_a_batch_that_is_not_well_made_is_refused_as_a_whole(entries: object, code: str) -> None:
    sqs = await Client().create()
    await refused(code, sqs("send_message_batch", Entries=entries))
    assert await sqs.counts() == (0, 0, 0)


@pytest.mark.parametrize(
    "parameters", [{"most": 11}, {"most": 0}, {"wait": 21}, {"hide": 43201}, {"hide": -1}, {"hide": 0.5}]
)
@virtual
async def test_a_receive_beyond_the_limits_is_refused(parameters: dict[str, int]) -> None:
    sqs = await Client().create()
    await refused("InvalidParameterValue", sqs.take(**parameters))


@virtual
async def test_at_the_limit_in_flight_short_polls_fail_and_long_ones_find_nothing() -> None:
    sqs = await Client(in_flight_limit=2).create()
    for _ in range(3):
        await sqs.send()
    assert len(await sqs.take(most=10)) == 2
    await refused("OverLimit", sqs.take())
    assert not await sqs.take(wait=1)


@virtual
async def test_a_message_received_too_often_moves_to_the_dead_letters_with_its_id() -> None:
    sqs = Client()
    await sqs.create("dead")
    await sqs.create(RedrivePolicy=json.dumps({"deadLetterTargetArn": ARN + "dead", "maxReceiveCount": 2}))
    sent = await sqs.send()
    for _ in range(2):
        await sqs.take(hide=0)
    assert not await sqs.take()
    (letter,) = await sqs.take("dead")
    assert letter["MessageId"] == sent
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == ARN + "q"


@virtual
async def test_a_message_is_forgotten_after_its_retention() -> None:
    sqs = await Client().create(MessageRetentionPeriod="3600")
    await sqs.send()
    await asyncio.sleep(HOUR + 1)
    assert not await sqs.take()
    assert await sqs.counts() == (0, 0, 0)


@virtual
async def test_a_purged_queue_is_empty() -> None:
    sqs = await Client().create()
    await sqs.send()
    await sqs("purge_queue")
    assert await sqs.counts() == (0, 0, 0)


@virtual
async def test_a_queue_that_does_not_exist_is_told() -> None:
    await refused("NonExistentQueue", Client()("receive_message", "nowhere"))
