"""Agents on hosts whose engines do not answer, in virtual time. Emulated: engines, host and logs (`fakes`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from controller.simulation.clock import run
from runner.model import Status
from tests.agent.fakes import Behaviour, FakeEngine
from tests.agent.world import World, a_job


class AwayEngine(FakeEngine):
    """Docker, that does not answer while `trouble` says so."""

    name = "docker"
    trouble = "Docker does not answer"

    async def check(self) -> str:
        return self.trouble


def play(folder: Path, scene: Callable[[World, AwayEngine], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World(folder)
        agent, docker = world.agent(), AwayEngine(lambda spec: Behaviour())
        engines = world.stations["host-a"].engines
        engines["docker"] = docker  # type: ignore[index]
        running = asyncio.create_task(agent.run())
        await scene(world, docker)
        running.cancel()

    run(main())


def test_an_agent_that_starts_before_docker_fails_no_task_that_needs_it(tmp_path: Path) -> None:
    async def scene(world: World, docker: AwayEngine) -> None:
        await world.submit(a_job(tasks=10, image="busybox"))
        await asyncio.sleep(600)
        record = await world.record()
        assert (record.counts.runnable, record.counts.finished) == (10, 0)

    play(tmp_path, scene)


def test_a_task_whose_engine_was_away_runs_once_it_answers(tmp_path: Path) -> None:
    async def scene(world: World, docker: AwayEngine) -> None:
        await world.submit(a_job(image="busybox"))
        await asyncio.sleep(60)
        docker.trouble = ""
        assert (await world.until_over(limit=20)).status is Status.SUCCEEDED
        assert (await world.task()).attempt == 1

    play(tmp_path, scene)


def test_tasks_without_an_image_run_while_docker_is_away(tmp_path: Path) -> None:
    async def scene(world: World, docker: AwayEngine) -> None:
        await world.submit(a_job())
        assert (await world.until_over(limit=20)).status is Status.SUCCEEDED

    play(tmp_path, scene)


def test_an_agent_tells_of_the_engines_that_answer(tmp_path: Path) -> None:
    async def scene(world: World, docker: AwayEngine) -> None:
        await asyncio.sleep(12)
        assert (await world.records.hosts())[0].engines == ("process",)

    play(tmp_path, scene)


def test_an_agent_none_of_whose_engines_answers_takes_nothing_and_says_why(tmp_path: Path) -> None:
    async def scene(world: World, docker: AwayEngine) -> None:
        del world.stations["host-a"].engines["process"]  # type: ignore[attr-defined]
        await asyncio.sleep(6)
        await world.submit(a_job(image="busybox"))
        await asyncio.sleep(30)
        report = (await world.records.hosts())[0]
        assert (report.state, report.note) == ("unhealthy", "Docker does not answer")
        assert (await world.queue.backlog())["default"].visible == 1

    play(tmp_path, scene)


def test_a_job_with_an_image_runs_as_a_process_only_if_it_was_submitted_so(tmp_path: Path) -> None:
    async def scene(world: World, docker: AwayEngine) -> None:
        docker.trouble = ""
        await world.submit(a_job(tasks=2, image="busybox"))
        await world.until_over()
        assert (len(docker.specs), len(world.engine.specs)) == (2, 0)
        await world.submit(a_job(tasks=3, id="job2", image="busybox", bare=True))
        await world.until_over("job2")
        assert (len(docker.specs), len(world.engine.specs)) == (2, 3)

    play(tmp_path, scene)
