"""Whoever supervises is killed between any two calls, or loses a reply; whoever follows knows nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from controller.adapters.batch.backend import BatchBackend
from controller.simulation.clock import now, run
from controller.simulation.services.batch_job import Run
from controller.simulation.services.service import unreachable
from runner.errors import Unavailable
from runner.model import Kind, Retry, Status, TaskId
from tests.backends.mortal import Killed, Life, Mortal
from tests.backends.stage import LEDGERS
from tests.batch.stage import Stage, make_stage, scene
from tests.batch.test_backend import Program


def mortal(stage: Stage, life: Life) -> BatchBackend:
    ports: Any = (stage.aws, stage.records, stage.ledger, stage.items)
    aws, records, ledger, items = [Mortal(each, life) for each in ports]
    return BatchBackend(aws, records, ledger, items, stage.settings, now, jitter=lambda: 0.5)


async def killed_after(calls: int, after: bool, ledger: str, lag: float) -> bool:
    """Whether the process lived long enough to be killed. Whatever became of it, all is as it should be."""
    program = Program({2: 1, 7: 1})
    stage = await make_stage(program, ledger=ledger)
    stage.batch.lag = lag
    await stage.submit(tasks=9, retry=Retry(retries=1, backoff=5.0))
    life = Life(calls, after)
    backend = mortal(stage, life)
    try:
        while not (await stage.job()).status.terminal:
            await stage.step(backend)
            await asyncio.sleep(5)
    except Killed:
        await asyncio.sleep(40)
    record = await stage.finish()
    assert record.status is Status.SUCCEEDED, record
    assert Counter(program.ran) == Counter([*range(9), 2, 7])
    for index in range(9):
        attempts = await stage.records.attempts(TaskId("a", index))
        assert [each.number for each in attempts] == list(range(1, len(attempts) + 1))
        assert attempts[-1].outcome.kind is Kind.SUCCEEDED
        assert len(attempts) == (2 if index in (2, 7) else 1)
    assert not stage.live()
    return life.over


@pytest.mark.parametrize("ledger", LEDGERS)
@pytest.mark.parametrize("after", [False, True])
def test_wherever_it_is_killed_every_shard_runs_and_is_recorded_once(after: bool, ledger: str) -> None:
    step = 1 if ledger == "sqlite" else 3
    calls = 1
    while run(killed_after(calls, after, ledger, 0.0)):
        calls += step
    assert calls > 60


@pytest.mark.parametrize("after", [False, True])
def test_nor_does_a_listing_that_is_half_a_minute_late_make_anything_run_twice(after: bool) -> None:
    calls = 1
    while run(killed_after(calls, after, "sqlite", 30.0)):
        calls += 4
    assert calls > 60


def test_a_submission_whose_reply_was_lost_is_found_and_not_repeated() -> None:
    program = Program()

    async def play(stage: Stage) -> None:
        stage.batch.deaf["submit_job"] = 1
        await stage.submit(tasks=5)
        with pytest.raises(Unavailable):
            await stage.step()
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert len(stage.submitted()) == 1
        assert sorted(program.ran) == list(range(5))

    scene(play, program)


def test_a_submission_that_never_arrived_is_made_again() -> None:
    async def play(stage: Stage) -> None:
        stage.batch.failing["submit_job"].append(unreachable())
        await stage.submit(tasks=5)
        with pytest.raises(Unavailable):
            await stage.step()
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play, Program())


def test_two_who_hand_over_the_same_end_with_one_result_and_nothing_left_running() -> None:
    """One froze after it had taken the tasks and before it submitted them."""
    program = Program(good=Run(seconds=300))

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.steps(60)
        late = stage.batch.called("submit_job")[0]
        stage.batch.answer("submit_job", dict(late))
        stage.backend = stage.another()
        record = await stage.finish()
        assert record.status is Status.SUCCEEDED
        await stage.steps(60)
        assert not stage.live()
        for index in range(3):
            (attempt,) = await stage.attempts(index)
            assert attempt.owner.startswith("00000001-")

    scene(play, program)


def test_what_a_dead_supervisor_left_running_for_a_job_that_is_over_is_stopped() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.steps(20)
        await stage.cancel()
        stage.backend = stage.another()
        await stage.steps(30)
        assert not stage.live()

    scene(play, Program())


def test_what_another_ledger_knows_is_left_alone() -> None:
    async def play(stage: Stage) -> None:
        other = await make_stage(Program(good=Run(seconds=600)))
        other.aws._services = stage.aws._services
        await other.submit("theirs", tasks=2)
        await other.steps(30)
        await stage.submit("a")
        await stage.finish()
        await stage.steps(600)
        assert not stage.batch.called("terminate_job")

    scene(play, Program(good=Run(seconds=600)))


@pytest.mark.parametrize("ledger", LEDGERS)
def test_what_aws_batch_has_forgotten_is_lost_and_runs_again(ledger: str) -> None:
    program = Program(good=Run(seconds=60))

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.running(3)
        await asyncio.sleep(9 * 86400)
        assert (await stage.finish()).status is Status.SUCCEEDED
        first, second = await stage.attempts(1)
        assert first.outcome.kind is Kind.LOST
        assert second.outcome.kind is Kind.SUCCEEDED
        assert (await stage.task(1)).user_failures == 0

    scene(play, program, ledger=ledger)


@pytest.mark.parametrize("ledger", LEDGERS)
def test_a_supervisor_that_comes_back_within_the_week_learns_what_happened(ledger: str) -> None:
    program = Program({1: 1})

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3, retry=Retry(retries=1))
        await stage.steps(20)
        await asyncio.sleep(2 * 86400)
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert sorted(program.ran) == [0, 1, 1, 2]

    scene(play, program, ledger=ledger)


async def led_in_turn(stage: Stage, *, told: bool) -> None:
    first, second = stage.backend, stage.another()
    await stage.submit(tasks=3, retry=Retry(retries=1))
    await stage.steps(100, first)
    await stage.steps(25, second)
    if told:
        first.forget()
    record = await stage.finish()
    assert record.counts.succeeded == 3
    assert [each.outcome.kind for each in await stage.attempts(1)] == [Kind.FAILED, Kind.SUCCEEDED]


def test_who_leads_again_after_somebody_else_did_repeats_nothing() -> None:
    program = Program({1: 1}, good=Run(seconds=5))

    async def play(stage: Stage) -> None:
        await led_in_turn(stage, told=True)
        assert sorted(program.ran) == [0, 1, 1, 2]

    scene(play, program)


def test_what_is_remembered_wrongly_changes_no_record() -> None:
    async def play(stage: Stage) -> None:
        await led_in_turn(stage, told=False)

    scene(play, Program({1: 1}, good=Run(seconds=5)))
