"""A job is read once, however many of its tasks come at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from controller.simulation.clock import run
from runner.agent.jobs import Jobs
from runner.errors import Unavailable
from runner.model import Job
from runner.ports import Ledger
from tests.agent.world import a_job


class SlowLedger:
    """Takes a second to read a job; `away`: and then fails."""

    def __init__(self) -> None:
        self.reads = 0
        self.away = False

    async def job(self, job_id: str) -> Job | None:
        self.reads += 1
        await asyncio.sleep(1)
        if self.away:
            message = "no ledger"
            raise Unavailable(message)
        return a_job(id=job_id) if job_id != "unknown" else None


def play(scene: Callable[[Jobs, SlowLedger], Awaitable[Any]]) -> None:
    async def main() -> None:
        ledger = SlowLedger()
        await scene(Jobs(cast("Ledger", ledger)), ledger)

    run(main())


def test_all_who_ask_at_a_time_share_one_read() -> None:
    async def scene(jobs: Jobs, ledger: SlowLedger) -> None:
        found = await asyncio.gather(*(jobs.get("a") for _ in range(5)))
        assert found == [a_job(id="a")] * 5
        assert ledger.reads == 1

    play(scene)


def test_a_read_that_failed_fails_all_who_waited_and_is_made_again_for_the_next() -> None:
    async def scene(jobs: Jobs, ledger: SlowLedger) -> None:
        ledger.away = True
        found = await asyncio.gather(jobs.get("a"), jobs.get("a"), return_exceptions=True)
        assert [type(each) for each in found] == [Unavailable] * 2
        ledger.away = False
        assert await jobs.get("a") == a_job(id="a")
        assert ledger.reads == 2

    play(scene)


def test_a_job_that_is_not_there_is_looked_for_again() -> None:
    async def scene(jobs: Jobs, ledger: SlowLedger) -> None:
        assert [await jobs.get("unknown"), await jobs.get("unknown")] == [None, None]
        assert ledger.reads == 2

    play(scene)


def test_who_gives_up_waiting_takes_the_read_from_nobody() -> None:
    async def scene(jobs: Jobs, ledger: SlowLedger) -> None:
        first, second = (asyncio.create_task(jobs.get("a")) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second == a_job(id="a")
        assert ledger.reads == 1

    play(scene)
