"""What it costs to look, and what happens when AWS Batch has enough of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from controller.adapters.batch.planning import payload
from controller.simulation.clock import now
from controller.simulation.services.batch_job import Run
from controller.simulation.services.service import denied, throttled
from runner.array import Array
from runner.errors import Unavailable
from runner.model import Status
from tests.batch.stage import Stage, scene
from tests.batch.test_backend import Program
from tests.batch.worlds import BatchWorld
from tests.batch.worlds import scene as world_scene


def test_a_thousand_tasks_cost_some_fifty_requests() -> None:
    """Two descriptions of each, a hundred at a time; the parent's counts with every look; submitting."""

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=1000)
        await stage.finish()
        assert stage.backend.service.calls <= 55

    scene(play)


def test_ten_thousand_tasks_cost_some_two_hundred() -> None:
    async def play(stage: Stage) -> None:
        (environment,) = stage.batch.environments
        environment.most_vcpus = 2560
        await stage.submit(tasks=10_000)
        await stage.finish()
        assert stage.backend.service.calls <= 250

    scene(play)


def test_a_thousand_items_cost_more_for_they_go_into_many_arrays() -> None:
    async def play(stage: Stage) -> None:
        stage.items.kept["m"] = [f"s3://bucket/{number:088}" for number in range(1000)]
        await stage.submit(array=Array.of_size(1000, "m"))
        await stage.finish()
        assert len(stage.submitted()) == 28
        assert stage.backend.service.calls <= 145

    scene(play)


def test_an_array_in_which_nothing_happens_costs_one_request_for_each_look() -> None:
    async def play(stage: Stage) -> None:
        (environment,) = stage.batch.environments
        environment.boot = 100_000
        await stage.submit(tasks=5000)
        await stage.steps(60)
        before = stage.backend.service.calls
        await stage.steps(100)
        looks = 100 / stage.settings.interval
        assert stage.backend.service.calls - before <= looks + 1

    scene(play)


def test_many_jobs_are_looked_at_together() -> None:
    async def play(stage: Stage) -> None:
        (environment,) = stage.batch.environments
        environment.boot = 100_000
        for number in range(60):
            await stage.submit(f"job{number}", tasks=2)
        await stage.steps(60)
        before = stage.backend.service.calls
        await stage.steps(100)
        assert stage.backend.service.calls - before <= 100 / stage.settings.interval + 1

    scene(play)


def test_throttled_it_asks_ever_less_often_and_comes_to_the_same_end() -> None:
    async def play(stage: Stage) -> None:
        stage.batch.per_second = 0.5
        await stage.submit(tasks=300)
        record = await stage.finish(within=20_000)
        assert record.counts.succeeded == 300

    scene(play, all_run(1))


def test_while_it_is_throttled_it_asks_seldom_and_says_why() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.steps(30)
        stage.batch.down = throttled()
        before = len(stage.batch.calls)
        await stage.steps(1200)
        assert len(stage.batch.calls) - before <= 80
        assert "Rate exceeded" in stage.backend.trouble

    scene(play)


def test_a_throttled_submission_is_made_later_and_once() -> None:
    async def play(stage: Stage) -> None:
        stage.batch.failing["submit_job"].extend(throttled() for _ in range(3))
        await stage.submit(tasks=3)
        record = await stage.finish()
        assert record.status is Status.SUCCEEDED
        assert len(stage.batch.jobs) == 1

    scene(play)


def test_what_may_not_be_done_is_said_and_nothing_is_lost() -> None:
    async def play(stage: Stage) -> None:
        stage.batch.failing["submit_job"].append(denied())
        await stage.submit(tasks=3)
        try:
            await stage.step()
        except Unavailable as error:
            assert "AccessDenied" in str(error)  # noqa: PT017
        else:
            raise AssertionError
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play)


def test_instances_that_cannot_be_asked_about_keep_nothing_from_being_recorded() -> None:
    async def play(stage: Stage) -> None:
        stage.ecs.down = denied()
        stage.logs.down = denied()
        await stage.submit(tasks=2)
        record = await stage.finish()
        assert record.counts.failed == 2
        assert (await stage.task()).outcome is not None

    scene(play, all_run(1, 9))


def test_a_look_is_no_more_often_than_the_settings_have_it() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=2)
        for _ in range(50):
            await stage.step()
        asked = [name for name, _ in stage.batch.calls]
        assert now() < 1_700_000_000 + stage.settings.interval
        assert Counter(asked)["describe_jobs"] <= 2

    scene(play)


def test_a_very_long_array_is_handed_over_a_hundred_thousand_at_a_time() -> None:
    async def play(stage: Stage) -> None:
        (environment,) = stage.batch.environments
        environment.boot = 1e9
        stage.batch.running._spawn = lambda *_: None  # type: ignore[method-assign]
        await stage.submit(tasks=300_000)
        await stage.step()
        assert (await stage.job()).queued == 100_000
        for _ in range(4):
            await stage.step()
        assert (await stage.job()).queued == 300_000
        assert len(stage.submitted()) == 30
        assert max(payload(each) for each in stage.submitted()) < 30 * 1024

    scene(play)


def test_an_array_of_ten_thousand_and_one_runs_in_two() -> None:
    # A shell for each would take minutes here; what it would make of the shards stands in the shim's own tests.
    def program(env: Mapping[str, str], _command: Sequence[str]) -> Run:
        return Run(seconds=1)

    async def play(stage: Stage) -> None:
        (environment,) = stage.batch.environments
        environment.most_vcpus = 160_000
        environment.vcpus, environment.memory = 1000, 10_000_000
        await stage.submit(tasks=10_001)
        record = await stage.finish()
        assert record.counts.succeeded == 10_001
        shards: list[Any] = [each["parameters"]["runner_shards"] for each in stage.submitted()]
        assert shards == ["0-9999", "10000"]

    scene(play, program)


def all_run(seconds: float, exit_code: int = 0) -> Program:
    run = Run(seconds=seconds, exit_code=exit_code)
    return lambda _env, _command: run  # type: ignore[return-value]


def test_jobs_in_which_nothing_happens_have_no_tasks_read_from_the_ledger() -> None:
    async def play(world: BatchWorld) -> None:
        (environment,) = world.batch.environments
        environment.boot = 1e6
        for number in range(5):
            await world.submit(name=f"job{number}", image="i", command=["x"], array=4)
        await asyncio.sleep(300)
        requests = world.world.network.requests
        before = requests["dynamodb", "get_item"]
        await asyncio.sleep(1000)
        # One in each step, to go on leading; not one for each job.
        steps = 1000 / world.world.settings.supervisor.interval
        assert requests["dynamodb", "get_item"] - before <= steps

    world_scene(play, "batch")
