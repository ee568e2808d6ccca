"""Whoever supervises is killed between any two calls, or loses a reply; whoever follows knows nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from controller.adapters.emr.backend import EmrBackend
from controller.simulation.clock import now, run
from controller.simulation.services.service import unreachable
from runner.emr import Emr, Step
from runner.errors import Unavailable
from runner.model import Kind, Retry, Status
from runner.records import Counts
from tests.backends.mortal import Killed, Life, Mortal
from tests.backends.stage import LEDGERS, leads
from tests.emr.stage import Does, Stage, make_stage, scene

# Which calls are the last: all of them, or with the slower ledger some.
STRIDE = {"sqlite": 1, "dynamodb": 5}


def mortal(stage: Stage, life: Life) -> EmrBackend:
    aws, records, ledger = (Mortal(each, life) for each in (stage.aws, stage.records, stage.ledger))
    return EmrBackend(aws, records, ledger, stage.settings, now, jitter=lambda: 0.5)


async def live_until_killed(stage: Stage, life: Life, pause: float) -> None:
    backend = mortal(stage, life)
    try:
        while not (await stage.job()).status.terminal:
            await stage.step(backend)
            await asyncio.sleep(5)
    except Killed:
        await asyncio.sleep(pause)


async def on_its_own_cluster(calls: int, after: bool, ledger: str, lag: float, pause: float) -> bool:
    """Whether the process lived long enough to be killed. Whatever became of it, all is as it should be."""
    does = Does(seconds=200.0, failing={"go": 1})
    stage = await make_stage(does, ledger=ledger)
    stage.emr.lag = lag
    await stage.submit(retry=Retry(retries=1, backoff=5.0))
    life = Life(calls, after)
    await live_until_killed(stage, life, pause)
    assert (await stage.finish()).status is Status.SUCCEEDED
    assert [each.outcome.kind for each in await stage.attempts()] == [Kind.FAILED, Kind.SUCCEEDED]
    assert [each.name for each in stage.emr.clusters.values()] == ["inst/a/1/1", "inst/a/1/2"]
    assert len(does.ran) == 2
    assert not stage.emr.alive()
    return life.over


@pytest.mark.parametrize("ledger", LEDGERS)
@pytest.mark.parametrize("after", [False, True])
def test_wherever_it_is_killed_each_attempt_has_one_cluster_which_ends(after: bool, ledger: str) -> None:
    calls = 1
    while run(on_its_own_cluster(calls, after, ledger, 0.0, 40.0)):
        calls += STRIDE[ledger]
    assert calls > 60


@pytest.mark.parametrize("after", [False, True])
def test_nor_does_a_listing_that_is_late_make_a_second_cluster(after: bool) -> None:
    calls = 1
    while run(on_its_own_cluster(calls, after, "sqlite", 30.0, 1.0)):
        calls += 2
    assert calls > 60


@pytest.mark.parametrize("after", [False, True])
def test_a_cluster_that_came_to_its_end_while_nobody_looked_is_recorded(after: bool) -> None:
    calls = 1
    while run(on_its_own_cluster(calls, after, "sqlite", 0.0, 86400.0)):
        calls += 3
    assert calls > 60


async def cancelled(calls: int, after: bool, ledger: str) -> bool:
    stage = await make_stage(Does(seconds=86400.0), ledger=ledger)
    await stage.submit()
    life = Life(calls, after)

    async def cancel() -> None:
        await asyncio.sleep(100)
        await stage.cancel()

    cancelling = asyncio.create_task(cancel())
    await live_until_killed(stage, life, 40.0)
    await cancelling
    assert (await stage.finish()).status is Status.CANCELLED
    await stage.steps(400)
    assert not stage.emr.alive()
    assert len(stage.emr.clusters) <= 1
    return life.over


@pytest.mark.parametrize("ledger", LEDGERS)
@pytest.mark.parametrize("after", [False, True])
def test_wherever_it_is_killed_a_cancelled_jobs_cluster_is_terminated(after: bool, ledger: str) -> None:
    calls = 1
    while run(cancelled(calls, after, ledger)):
        calls += STRIDE[ledger]
    assert calls > 20


async def on_anothers_cluster(calls: int, after: bool, ledger: str) -> bool:
    does = Does(seconds=60.0)
    stage = await make_stage(does, ledger=ledger)
    theirs = stage.emr.add()
    steps = (Step("one", args=("one",)), Step("two", args=("two",)))
    await stage.submit(emr=Emr(cluster=theirs.id, steps=steps))
    life = Life(calls, after)
    await live_until_killed(stage, life, 40.0)
    assert (await stage.finish()).status is Status.SUCCEEDED
    assert [tuple(each) for each in does.ran] == [("one",), ("two",)]
    assert len(await stage.attempts()) == 1
    assert theirs.state == "WAITING"
    return life.over


@pytest.mark.parametrize("ledger", LEDGERS)
@pytest.mark.parametrize("after", [False, True])
def test_wherever_it_is_killed_each_step_runs_once_on_anothers_cluster(after: bool, ledger: str) -> None:
    calls = 1
    while run(on_anothers_cluster(calls, after, ledger)):
        calls += STRIDE[ledger]
    assert calls > 25


def test_a_request_whose_reply_was_lost_is_found_and_not_repeated() -> None:
    async def play(stage: Stage) -> None:
        stage.emr.deaf["run_job_flow"] = 1
        await stage.submit()
        with pytest.raises(Unavailable):
            await stage.step()
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert len(stage.emr.clusters) == 1

    scene(play)


def test_a_request_that_never_arrived_is_made_again() -> None:
    async def play(stage: Stage) -> None:
        stage.emr.failing["run_job_flow"].append(unreachable())
        await stage.submit()
        with pytest.raises(Unavailable):
            await stage.step()
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert len(stage.emr.called("run_job_flow")) == 2

    scene(play)


def test_of_two_clusters_for_one_attempt_the_younger_is_terminated() -> None:
    """One supervisor froze before it asked for the cluster, and did so after another had."""

    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.until("RUNNING")
        (first,) = stage.emr.clusters.values()
        stage.emr.answer("run_job_flow", dict(stage.emr.called("run_job_flow")[0]))
        assert (await stage.finish()).status is Status.SUCCEEDED
        _, second = stage.emr.clusters.values()
        assert first.code == "ALL_STEPS_COMPLETED"
        assert second.code == "USER_REQUEST"

    scene(play)


def test_a_cluster_that_a_dead_supervisor_left_for_a_job_that_is_over_is_terminated() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.finish()
        stage.emr.answer("run_job_flow", dict(stage.emr.called("run_job_flow")[0]))
        await stage.steps(30, stage.another())
        assert stage.latest.code == "USER_REQUEST"

    scene(play)


@pytest.mark.parametrize("ledger", LEDGERS)
def test_what_runs_is_not_taken_over_though_it_is_not_counted_yet(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.step()
        record = replace(await stage.job(), counts=Counts(runnable=1))
        other = stage.another()
        for _ in range(3):
            assert await other.start(record, leads) == 0
            await asyncio.sleep(40)
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert len(stage.emr.clusters) == 1
        assert len(await stage.attempts()) == 1

    scene(play, ledger=ledger)


def test_what_another_ledger_knows_is_left_alone() -> None:
    async def play(stage: Stage) -> None:
        other = await make_stage(Does(seconds=3600.0))
        other.aws._services = stage.aws._services
        await other.submit("theirs")
        await other.steps(30)
        await stage.submit("a")
        await stage.finish()
        assert not stage.emr.called("terminate_job_flows")

    scene(play)


def test_a_cluster_of_that_name_without_our_tags_is_left_alone() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.finish()
        stage.emr.add("inst/a/1/9")
        await stage.steps(700, stage.another())
        assert not stage.emr.called("terminate_job_flows")

    scene(play)


def test_who_leads_again_after_somebody_else_did_repeats_nothing() -> None:
    async def play(stage: Stage) -> None:
        first, second = stage.backend, stage.another()
        await stage.submit(retry=Retry(retries=1, backoff=1.0))
        await stage.steps(30, first)
        while len(await stage.attempts()) < 1:
            await stage.steps(10, second)
        await stage.steps(30, second)
        first.forget()
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert len(stage.emr.clusters) == 2

    scene(play, Does(failing={"go": 1}))
