"""What every queue must do for who waits, for high and low priorities, and to say how deep it is."""

from __future__ import annotations

import asyncio

import pytest

from runner.ports import Queue
from tests.contracts.acts import ARRIVAL, HIDE, take, take_all, take_one, task, tasks
from tests.contracts.rigs import Rig


async def test_a_receiver_waits_for_as_long_as_it_was_told(queue: Queue) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert not await take(queue, wait=0.3)
    assert 0.25 < loop.time() - start < 5.0


async def test_a_message_ends_a_wait(queue: Queue) -> None:
    waiting = asyncio.create_task(take(queue, wait=60.0))
    await asyncio.sleep(0.05)
    await queue.send("default", [task()])
    async with asyncio.timeout(5.0):
        assert await waiting


async def test_a_message_of_another_process_ends_a_wait(rig: Rig, queue: Queue) -> None:
    other = (await rig.peer()).queue({"default": 0})
    waiting = asyncio.create_task(take(queue, wait=60.0))
    await asyncio.sleep(0.05)
    await other.send("default", [task()])
    async with asyncio.timeout(5.0):
        assert await waiting


async def test_a_released_message_ends_a_wait(queue: Queue) -> None:
    await queue.send("default", [task()])
    lease = await take_one(queue)
    waiting = asyncio.create_task(take(queue, wait=60.0))
    await asyncio.sleep(0.05)
    await queue.release(lease)
    async with asyncio.timeout(5.0):
        assert await waiting


async def test_a_cancelled_receive_leaves_the_message_to_others(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()])
    receiving = asyncio.create_task(take(queue, wait=ARRIVAL))
    await asyncio.sleep(0)
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    await rig.advance(HIDE + 1)
    assert receiving.cancelled()
    assert await take_one(queue)


async def test_a_queue_of_higher_priority_is_served_first(rig: Rig) -> None:
    queue = rig.queue({"low": 0, "high": 5, "middle": 3})
    for name in ("low", "middle", "high"):
        await queue.send(name, [task()])
    assert [lease.queue for lease in await take_all(queue, 3)] == ["high", "middle", "low"]


async def test_what_the_high_queue_leaves_room_for_comes_from_the_low(rig: Rig) -> None:
    queue = rig.queue({"low": 0, "high": 1})
    await queue.send("low", tasks(5))
    await queue.send("high", tasks(2))
    assert [lease.queue for lease in await take_all(queue, 4)] == ["high", "high", "low", "low"]


async def test_a_busy_high_queue_does_not_starve_the_low(rig: Rig) -> None:
    queue = rig.queue({"low": 0, "high": 1})
    await queue.send("high", tasks(100))
    await queue.send("low", [task()])
    served = [(await take_one(queue)).queue for _ in range(50)]
    assert "low" in served


async def test_a_busy_high_queue_is_still_served_most(rig: Rig) -> None:
    queue = rig.queue({"low": 0, "high": 1})
    await queue.send("high", tasks(100))
    await queue.send("low", tasks(100))
    served = [(await take_one(queue)).queue for _ in range(50)]
    assert served.count("high") >= 40


async def test_queues_of_equal_priority_take_turns(rig: Rig) -> None:
    queue = rig.queue({"a": 0, "b": 0})
    await queue.send("a", tasks(50))
    await queue.send("b", tasks(50))
    served = [(await take_one(queue)).queue for _ in range(20)]
    assert 5 <= served.count("a") <= 15


async def test_only_the_queues_asked_for_are_received_from(rig: Rig) -> None:
    await rig.queue({"default": 0, "high": 0}).send("high", [task()])
    assert not await take(rig.queue({"default": 0}))


async def test_the_backlog_of_an_empty_queue_is_nothing(queue: Queue) -> None:
    assert (await queue.backlog())["default"].total == 0


async def test_the_backlog_names_every_queue(rig: Rig) -> None:
    assert set(await rig.queue({"low": 0, "high": 1}).backlog()) == {"low", "high"}


def skip_if_approximate(rig: Rig) -> None:
    if not rig.exact:
        pytest.skip("this queue's counts are approximate and late, as the port allows")


async def test_the_backlog_counts_by_where_messages_are(rig: Rig, queue: Queue) -> None:
    skip_if_approximate(rig)
    await queue.send("default", tasks(7))
    await queue.send("default", tasks(2), delay=60.0)
    await take(queue, 3)
    depth = (await queue.backlog())["default"]
    assert (depth.visible, depth.in_flight, depth.delayed) == (4, 3, 2)


async def test_the_backlog_says_when_it_was_read(rig: Rig, queue: Queue) -> None:
    await rig.advance(100.0)
    assert (await queue.backlog())["default"].as_of == pytest.approx(rig.now(), abs=5.0)


async def test_the_backlog_is_kept_by_queue(rig: Rig) -> None:
    skip_if_approximate(rig)
    queue = rig.queue({"low": 0, "high": 1})
    await queue.send("low", tasks(3))
    await queue.send("high", tasks(1))
    assert {name: depth.total for name, depth in (await queue.backlog()).items()} == {"low": 3, "high": 1}


async def test_an_expired_lease_counts_as_visible_again(rig: Rig, queue: Queue) -> None:
    skip_if_approximate(rig)
    await queue.send("default", [task()])
    await take_one(queue)
    await rig.advance(HIDE + 1)
    assert (await queue.backlog())["default"].visible == 1
