"""Two Batch jobs for the same tasks: one is believed, the other is stopped, and never both."""

from __future__ import annotations

import asyncio

import pytest

from controller.adapters.batch.backend import BatchBackend
from controller.adapters.batch.handed import Handed, JobState, valid
from controller.adapters.batch.submissions import Lot, Submission
from controller.simulation.clock import now
from controller.simulation.services.batch_job import Run
from runner.errors import Unavailable
from runner.model import Attempt, Kind, Status, TaskId
from tests.batch.stage import Stage, scene
from tests.batch.test_backend import Program

LONG = Run(seconds=900)


async def submitted_twice(stage: Stage) -> None:
    """The first one's reply was lost, and no listing knew it for long; the second one is known to run."""
    stage.batch.lag = 200
    stage.batch.deaf["submit_job"] = 1
    await stage.submit(tasks=3)
    with pytest.raises(Unavailable):
        await stage.step()
    while len(stage.submitted()) < 2:
        await stage.step()
        await asyncio.sleep(5)
    await stage.running(3)


def test_of_two_the_one_that_has_begun_goes_on_when_an_older_one_is_found() -> None:
    program = Program(good=LONG)

    async def play(stage: Stage) -> None:
        await submitted_twice(stage)
        await asyncio.sleep(200)
        stage.backend = stage.another()
        record = await stage.finish()
        assert record.status is Status.SUCCEEDED, record
        for index in range(3):
            attempts = await stage.attempts(index)
            assert [each.outcome.kind for each in attempts] == [Kind.SUCCEEDED]
        assert not stage.live()
        assert len(stage.submitted()) == 2

    scene(play, program)


def test_which_is_older_aws_batch_says_and_not_a_clock_that_is_ahead() -> None:
    async def play(stage: Stage) -> None:
        ports = (stage.aws, stage.records, stage.ledger, stage.items, stage.settings)
        ahead = BatchBackend(*ports, now=lambda: now() + 300, jitter=lambda: 0.5)
        (environment,) = stage.batch.environments
        environment.boot = 10_000
        await stage.submit(tasks=3)
        await stage.steps(60, ahead)
        (first,) = stage.batch.jobs
        stage.batch.answer("submit_job", dict(stage.submitted()[0]))
        ahead._states["a"].known = False
        await stage.steps(60, ahead)
        assert {each.id.partition(":")[0] for each in stage.live()} == {first}

    scene(play, Program())


def two() -> tuple[JobState, Handed, Handed]:
    lot = Lot(0, 0, 1)
    older = Handed("older", Submission("a", 1, lot, (4, 5)), 100.0)
    newer = Handed("newer", Submission("a", 1, lot, (4, 5)), 200.0)
    state = JobState()
    state.adopt([newer, older])
    return state, older, newer


def test_of_two_of_which_none_has_begun_a_task_belongs_to_the_older() -> None:
    state, older, newer = two()
    assert valid(4, state.handed) is older
    assert state.superseded(newer)


def test_what_has_begun_is_not_stopped_for_an_older_one_that_waits() -> None:
    state, older, newer = two()
    newer.attempts[0] = Attempt(TaskId("a", 4), 1, 1, "newer:0#1", 1)
    assert valid(4, state.handed) is newer
    assert valid(5, state.handed) is older
    assert not state.superseded(newer)
    assert not state.superseded(older)
