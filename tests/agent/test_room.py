"""Who may run now, and how many more messages to ask for."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.simulation.clock import run
from runner.agent.room import MOST_PREFETCHED, Room, Shape
from runner.model import TaskId
from runner.ports import Capacity

GIB = 1024**3
SMALL = Shape(1.0, GIB)
numbers = itertools.count()


def a_task(job_id: str = "j") -> TaskId:
    return TaskId(job_id, next(numbers))


async def learned(room: Room, job_id: str, shape: Shape, seconds: float) -> None:
    """The room has seen what a task of the job takes."""
    task = a_task(job_id)
    assert room.keep(task, shape)
    async with room.hold(task, shape):
        await asyncio.sleep(seconds)


async def stay(room: Room, shape: Shape, seconds: float, finished: list[Shape] | None = None) -> None:
    async with room.hold(a_task(), shape):
        await asyncio.sleep(seconds)
    if finished is not None:
        finished.append(shape)


def test_a_task_waits_until_there_is_room() -> None:
    async def main() -> float:
        room = Room(Capacity(2, 8 * GIB), prefetch=0)
        await asyncio.gather(*(stay(room, SMALL, 10) for _ in range(3)))
        return asyncio.get_running_loop().time()

    assert run(main()) == 20


def test_memory_is_room_too() -> None:
    async def main() -> float:
        room = Room(Capacity(8, 2 * GIB), prefetch=0)
        await asyncio.gather(*(stay(room, Shape(0.1, 2 * GIB), 10) for _ in range(2)))
        return asyncio.get_running_loop().time()

    assert run(main()) == 20


def test_a_large_task_is_not_overtaken_for_ever_by_small_ones() -> None:
    async def main() -> list[Shape]:
        room = Room(Capacity(2, 8 * GIB), prefetch=0)
        finished: list[Shape] = []
        large = Shape(2.0, GIB)
        async with asyncio.TaskGroup() as group:
            group.create_task(stay(room, SMALL, 10, finished))
            group.create_task(stay(room, large, 10, finished))
            for _ in range(4):
                group.create_task(stay(room, SMALL, 10, finished))
        return finished

    assert run(main()).index(Shape(2.0, GIB)) == 1


def test_a_waiter_that_gives_up_does_not_block_those_behind_it() -> None:
    async def main() -> float:
        room = Room(Capacity(2, 8 * GIB), prefetch=0)
        first = asyncio.create_task(stay(room, SMALL, 10))
        large = asyncio.create_task(stay(room, Shape(2.0, GIB), 10))
        small = asyncio.create_task(stay(room, SMALL, 1))
        await asyncio.sleep(1)
        large.cancel()
        await small
        ended = asyncio.get_running_loop().time()
        await first
        return ended

    assert run(main()) == 2


def test_fractions_of_a_vcpu_add_up() -> None:
    async def main() -> float:
        room = Room(Capacity(1, 8 * GIB), prefetch=0)
        await asyncio.gather(*(stay(room, Shape(0.1, 1), 10) for _ in range(10)))
        return asyncio.get_running_loop().time()

    assert run(main()) == 10


def test_no_more_is_asked_for_than_fits() -> None:
    async def main() -> list[int]:
        room = Room(Capacity(4, 8 * GIB), prefetch=0)
        seen = [room.wanted()]
        room.expect(a_task())
        seen.append(room.wanted())
        async with room.hold(a_task(), SMALL):
            seen.append(room.wanted())
        return seen

    assert run(main()) == [4, 3, 2]


def test_long_tasks_are_never_hoarded() -> None:
    async def main() -> int:
        room = Room(Capacity(2, 8 * GIB), prefetch=0.25)
        await stay(room, SMALL, 5)
        return room.wanted()

    assert run(main()) == 2


def test_short_tasks_are_taken_ahead_within_bounds() -> None:
    async def main() -> int:
        room = Room(Capacity(2, 8 * GIB), prefetch=0.25)
        await learned(room, "short", SMALL, 0.001)
        return room.wanted()

    assert run(main()) == 2 + MOST_PREFETCHED


def test_what_short_tasks_of_one_job_take_says_nothing_of_anothers() -> None:
    async def main() -> tuple[int, list[bool]]:
        room = Room(Capacity(2, 8 * GIB), prefetch=0.25)
        await learned(room, "short", SMALL, 0.001)
        kept = [room.keep(a_task("other"), SMALL) for _ in range(4)]
        return room.wanted(), kept

    assert run(main()) == (0, [True, True, False, False])


def test_one_that_does_not_fit_beside_the_others_is_kept_in_line_and_those_after_it_are_given_back() -> None:
    async def main() -> tuple[list[bool], int]:
        room = Room(Capacity(3, 8 * GIB), prefetch=0.25)
        large = Shape(2.0, GIB)
        kept = [room.keep(a_task(), shape) for shape in (large, large, SMALL)]
        return kept, room.wanted()

    assert run(main()) == ([True, True, False], 0)


def test_beside_other_machines_what_does_not_fit_is_given_back_at_once() -> None:
    async def main() -> list[bool]:
        room = Room(Capacity(3, 8 * GIB), prefetch=0.25, alone=False)
        large = Shape(2.0, GIB)
        return [room.keep(a_task(), shape) for shape in (large, large, SMALL)]

    assert run(main()) == [True, False, True]


def test_after_giving_one_back_a_machine_asks_again_ever_later() -> None:
    async def main() -> list[float]:
        room = Room(Capacity(3, 8 * GIB), prefetch=0, alone=False)
        large = Shape(2.0, GIB)
        async with room.hold(a_task(), large):
            asked: list[float] = []
            while asyncio.get_running_loop().time() < 300:
                if room.wanted():
                    asked.append(asyncio.get_running_loop().time())
                    assert not room.keep(a_task(), large)
                await asyncio.sleep(0.5)
            return [later - earlier for earlier, later in itertools.pairwise(asked)]

    pauses = run(main())
    assert pauses[0] == 1
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30


def test_what_was_given_back_is_asked_for_as_soon_as_there_is_room() -> None:
    async def main() -> list[int]:
        room = Room(Capacity(3, 8 * GIB), prefetch=0, alone=False)
        large = Shape(2.0, GIB)
        async with room.hold(a_task(), large):
            room.keep(a_task(), large)
            before = room.wanted()
        return [before, room.wanted()]

    assert run(main()) == [0, 1]


def test_short_tasks_are_taken_ahead_beside_other_machines_too() -> None:
    async def main() -> int:
        room = Room(Capacity(2, 8 * GIB), prefetch=0.25, alone=False)
        await learned(room, "short", SMALL, 0.001)
        return room.wanted()

    assert run(main()) == 2 + MOST_PREFETCHED


def test_a_task_in_line_that_is_given_up_lets_others_be_asked_for() -> None:
    async def main() -> list[int]:
        room = Room(Capacity(3, 8 * GIB), prefetch=0)
        first, second = a_task(), a_task()
        for task in (first, second):
            room.keep(task, Shape(2.0, GIB))
        async with room.hold(first, Shape(2.0, GIB)):
            before = room.wanted()
            room.forget(second)
            return [before, room.wanted()]

    assert run(main()) == [0, 1]


def test_nobody_is_asked_for_while_more_than_the_room_is_taken() -> None:
    async def main() -> list[int]:
        room = Room(Capacity(1, 8 * GIB), prefetch=0)
        large = Shape(2.0, GIB)
        room.take(a_task(), large)
        seen = [room.wanted()]
        room.leave(large)
        return [*seen, room.wanted()]

    assert run(main()) == [0, 1]


def test_a_waiter_that_gives_up_in_the_moment_room_is_made_is_passed_over() -> None:
    async def main() -> float:
        room = Room(Capacity(1, 8 * GIB), prefetch=0)
        room.take(a_task(), SMALL)
        second, third = (asyncio.create_task(stay(room, SMALL, 1)) for _ in range(2))
        await asyncio.sleep(1)
        second.cancel()
        room.leave(SMALL)
        await asyncio.gather(second, third, return_exceptions=True)
        assert second.cancelled()
        return room.free.vcpus

    assert run(main()) == 1


def test_a_forgotten_task_makes_place_for_another() -> None:
    room = Room(Capacity(1, GIB), prefetch=0)
    task = a_task()
    room.expect(task)
    before = room.wanted()
    room.forget(task)
    assert (before, room.wanted()) == (0, 1)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.25, 0.5, 1.0, 2.0]), st.integers(1, 8), st.floats(0, 5)),
        max_size=30,
    ),
    st.lists(st.integers(0, 29), max_size=5),
)
def test_the_machine_is_never_overbooked_and_always_empty_in_the_end(
    tasks: Sequence[tuple[float, int, float]], given_up: Sequence[int]
) -> None:
    async def main() -> None:
        room = Room(Capacity(2, 8 * GIB), prefetch=0.25)
        work = [asyncio.create_task(stay(room, Shape(v, m * GIB), s)) for v, m, s in tasks]
        for index in given_up:
            if index < len(work):
                asyncio.get_running_loop().call_later(index / 7, work[index].cancel)
        while not all(task.done() for task in work):
            await asyncio.sleep(0.05)
            assert room.free.vcpus > -1e-6
            assert room.free.memory >= 0
        assert room.free.vcpus == pytest.approx(2)
        assert room.free.memory == 8 * GIB

    run(main())
