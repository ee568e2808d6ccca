"""Containers whose agent is frozen or dead are stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from controller.simulation.clock import run
from runner.agent.watchdog import watch


def look(
    read: Callable[[float], tuple[str, str] | None],
    *,
    dead_at: float = float("inf"),
    engine_back_at: float = 0.0,
) -> tuple[list[float], float]:
    """When it swept and when it ended, over at most an hour, if the pulse at each time is what `read` says."""
    swept: list[float] = []

    async def main() -> float:
        loop = asyncio.get_running_loop()

        async def sweep(_wanted: Callable[[], bool]) -> bool:
            swept.append(loop.time())
            return loop.time() >= engine_back_at

        try:
            async with asyncio.timeout(3600):
                await watch(
                    lambda: read(loop.time()),
                    sweep,
                    lambda: loop.time() < dead_at,
                    incarnation="a",
                    patience=30,
                )
        except TimeoutError:
            pass
        return loop.time()

    ended = run(main())
    return swept, ended


def test_a_living_agent_is_left_alone() -> None:
    swept, _ = look(lambda time: ("a", str(time)))
    assert swept == []


def test_an_agent_that_died_has_its_containers_stopped_after_the_lease() -> None:
    swept, ended = look(lambda time: ("a", str(min(time, 100))), dead_at=100)
    assert swept == [ended]
    assert 130 <= ended <= 132


def test_a_frozen_agent_is_watched_further_after_its_containers_were_stopped() -> None:
    swept, _ = look(lambda time: ("a", "1") if time < 100 else ("a", str(time)) if time < 200 else ("a", "2"))
    assert len(swept) > 3


def test_a_sweep_that_failed_is_tried_again_though_the_agent_is_dead() -> None:
    swept, ended = look(lambda time: ("a", str(min(time, 100))), dead_at=100, engine_back_at=140)
    assert len(swept) > 2
    assert swept[-1] == ended
    assert 140 <= ended <= 160


def test_sweeps_that_fail_for_long_are_not_tried_all_the_time() -> None:
    swept, ended = look(lambda time: ("a", "1"), dead_at=0, engine_back_at=10_000)
    assert ended == 3600
    assert 50 < len(swept) < 100


def test_a_failed_sweep_is_not_tried_again_once_another_agent_is_there() -> None:
    swept, ended = look(
        lambda time: ("a", "1") if time < 40 else ("b", "1"), dead_at=0, engine_back_at=10_000
    )
    assert ended == 40
    assert 30 <= min(swept) <= max(swept) < 40


def test_an_agent_that_thawed_before_a_sweep_succeeded_is_left_alone() -> None:
    swept, _ = look(lambda time: ("a", "1" if time < 40 else str(time)), engine_back_at=10_000)
    assert 30 <= min(swept) <= max(swept) <= 40


def test_an_agent_that_thawed_and_died_while_a_sweep_took_long_has_its_containers_stopped_after_all() -> None:
    swept: list[bool] = []

    async def main() -> float:
        loop = asyncio.get_running_loop()

        async def sweep(wanted: Callable[[], bool]) -> bool:
            await asyncio.sleep(10)
            swept.append(wanted())
            return True

        await watch(
            lambda: ("a", "1" if loop.time() < 35 else "2"),
            sweep,
            lambda: loop.time() < 37,
            incarnation="a",
            patience=30,
        )
        return loop.time()

    ended = run(main())
    assert swept == [False, True]
    assert 75 <= ended <= 85


def test_an_agent_that_ended_well_needs_no_watchdog() -> None:
    swept, ended = look(lambda time: ("a", str(time)) if time < 100 else None)
    assert (swept, ended) == ([], 100)


def test_the_watchdog_of_a_replaced_agent_leaves_the_new_ones_containers_alone() -> None:
    swept, ended = look(lambda time: ("a", "1") if time < 20 else ("b", "1"))
    assert (swept, ended) == ([], 20)


@pytest.mark.parametrize("later", [("b", "1"), ("a", "2"), None])
def test_a_sweep_that_takes_long_is_not_wanted_any_more_once_there_is_a_sign_of_life(
    later: tuple[str, str] | None,
) -> None:
    answers: list[bool] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def sweep(wanted: Callable[[], bool]) -> bool:
            answers.append(wanted())
            await asyncio.sleep(10)
            answers.append(wanted())
            return True

        await watch(
            lambda: ("a", "1") if loop.time() < 35 else later,
            sweep,
            lambda: False,
            incarnation="a",
            patience=30,
        )

    run(main())
    assert answers[:2] == [True, False]
