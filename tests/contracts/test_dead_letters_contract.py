"""What every store of dead letters must do."""

from __future__ import annotations

import pytest

from controller.ports import DeadLetters
from runner.model import TaskId
from runner.ports import Queue
from runner.records import DeadLetter
from tests.contracts.acts import HIDE, take, take_one, task
from tests.contracts.rigs import Rig

NEWER = '{"v":999,"job":"job-1","index":0}'


@pytest.fixture
def letters(rig: Rig) -> DeadLetters:
    return rig.dead_letters()


async def put_aside(rig: Rig, queue: Queue, *payloads: str) -> dict[str, DeadLetter]:
    """By payload, after an agent tried to read them."""
    for payload in payloads:
        await rig.put_raw("default", payload)
    await take(queue, 100)
    return {letter.body: letter for letter in await rig.dead_letters().list()}


async def bodies(letters: DeadLetters) -> list[str]:
    return sorted(letter.body for letter in await letters.list())


async def test_there_are_none_to_begin_with(letters: DeadLetters) -> None:
    assert not await letters.list()


async def test_a_letter_says_what_is_known_of_the_message(rig: Rig, queue: Queue) -> None:
    letter = (await put_aside(rig, queue, "hello"))["hello"]
    assert (letter.queue, letter.body, letter.receives, letter.task) == ("default", "hello", 1, None)
    assert "not JSON" in letter.reason
    assert letter.at == pytest.approx(rig.now(), abs=5.0)


async def test_listing_changes_nothing(rig: Rig, queue: Queue, letters: DeadLetters) -> None:
    await put_aside(rig, queue, "one", "two")
    assert await bodies(letters) == await bodies(letters) == ["one", "two"]


async def test_every_letter_is_listed(rig: Rig, queue: Queue, letters: DeadLetters) -> None:
    names = [f"message {n:02}" for n in range(25)]
    await put_aside(rig, queue, *names)
    assert await bodies(letters) == names


async def test_no_more_are_listed_than_asked_for(rig: Rig, queue: Queue, letters: DeadLetters) -> None:
    await put_aside(rig, queue, "one", "two", "three")
    assert len(await letters.list(limit=2)) == 2


async def test_a_dropped_letter_is_gone(rig: Rig, queue: Queue, letters: DeadLetters) -> None:
    known = await put_aside(rig, queue, "one", "two")
    assert [letter.body for letter in await letters.drop([known["one"].id])] == ["one"]
    assert await bodies(letters) == ["two"]


async def test_a_dropped_letter_is_on_no_queue(rig: Rig, queue: Queue, letters: DeadLetters) -> None:
    known = await put_aside(rig, queue, "one")
    await letters.drop([known["one"].id])
    await rig.advance(10 * HIDE)
    assert (await queue.backlog())["default"].total == 0


async def test_a_replayed_letter_is_on_its_queue_again(rig: Rig, queue: Queue, letters: DeadLetters) -> None:
    known = await put_aside(rig, queue, "one", "two")
    assert [letter.body for letter in await letters.replay([known["one"].id])] == ["one"]
    assert await bodies(letters) == ["two"]
    assert (await queue.backlog())["default"].visible == 1


async def test_what_still_cannot_be_read_after_a_replay_is_put_aside_again(
    rig: Rig, queue: Queue, letters: DeadLetters
) -> None:
    known = await put_aside(rig, queue, NEWER)
    await letters.replay([known[NEWER].id])
    assert not await take(queue)
    assert await bodies(letters) == [NEWER]


async def test_a_replay_puts_a_message_as_it_was_where_it_was(rig: Rig) -> None:
    queue = rig.queue({"high": 0})
    await rig.put_raw("high", "hello")
    await take(queue)
    letters = rig.dead_letters()
    await letters.replay([letter.id for letter in await letters.list()])
    await take(queue)
    assert [(letter.queue, letter.body) for letter in await letters.list()] == [("high", "hello")]


async def test_other_messages_are_not_touched(rig: Rig, queue: Queue, letters: DeadLetters) -> None:
    await queue.send("default", [task(7)])
    held = await take_one(queue)
    known = await put_aside(rig, queue, "one")
    await letters.drop([known["one"].id])
    await rig.advance(HIDE + 1)
    assert (await take_one(queue)).task == held.task == TaskId("job-1", 7)


async def test_what_is_not_there_is_neither_replayed_nor_dropped(
    rig: Rig, queue: Queue, letters: DeadLetters
) -> None:
    await put_aside(rig, queue, "one")
    for strange in ("12345", "no such letter", "-1", "9" * 40):
        assert not await letters.replay([strange])
        assert not await letters.drop([strange])
    assert await bodies(letters) == ["one"]


async def test_nothing_is_done_to_none(rig: Rig, queue: Queue, letters: DeadLetters) -> None:
    await put_aside(rig, queue, "one")
    assert not await letters.replay([])
    assert not await letters.drop([])
    assert await bodies(letters) == ["one"]


async def test_many_are_dropped_at_once(rig: Rig, queue: Queue, letters: DeadLetters) -> None:
    known = await put_aside(rig, queue, *(f"message {n}" for n in range(25)))
    assert len(await letters.drop([letter.id for letter in known.values()])) == 25
    assert not await letters.list()
