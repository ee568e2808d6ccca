"""What AWS Batch refuses to take fails with its reason; a queue that is closed for a while is waited for."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from itertools import pairwise

import pytest

from controller.adapters.batch.submitting import MOST_REFUSED
from controller.simulation.clock import now
from controller.simulation.services.service import refused
from runner.aws import AwsError, Trouble
from runner.batch_settings import BatchQueue
from runner.model import Kind, Retry, Status
from tests.batch.stage import SETTINGS, Stage, scene
from tests.batch.test_backend import Program

ROLE = "arn:aws:iam::123456789012:role/of-others"
WRONG = refused("ClientException", "Role arn is not valid")
PASS_ROLE = (
    f"User: arn:aws:sts::1:assumed-role/c is not authorized to perform: iam:PassRole on resource: {ROLE}"
)
NOT_LENT = refused("AccessDeniedException", PASS_ROLE, Trouble.DENIED)
DENIED = refused("AccessDeniedException", "not authorized to perform: batch:SubmitJob", Trouble.DENIED)


async def steps(stage: Stage, count: int) -> int:
    """Returns how many failed."""
    failed = 0
    for _ in range(count):
        try:
            await stage.step()
        except AwsError:
            failed += 1
        await asyncio.sleep(10)
    return failed


def refuse(stage: Stage, operation: str, error: AwsError, times: int = 99) -> None:
    stage.batch.failing[operation] = deque([error] * times)


@pytest.mark.parametrize("error", [WRONG, NOT_LENT], ids=["wrong", "a role that must not be lent"])
@pytest.mark.parametrize("operation", ["register_job_definition", "submit_job"])
def test_a_job_that_is_refused_fails_with_what_aws_batch_says(operation: str, error: AwsError) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3, role=ROLE)
        refuse(stage, operation, error)
        assert await steps(stage, 10) == 1
        job = await stage.job()
        assert job.status is Status.FAILED
        assert job.ending is not None
        assert error.code in job.ending.reason

    scene(play)


def test_a_right_that_the_supervisor_lacks_is_no_jobs_fault() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3, role=ROLE)
        refuse(stage, "submit_job", DENIED, 9)
        await steps(stage, 9)
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play)


def test_one_refusal_is_not_believed() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        refuse(stage, "submit_job", WRONG, 1)
        assert await steps(stage, 1) == 1
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play)


def test_refusals_of_less_than_a_minute_are_not_believed() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        refuse(stage, "submit_job", WRONG)
        assert await steps(stage, 5) == 1
        refuse(stage, "submit_job", WRONG, 0)
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play)


@pytest.mark.parametrize("between", ["a closed queue", "another round"])
def test_a_refusal_of_long_ago_does_not_make_the_next_one_believed(between: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        refuse(stage, "submit_job", WRONG, 1)
        await steps(stage, 1)
        if between == "a closed queue":
            stage.batch.queues["default"].state = "DISABLED"
            await steps(stage, 10)
            stage.batch.queues["default"].state = "ENABLED"
        else:
            await stage.cancel()
            await stage.retry()
        refuse(stage, "submit_job", WRONG, 1)
        await steps(stage, 10)
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play)


def test_while_the_queue_is_closed_jobs_wait() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        stage.batch.queues["default"].state = "DISABLED"
        assert (
            await steps(stage, 10) == 0
        )  # which would keep others waiting, and have the controller replaced
        assert (await stage.job()).status is Status.RUNNABLE
        stage.batch.queues["default"].state = "ENABLED"
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play)


def test_of_many_jobs_one_tries_a_closed_queue_for_all() -> None:
    async def play(stage: Stage) -> None:
        for number in range(5):
            await stage.submit(f"job-{number}")
        stage.batch.queues["default"].state = "DISABLED"
        await steps(stage, 10)
        assert len(stage.submitted()) <= 10
        stage.batch.queues["default"].state = "ENABLED"
        ended = [await stage.finish(f"job-{number}") for number in range(5)]
        assert {each.status for each in ended} == {Status.SUCCEEDED}

    scene(play)


def test_while_there_is_no_such_queue_jobs_wait() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        queue = stage.batch.queues.pop("default")
        assert await steps(stage, 10) == 0
        assert (await stage.job()).status is Status.RUNNABLE
        stage.batch.queues["default"] = queue
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play)


def test_of_tries_that_are_refused_only_their_tasks_fail() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=4, retry=Retry(retries=1, backoff=1.0))
        await stage.running()
        refuse(stage, "submit_job", WRONG)
        assert await steps(stage, 30) == 1
        job = await stage.job()
        assert (job.status, job.counts.succeeded, job.counts.failed) == (Status.FAILED, 2, 2)
        outcome = (await stage.task(3)).outcome
        assert outcome is not None
        assert (outcome.kind, WRONG.code in outcome.reason) == (Kind.START_ERROR, True)

    scene(play, Program({2: 1, 3: 1}))


def test_of_very_many_that_are_refused_some_fail_at_a_time() -> None:
    """The lead must not be lost meanwhile."""

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=501, retry=Retry(retries=1, backoff=1.0))
        await stage.running()
        refuse(stage, "submit_job", WRONG)
        failed = [0]
        while not (await stage.job()).status.terminal:
            await steps(stage, 1)
            failed.append((await stage.job()).counts.failed)
        assert failed[-1] == 500
        assert max(after - before for before, after in pairwise(failed)) <= 2 * MOST_REFUSED

    scene(play, Program(dict.fromkeys(range(500), 1)))


def test_a_job_that_was_mended_and_is_retried_runs() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        refuse(stage, "register_job_definition", WRONG)
        await steps(stage, 10)
        refuse(stage, "register_job_definition", WRONG, 0)
        await stage.retry()
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play)


def test_a_queue_that_is_only_in_the_settings_disturbs_nobody() -> None:
    queues = {"default": BatchQueue("default"), "typo": BatchQueue("defualt")}

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        assert await steps(stage, 40) == 0
        assert (await stage.job()).status is Status.SUCCEEDED

    scene(play, settings=replace(SETTINGS, queues=queues))


def test_what_waits_for_a_queue_that_is_not_there_is_explained() -> None:
    async def play(stage: Stage) -> None:
        record = await stage.submit(tasks=3)
        stage.batch.queues.clear()
        (reason,) = await stage.backend.reasons(record, now())
        assert reason.code == "batch_queue"

    scene(play)
