"""Messages that cannot be read, or that their receiver can make nothing of. Emulated: SQS, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from runner.aws import AwsError, Trouble
from tests.aws.wrappers import fails
from tests.sqs.rig import DEAD_LETTERS, make_letters, queue_name
from tests.sqs.stage import HIDE, Stage, take_one, task, tasks, virtual


def put(stage: Stage, body: str, channel: str = "default") -> None:
    stage.service.put(queue_name(channel), body)


@virtual
async def test_an_unreadable_message_goes_to_the_dead_letters_with_all_that_is_known_of_it() -> None:
    stage = await Stage.set()
    put(stage, "hello", "small.2x8.od")
    assert not await stage.queue({"small.2x8.od": 0}).receive(10, wait=0.0, hide=HIDE)
    (letter,) = await make_letters(stage.service).list()
    assert (letter.queue, letter.body, letter.receives, letter.task) == ("small.2x8.od", "hello", 1, None)
    assert "not JSON" in letter.reason
    assert letter.at == pytest.approx(1_700_000_000.0, abs=5)


@virtual
async def test_those_that_can_be_read_come_as_ever() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    put(stage, "hello")
    await queue.send("default", tasks(3))
    assert len(await queue.receive(10, wait=0.0, hide=HIDE)) == 3


@virtual
async def test_an_unreadable_message_among_polled_ones_is_quarantined_too() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    waiting = asyncio.create_task(queue.receive(10, wait=30.0, hide=HIDE))
    await asyncio.sleep(1)
    put(stage, "hello")
    await asyncio.sleep(1)
    await queue.send("default", tasks(1))
    assert len(await waiting) == 1
    assert len(stage.service.queues[DEAD_LETTERS]) == 1


@virtual
async def test_where_there_is_no_place_for_dead_letters_the_message_stays_and_is_no_hot_loop() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    put(stage, "hello")
    stage.faulty.plan("send_message", *(fails("AccessDenied", Trouble.DENIED) for _ in range(100)))
    for _ in range(600):
        assert not await queue.receive(10, wait=1.0, hide=HIDE)
    assert stage.messages() == 1
    assert stage.aws.requests["send_message"] <= 600 / HIDE + 1


@virtual
async def test_a_message_too_long_to_be_sent_with_a_reason_is_shortened() -> None:
    stage = await Stage.set()
    put(stage, "é" * 500_000)
    await stage.queue().receive(10, wait=0.0, hide=HIDE)
    (letter,) = await make_letters(stage.service).list()
    assert 100_000 < len(letter.body.encode()) <= 250_000


@virtual
async def test_a_reason_with_characters_that_cannot_be_sent_is_escaped() -> None:
    stage = await Stage.set()
    put(stage, '{"v":"\\u0000\\ud800\\u001b[31m"}')
    await stage.queue().receive(10, wait=0.0, hide=HIDE)
    (letter,) = await make_letters(stage.service).list()
    assert letter.reason.isprintable()


@virtual
async def test_a_message_put_aside_is_kept_with_all_that_is_known_of_it() -> None:
    stage = await Stage.set()
    queue = stage.queue({"small.2x8": 0})
    await queue.send("small.2x8", [task(7)])
    await queue.release(await take_one(queue))
    await queue.quarantine(await take_one(queue), "no such job")
    (letter,) = await make_letters(stage.service).list()
    assert (letter.queue, letter.receives, letter.reason) == ("small.2x8", 2, "no such job")
    assert letter.task == task(7)


@virtual
async def test_a_message_put_aside_can_be_sent_again() -> None:
    stage = await Stage.set()
    queue = stage.queue(linger=0.0)
    await queue.send("default", [task(7)])
    await queue.quarantine(await take_one(queue), "no such job")
    letters = make_letters(stage.service)
    await letters.replay([letter.id for letter in await letters.list()])
    assert (await take_one(queue)).task == task(7)


@virtual
async def test_messages_put_aside_at_the_same_time_share_the_request_that_deletes_them() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", tasks(10))
    leases = await queue.receive(10, wait=0.0, hide=HIDE)
    await asyncio.gather(*(queue.quarantine(lease, "no such job") for lease in leases))
    await queue.flush()
    assert stage.aws.requests["delete_message_batch"] == 1
    assert (stage.messages(), len(stage.service.queues[DEAD_LETTERS])) == (0, 10)


@virtual
async def test_a_message_that_the_dead_letters_do_not_take_is_not_deleted() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    stage.faulty.plan("send_message", fails("AccessDenied", Trouble.DENIED))
    with pytest.raises(AwsError):
        await queue.quarantine(await take_one(queue), "no such job")
    await asyncio.sleep(HIDE + 1)
    assert stage.visible() == 1


@virtual
async def test_a_message_that_could_not_be_put_aside_can_be_the_next_time() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    lease = await take_one(queue)
    stage.faulty.plan("send_message", fails("AccessDenied", Trouble.DENIED))
    with pytest.raises(AwsError):
        await queue.quarantine(lease, "no such job")
    await queue.quarantine(lease, "no such job")
    await queue.flush()
    assert (stage.messages(), len(stage.service.queues[DEAD_LETTERS])) == (0, 1)


@virtual
async def test_a_beat_that_comes_late_leaves_a_message_put_aside_alone() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    lease = await take_one(queue)
    await queue.quarantine(lease, "no such job")
    assert not await queue.extend([lease], HIDE)
    assert not stage.aws.requests["change_message_visibility_batch"]


@virtual
async def test_a_message_that_is_done_with_is_not_put_aside() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    lease = await take_one(queue)
    await queue.complete([lease])
    await queue.quarantine(lease, "no such job")
    assert not len(stage.service.queues[DEAD_LETTERS])
