"""What every queue must do."""

from __future__ import annotations

import asyncio

import pytest

from runner.model import Lease
from runner.ports import Queue
from tests.contracts.acts import ARRIVAL, HIDE, take, take_all, take_one, task, tasks
from tests.contracts.rigs import Rig


async def test_a_sent_message_is_received(queue: Queue) -> None:
    await queue.send("default", [task(7)])
    assert (await take_one(queue)).task == task(7)


async def test_a_lease_names_its_queue(queue: Queue) -> None:
    await queue.send("default", [task()])
    assert (await take_one(queue)).queue == "default"


async def test_a_lease_runs_from_its_receive_for_as_long_as_was_asked(queue: Queue) -> None:
    before = asyncio.get_running_loop().time()
    await queue.send("default", [task()])
    lease = await take_one(queue, hide=12.0)
    assert before <= lease.hidden_until - 12.0 <= asyncio.get_running_loop().time()


async def test_sending_nothing_sends_nothing(queue: Queue) -> None:
    await queue.send("default", [])
    assert not await take(queue)


async def test_many_tasks_make_as_many_messages(queue: Queue) -> None:
    await queue.send("default", tasks(1000))
    assert sorted(lease.task for lease in await take_all(queue, 1000)) == tasks(1000)
    assert not await take(queue)


async def test_no_more_messages_are_received_than_asked_for(queue: Queue) -> None:
    await queue.send("default", tasks(5))
    assert 1 <= len(await take(queue, 3, wait=ARRIVAL)) <= 3


async def test_an_empty_queue_gives_nothing(queue: Queue) -> None:
    assert not await take(queue)


async def test_a_received_message_is_hidden(queue: Queue) -> None:
    await queue.send("default", [task()])
    await take_one(queue)
    assert not await take(queue)


async def test_a_message_stays_hidden_until_just_before_its_time(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()])
    await take_one(queue)
    await rig.advance(HIDE - 1)
    assert not await take(queue)


async def test_a_message_comes_back_when_its_time_is_over(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task(7)])
    await take_one(queue)
    await rig.advance(HIDE + 1)
    assert (await take_one(queue)).task == task(7)


async def test_a_message_keeps_its_id(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()])
    first = await take_one(queue)
    await rig.advance(HIDE + 1)
    assert (await take_one(queue)).message_id == first.message_id


async def test_every_receive_has_its_own_token(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()])
    first = await take_one(queue)
    await rig.advance(HIDE + 1)
    assert (await take_one(queue)).token != first.token


async def test_receives_are_counted(rig: Rig, queue: Queue) -> None:
    if not rig.exact:
        pytest.skip("this queue counts deliveries approximately, as the port allows")
    await queue.send("default", [task()])
    counted = [(await take_one(queue)).receives]
    await rig.advance(HIDE + 1)
    counted.append((await take_one(queue)).receives)
    assert counted == [1, 2]


async def test_a_task_sent_twice_makes_two_messages(queue: Queue) -> None:
    await queue.send("default", [task(), task()])
    first, second = await take_all(queue, 2)
    assert first.task == second.task
    assert first.message_id != second.message_id


async def test_a_delayed_message_is_not_received_before_its_time(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()], delay=60.0)
    await rig.advance(55.0)
    assert not await take(queue)


async def test_a_delayed_message_is_received_after_its_time(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()], delay=60.0)
    await rig.advance(61.0)
    assert await take_one(queue)


async def test_a_completed_message_never_comes_back(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()])
    await queue.complete([await take_one(queue)])
    await rig.advance(10 * HIDE)
    assert not await take(queue)


async def test_many_messages_are_completed_at_once(rig: Rig, queue: Queue) -> None:
    await queue.send("default", tasks(25))
    await queue.complete(await take_all(queue, 25))
    await rig.advance(HIDE + 1)
    assert not await take(queue)


async def test_completing_one_leaves_the_others(rig: Rig, queue: Queue) -> None:
    await queue.send("default", tasks(3))
    leases = await take_all(queue, 3)
    await queue.complete([lease for lease in leases if lease.task.index == 1])
    await rig.advance(HIDE + 1)
    assert sorted(lease.task.index for lease in await take_all(queue, 2)) == [0, 2]
    assert not await take(queue)


