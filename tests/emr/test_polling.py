"""How often Amazon EMR is asked, and what becomes of it when it does not answer."""

from __future__ import annotations

import asyncio

import pytest

from controller.simulation.clock import now
from controller.simulation.services.service import denied, throttled, unreachable
from runner.errors import Unavailable
from runner.model import Kind, Retry, Status
from tests.emr.stage import Does, Stage, scene


def test_many_clusters_are_looked_at_with_one_request() -> None:
    async def play(stage: Stage) -> None:
        for number in range(40):
            await stage.submit(f"job{number}")
        await stage.steps(400)
        before = stage.backend.service.calls
        await stage.steps(100)
        assert stage.backend.service.calls - before <= 6

    scene(play, Does(seconds=3600.0))


def test_without_jobs_it_is_asked_once_in_five_minutes() -> None:
    async def play(stage: Stage) -> None:
        await stage.steps(3600)
        assert len(stage.emr.calls) <= 13

    scene(play)


def test_more_than_a_page_of_clusters_is_seen() -> None:
    async def play(stage: Stage) -> None:
        for number in range(60):
            await stage.submit(f"job{number}")
        for number in range(60):
            assert (await stage.finish(f"job{number}")).status is Status.SUCCEEDED
        assert len(stage.emr.clusters) == 60

    scene(play)


def test_of_many_clusters_that_end_at_once_some_are_seen_to_in_each_look() -> None:
    """Whoever leads has other things to do, too."""

    async def play(stage: Stage) -> None:
        for number in range(100):
            await stage.submit(f"job{number}")
        await stage.steps(60)
        while stage.emr.alive():
            await asyncio.sleep(60)
        await asyncio.sleep(120)
        began = now()
        await stage.step()
        assert now() - began < 15
        for number in range(100):
            assert (await stage.finish(f"job{number}")).status is Status.SUCCEEDED

    scene(play)


def test_throttling_is_waited_out_and_nobodys_error() -> None:
    async def play(stage: Stage) -> None:
        stage.emr.failing["run_job_flow"].extend(throttled() for _ in range(4))
        await stage.submit()
        await stage.step()
        assert "ThrottlingException" in stage.backend.trouble
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert len(stage.emr.clusters) == 1
        assert stage.backend.trouble == ""

    scene(play)


def test_few_requests_a_second_are_enough_for_many_jobs() -> None:
    async def play(stage: Stage) -> None:
        stage.emr.per_second = 0.5
        for number in range(10):
            await stage.submit(f"job{number}")
        for number in range(10):
            record = await stage.finish(f"job{number}", within=4 * 3600)
            assert record.status is Status.SUCCEEDED
        assert len(stage.emr.clusters) == 10

    scene(play)


def test_the_longer_it_is_throttled_the_less_it_is_asked() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.until("RUNNING")
        stage.emr.down = throttled()
        await stage.steps(600)
        before = len(stage.emr.calls)
        await stage.steps(600)
        assert len(stage.emr.calls) - before <= 16

    scene(play, Does(seconds=7200.0))


def test_a_missing_right_is_told_and_the_job_goes_on_once_it_is_given() -> None:
    async def play(stage: Stage) -> None:
        stage.emr.failing["run_job_flow"].append(denied())
        await stage.submit()
        with pytest.raises(Unavailable, match="AccessDenied"):
            await stage.step()
        assert "AccessDenied" in stage.backend.trouble
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert len(await stage.attempts()) == 1

    scene(play)


def test_one_job_that_cannot_be_looked_at_does_not_hold_up_the_others() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a")
        await stage.submit("b")
        await stage.until("TERMINATED")
        stage.emr.failing["list_steps"].append(unreachable())
        with pytest.raises(Unavailable):
            await stage.steps(60)
        statuses = {(await stage.job(each)).status for each in ("a", "b")}
        assert Status.SUCCEEDED in statuses

    scene(play)


def test_machines_that_cannot_be_listed_do_not_keep_the_end_from_being_recorded() -> None:
    async def play(stage: Stage) -> None:
        stage.emr.failing["list_instances"].append(denied())
        await stage.submit()
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play)


def test_a_cluster_that_amazon_emr_has_forgotten_is_lost_and_runs_again() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(retry=Retry(infra_retries=1))
        await stage.until("RUNNING")
        await asyncio.sleep(70 * 86400)
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert [each.outcome.kind for each in await stage.attempts()] == [Kind.LOST, Kind.SUCCEEDED]

    scene(play)
