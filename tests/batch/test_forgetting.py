"""AWS Batch forgets what ended a week ago: jobs, and children before their parents."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from controller.simulation.services.batch_job import Run
from runner.model import Kind, Status
from tests.backends.stage import LEDGERS
from tests.batch.stage import Stage, index_of, scene

DAY = 86400.0


def one_takes_long(env: Mapping[str, str], command: Sequence[str]) -> Run:
    return Run(9 * DAY) if index_of(env, command) == 2 else Run(10)


def one_fails_late(env: Mapping[str, str], command: Sequence[str]) -> Run:
    return Run(9 * DAY, exit_code=3) if index_of(env, command) == 2 else Run(10)


def test_children_that_were_forgotten_succeeded_if_their_parent_did() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.steps(20)
        await asyncio.sleep(9 * DAY + 300)
        record = await stage.finish()
        assert record.status is Status.SUCCEEDED
        assert len(stage.submitted()) == 1

    scene(play, one_takes_long)


def test_else_they_are_lost_and_run_again() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.steps(20)
        await asyncio.sleep(9 * DAY + 300)
        record = await stage.finish(within=20 * DAY)
        assert (record.counts.succeeded, record.counts.failed) == (2, 1)
        assert [each.outcome.kind for each in await stage.attempts(1)] == [Kind.LOST, Kind.SUCCEEDED]
        assert (await stage.task(1)).user_failures == 0

    scene(play, one_fails_late)


@pytest.mark.parametrize("ledger", LEDGERS)
def test_a_cancelled_job_comes_to_its_end_though_what_ran_was_forgotten(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.running(3)
        await stage.cancel()
        await stage.step()
        await asyncio.sleep(9 * DAY)
        assert (await stage.finish(within=600)).status is Status.CANCELLED

    scene(play, lambda _env, _command: Run(DAY), ledger=ledger)