async def test_a_released_message_is_received_at_once(queue: Queue) -> None:
    await queue.send("default", [task()])
    await queue.release(await take_one(queue))
    assert await take_one(queue)


async def test_a_released_message_stays_away_for_its_delay(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()])
    await queue.release(await take_one(queue), delay=60.0)
    await rig.advance(55.0)
    assert not await take(queue)


async def test_a_released_message_comes_back_after_its_delay(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()])
    await queue.release(await take_one(queue), delay=60.0)
    await rig.advance(61.0)
    assert await take_one(queue)


async def test_an_extended_message_stays_hidden_beyond_its_first_time(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()])
    lease = await take_one(queue)
    await rig.advance(HIDE - 5)
    await queue.extend([lease], HIDE)
    await rig.advance(HIDE - 5)
    assert not await take(queue)


async def test_an_extended_message_comes_back_when_the_extension_is_over(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()])
    lease = await take_one(queue)
    await queue.extend([lease], HIDE)
    await rig.advance(HIDE + 1)
    assert await take_one(queue)


async def test_an_extension_counts_from_now_and_may_shorten(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()])
    lease = await take_one(queue, hide=100.0)
    await queue.extend([lease], 10.0)
    await rig.advance(11.0)
    assert await take_one(queue)


async def test_a_lease_that_is_held_is_not_reported_lost(queue: Queue) -> None:
    await queue.send("default", tasks(3))
    assert not await queue.extend(await take_all(queue, 3), HIDE)


async def test_a_completed_message_is_not_brought_back_by_an_extension(rig: Rig, queue: Queue) -> None:
    await queue.send("default", [task()])
    lease = await take_one(queue)
    await queue.complete([lease])
    await queue.extend([lease], HIDE)
    await rig.advance(HIDE + 1)
    assert not await take(queue)


async def test_completing_twice_is_harmless(queue: Queue) -> None:
    await queue.send("default", tasks(2))
    lease = await take_one(queue)
    await queue.complete([lease])
    await queue.complete([lease])
    assert (await take_one(queue)).task != lease.task


async def replaced(rig: Rig, queue: Queue) -> tuple[Lease, Lease]:
    """An old lease of a message, and the one that somebody else has now."""
    if not rig.refuses_stale_tokens:
        pytest.skip("this queue may obey a stale token, as the port allows")
    await queue.send("default", [task()])
    old = await take_one(queue)
    await rig.advance(HIDE + 1)
    return old, await take_one(queue)


async def test_a_stale_token_completes_nothing(rig: Rig, queue: Queue) -> None:
    old, _ = await replaced(rig, queue)
    await queue.complete([old])
    await rig.advance(HIDE + 1)
    assert await take_one(queue)


async def test_a_stale_token_releases_nothing(rig: Rig, queue: Queue) -> None:
    old, _ = await replaced(rig, queue)
    await queue.release(old)
    assert not await take(queue)


async def test_a_stale_token_extends_nothing(rig: Rig, queue: Queue) -> None:
    old, _ = await replaced(rig, queue)
    await queue.extend([old], 10 * HIDE)
    await rig.advance(HIDE + 1)
    assert await take_one(queue)


async def test_a_stale_lease_is_reported_lost(rig: Rig, queue: Queue) -> None:
    old, current = await replaced(rig, queue)
    assert list(await queue.extend([old, current], HIDE)) == [old]


async def test_two_receivers_never_get_the_same_message(rig: Rig, queue: Queue) -> None:
    await queue.send("default", tasks(40))
    other = (await rig.peer()).queue({"default": 0})
    received: list[str] = []
    while len(received) < 40:
        both = await asyncio.gather(*(take(each, 5, wait=ARRIVAL) for each in (queue, other) * 4))
        assert any(both)
        received += [lease.message_id for leases in both for lease in leases]
    assert len(set(received)) == 40


async def test_another_process_receives_what_was_sent(rig: Rig, queue: Queue) -> None:
    other = (await rig.peer()).queue({"default": 0})
    await queue.send("default", [task(3)])
    assert (await take_one(other)).task == task(3)
