"""Processes on a virtual clock: killed, frozen, thawed, wrong about the time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

from controller.simulation.clock import EPOCH, Process, current_process, outside, run

Done = list[str]


async def tick(done: Done, seconds: float = 1.0) -> None:
    try:
        while True:
            await asyncio.sleep(seconds)
            done.append(f"{asyncio.get_running_loop().time():g}")
    finally:
        done.append("finally")


def played(scene: Callable[[Process, Done], Awaitable[None]]) -> Done:
    """What is in the list when the scene ends."""

    async def main() -> Done:
        done: Done = []
        await scene(Process("p"), done)
        return list(done)

    return run(main())


def test_a_process_runs_beside_others() -> None:
    async def scene(process: Process, done: Done) -> None:
        process.start(tick(done))
        await asyncio.sleep(2.5)

    assert played(scene) == ["1", "2"]


def test_nothing_of_a_killed_process_goes_on_not_even_a_finally() -> None:
    async def scene(process: Process, done: Done) -> None:
        process.start(tick(done))
        await asyncio.sleep(1.5)
        process.kill()
        gc.collect()
        await asyncio.sleep(10)
        gc.collect()

    assert played(scene) == ["1"]


def test_what_a_killed_process_started_is_killed_with_it() -> None:
    async def parent(done: Done) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(tick(done))

    async def scene(process: Process, done: Done) -> None:
        process.start(parent(done))
        await asyncio.sleep(1.5)
        process.kill()
        await asyncio.sleep(10)

    assert played(scene) == ["1"]


def test_a_process_that_kills_itself_ends_at_its_next_wait() -> None:
    async def suicide(process: Process, done: Done) -> None:
        process.kill()
        done.append("last words")
        await asyncio.sleep(0)
        done.append("a ghost")

    async def scene(process: Process, done: Done) -> None:
        process.start(suicide(process, done))
        await asyncio.sleep(10)

    assert played(scene) == ["last words"]


def test_a_frozen_process_does_nothing() -> None:
    async def scene(process: Process, done: Done) -> None:
        process.start(tick(done))
        await asyncio.sleep(1.5)
        process.freeze()
        await asyncio.sleep(10)

    assert played(scene) == ["1"]


def test_a_thawed_process_first_does_what_it_had_to_do_meanwhile_in_order() -> None:
    async def scene(process: Process, done: Done) -> None:
        process.freeze()
        loop = asyncio.get_running_loop()
        for name, seconds in (("third", 3.0), ("first", 1.0), ("second", 2.0)):
            process.context().run(loop.call_later, seconds, done.append, name)
        await asyncio.sleep(5)
        process.thaw()
        await asyncio.sleep(0)

    assert played(scene) == ["first", "second", "third"]


def test_a_timer_that_is_cancelled_after_the_thaw_does_not_fire_though_its_time_has_come() -> None:
    async def scene(process: Process, done: Done) -> None:
        process.freeze()
        loop, context = asyncio.get_running_loop(), process.context()
        later = context.copy().run(loop.call_later, 2.0, done.append, "late")
        context.run(loop.call_later, 1.0, later.cancel)
        await asyncio.sleep(5)
        process.thaw()
        await asyncio.sleep(1)

    assert played(scene) == []


def test_a_process_killed_while_frozen_does_not_wake_up() -> None:
    async def scene(process: Process, done: Done) -> None:
        process.start(tick(done))
        process.freeze()
        await asyncio.sleep(5)
        process.kill()
        process.thaw()
        await asyncio.sleep(5)

    assert played(scene) == []


def test_a_process_may_be_wrong_about_the_time() -> None:
    async def main() -> float:
        return Process("p", skew=-300.0).now()

    assert run(main()) == EPOCH - 300.0


def test_what_is_done_outside_belongs_to_no_process() -> None:
    async def main() -> list[Process | None]:
        seen: list[Process | None] = []

        async def look() -> None:
            seen.append(current_process())
            outside(lambda: seen.append(current_process()))

        await process.start(look())
        return seen

    process = Process("p")
    assert run(main()) == [process, None]


def test_timers_of_one_moment_fire_in_the_order_they_were_set() -> None:
    async def main() -> list[int]:
        fired: list[int] = []
        for number in range(50):
            asyncio.get_running_loop().call_later(1.0, fired.append, number)
        await asyncio.sleep(2)
        return fired

    assert run(main()) == list(range(50))


def test_sets_of_tasks_keep_an_order_that_no_memory_address_decides() -> None:
    async def main() -> list[str]:
        tasks = {asyncio.create_task(asyncio.sleep(0), name=str(number)) for number in range(20)}
        return [task.get_name() for task in tasks]

    assert run(main()) == [str(number) for number in range(20)]
