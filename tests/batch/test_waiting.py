"""Why a job sits in RUNNABLE."""

from __future__ import annotations

import asyncio

from controller.adapters.batch.waiting import reasons_of
from controller.simulation.clock import now
from runner.model import Limits
from tests.batch.stage import Stage, scene


async def codes(stage: Stage) -> list[str]:
    return [each.code for each in await reasons_of(stage.aws, stage.settings, await stage.job(), now())]


async def told(stage: Stage) -> str:
    return " ".join(
        each.text for each in await reasons_of(stage.aws, stage.settings, await stage.job(), now())
    )


def test_while_instances_boot_its_misconfiguration_is_not_believed() -> None:
    async def play(stage: Stage) -> None:
        stage.batch.running.hesitant = True
        await stage.submit(tasks=3)
        await stage.steps(30)
        text = await told(stage)
        assert "COMPUTE_ENVIRONMENT_MAX_RESOURCE" in text
        assert "need not mean anything" in text

    scene(play)


def test_what_is_said_for_long_is_true_and_says_what_to_do() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3, limits=Limits(vcpus=64))
        await stage.steps(900)
        text = await told(stage)
        assert "JOB_RESOURCE_REQUIREMENT" in text
        assert "allow larger ones, or ask for less" in text
        assert "need not mean" not in text

    scene(play)


def test_a_full_environment_is_named_with_its_size() -> None:
    async def play(stage: Stage) -> None:
        (environment,) = stage.batch.environments
        environment.most_vcpus = 16
        await stage.submit(tasks=100)
        await stage.steps(120)
        assert "machines is as large as it may be: 16 of 16 vCPUs" in await told(stage)

    scene(play)


def test_a_disabled_queue_is_named() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.steps(10)
        stage.batch.queues["default"].state = "DISABLED"
        assert "batch_queue" in await codes(stage)

    scene(play)


def test_an_invalid_environment_is_named_with_its_reason() -> None:
    async def play(stage: Stage) -> None:
        (environment,) = stage.batch.environments
        environment.status, environment.status_reason = "INVALID", "CLIENT_ERROR - no such role"
        await stage.submit(tasks=3)
        await stage.steps(10)
        assert "ENABLED and INVALID: CLIENT_ERROR - no such role" in await told(stage)

    scene(play)


def test_a_queue_that_is_missing_is_said_to_be() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.steps(10)
        del stage.batch.queues["default"]
        assert await codes(stage) == ["batch_queue"]

    scene(play)


def test_a_job_whose_tasks_all_run_is_not_said_to_wait() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.steps(96)
        await asyncio.sleep(1)
        assert not any(code in ("batch_waits", "batch_reason") for code in await codes(stage))

    scene(play)
