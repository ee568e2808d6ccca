"""What every queue must do with a message that cannot be read, or that its receiver can make nothing of."""

from __future__ import annotations

import pytest

from runner.codec import decode_pointer
from runner.model import TaskId
from runner.ports import Queue
from tests.contracts.acts import HIDE, take, take_all, take_one, task, tasks
from tests.contracts.rigs import Rig

UNREADABLE = {
    "not JSON": "hello",
    "nothing": "",
    "not an object": "[1, 2]",
    "no version": '{"job":"job-1","index":0}',
    "a newer version": '{"v":999,"job":"job-1","index":0}',
    "no job": '{"v":1,"index":0}',
    "an index that is no number": '{"v":1,"job":"job-1","index":"0"}',
    "a negative index": '{"v":1,"job":"job-1","index":-1}',
    "a path as the job": '{"v":1,"job":"../../etc/passwd","index":0}',
    "illegal characters": '{"v":1,"job":"job\\u0000\\ud800","index":0}',
    "a very long id": '{"v":1,"job":"' + "x" * 10_000 + '","index":0}',
    "deep nesting": "[" * 100_000,
}


@pytest.fixture(params=list(UNREADABLE), ids=list(UNREADABLE))
def unreadable(request: pytest.FixtureRequest) -> str:
    return UNREADABLE[request.param]


async def until_put_aside(rig: Rig, queue: Queue) -> None:
    """Receive until the unreadable message was found, beside a readable one that is there."""
    for _ in range(100):
        if await rig.quarantined():
            return
        await queue.release(await take_one(queue))


async def test_an_unreadable_message_is_not_returned(rig: Rig, queue: Queue, unreadable: str) -> None:
    await rig.put_raw("default", unreadable)
    assert not await take(queue)


async def test_an_unreadable_message_is_kept_with_a_reason(rig: Rig, queue: Queue, unreadable: str) -> None:
    await rig.put_raw("default", unreadable)
    await queue.send("default", [task()])
    await until_put_aside(rig, queue)
    ((payload, reason),) = await rig.quarantined()
    assert payload == unreadable
    assert reason


async def test_an_unreadable_message_is_quarantined_once(rig: Rig, queue: Queue) -> None:
    await rig.put_raw("default", "hello")
    await queue.send("default", [task()])
    for _ in range(3):
        await until_put_aside(rig, queue)
        await rig.advance(HIDE + 1)
        await take_one(queue)
    assert len(await rig.quarantined()) == 1


async def test_unreadable_messages_do_not_keep_others_waiting(rig: Rig, queue: Queue) -> None:
    for _ in range(20):
        await rig.put_raw("default", "hello")
    await queue.send("default", tasks(3))
    assert len(await take_all(queue, 3)) == 3


async def test_a_task_no_message_can_carry_is_refused(queue: Queue) -> None:
    with pytest.raises(ValueError, match="not a task"):
        await queue.send("default", [TaskId("../job", 0)])


async def test_nothing_is_sent_if_one_task_is_refused(queue: Queue) -> None:
    with pytest.raises(ValueError, match="not a task"):
        await queue.send("default", [task(), TaskId("../job", 0)])
    assert not await take(queue)


def skip_if_stale_tokens_count(rig: Rig) -> None:
    if not rig.refuses_stale_tokens:
        pytest.skip("this queue may obey a stale token, as the port allows")


async def test_a_message_put_aside_never_comes_back(rig: Rig, queue: Queue) -> None:
    await queue.send("default", tasks(2))
    lease = await take_one(queue)
    await queue.quarantine(lease, "no such job")
    await rig.advance(10 * HIDE)
    assert (await take_one(queue)).task != lease.task
    assert not await take(queue)


async def test_a_message_put_aside_is_kept_with_the_reason(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task(7)])
    await queue.quarantine(await take_one(queue), "no such job: \udcff")
    ((payload, reason),) = await rig.quarantined()
    assert decode_pointer(payload) == task(7)
    assert reason.startswith("no such job: ")


async def test_a_message_put_aside_twice_is_kept_once(rig: Rig, queue: Queue) -> None:
    skip_if_stale_tokens_count(rig)
    await queue.send("default", [task()])
    lease = await take_one(queue)
    for _ in range(2):
        await queue.quarantine(lease, "no such job")
    assert len(await rig.quarantined()) == 1


async def test_a_stale_token_puts_nothing_aside(rig: Rig, queue: Queue) -> None:
    skip_if_stale_tokens_count(rig)
    await queue.send("default", [task()])
    old = await take_one(queue)
    await rig.advance(HIDE + 1)
    await take_one(queue)
    await queue.quarantine(old, "no such job")
    assert not await rig.quarantined()
