"""Steps on a cluster that is there already."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.simulation.services.emr_cluster import Cluster
from controller.simulation.services.service import unreachable
from runner.emr import CONTINUE, Emr, Step
from runner.errors import Unavailable
from runner.model import Kind, Limits, Retry, Status
from tests.backends.stage import LEDGERS
from tests.emr.stage import Does, Stage, scene

ONE, TWO = Step("one", args=("one",)), Step("two", args=("two",))


async def submitted(stage: Stage, *steps: Step, **changes: Any) -> Cluster:
    theirs = stage.emr.add(LogUri="s3://theirs/")
    await stage.submit(emr=Emr(cluster=theirs.id, steps=steps), **changes)
    return theirs


@pytest.mark.parametrize("ledger", LEDGERS)
def test_the_command_is_a_step_there_and_the_cluster_lives_on(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        theirs = await submitted(stage)
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert theirs.state == "WAITING"
        assert len(theirs.steps) == 1
        assert not stage.emr.called("run_job_flow")

    scene(play, ledger=ledger)


def test_the_second_step_is_added_when_the_first_has_ended() -> None:
    async def play(stage: Stage) -> None:
        theirs = await submitted(stage, ONE, TWO)
        await stage.finish()
        first, second = theirs.steps
        assert first.ended is not None
        assert second.created >= first.ended

    scene(play)


def test_after_a_step_that_failed_no_other_is_added() -> None:
    async def play(stage: Stage) -> None:
        theirs = await submitted(stage, ONE, TWO)
        assert (await stage.finish()).status is Status.FAILED
        assert len(theirs.steps) == 1
        (attempt,) = await stage.attempts()
        assert attempt.outcome.kind is Kind.FAILED
        assert "one does not work" in attempt.outcome.reason

    scene(play, Does(failing={"one": 1}))


def test_after_a_step_that_may_fail_the_next_is_added() -> None:
    async def play(stage: Stage) -> None:
        theirs = await submitted(stage, Step("one", args=("one",), on_failure=CONTINUE), TWO)
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert len(theirs.steps) == 2
        (attempt,) = await stage.attempts()
        assert "one failed" in attempt.outcome.warning

    scene(play, Does(failing={"one": 1}))


def test_others_steps_are_not_touched_by_our_failure() -> None:
    async def play(stage: Stage) -> None:
        theirs = await submitted(stage, ONE)
        await stage.step()
        step = {"Name": "theirs", "ActionOnFailure": "CONTINUE", "HadoopJarStep": {"Jar": "x.jar"}}
        stage.emr.answer("add_job_flow_steps", {"JobFlowId": theirs.id, "Steps": [step]})
        await stage.finish()
        await stage.steps(700)
        assert [each.state for each in theirs.steps] == ["FAILED", "COMPLETED"]

    scene(play, Does(failing={"one": 1}))


def test_what_failed_is_tried_again_there() -> None:
    async def play(stage: Stage) -> None:
        theirs = await submitted(stage, ONE, retry=Retry(retries=1, backoff=1.0))
        assert (await stage.finish()).status is Status.SUCCEEDED
        names = [each.given["Name"] for each in theirs.steps]
        assert names == ["inst/a/1/1/1 one", "inst/a/1/2/1 one"]

    scene(play, Does(failing={"one": 1}))


def test_cancel_cancels_the_step_that_runs_and_not_the_cluster() -> None:
    async def play(stage: Stage) -> None:
        theirs = await submitted(stage, ONE, TWO)
        await stage.steps(60)
        await stage.cancel()
        assert (await stage.finish()).status is Status.CANCELLED
        assert [each.state for each in theirs.steps] == ["CANCELLED"]
        assert theirs.state == "WAITING"
        assert not stage.emr.called("terminate_job_flows")

    scene(play)


def test_stop_cancels_the_step_where_nobody_supervises() -> None:
    async def play(stage: Stage) -> None:
        theirs = await submitted(stage, ONE)
        await stage.steps(60)
        await stage.another().stop(await stage.job())
        await asyncio.sleep(10)
        assert [each.state for each in theirs.steps] == ["CANCELLED"]
        assert theirs.state == "WAITING"

    scene(play)


def test_a_step_that_waits_behind_others_does_not_use_up_the_time_limit() -> None:
    async def play(stage: Stage) -> None:
        theirs = stage.emr.add()
        step = {"Name": "theirs", "ActionOnFailure": "CONTINUE", "HadoopJarStep": {"Jar": "x.jar"}}
        stage.emr.answer("add_job_flow_steps", {"JobFlowId": theirs.id, "Steps": [step]})
        await stage.submit(emr=Emr(cluster=theirs.id), limits=Limits(timeout=700.0))
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play)


def test_out_of_time_the_step_is_cancelled() -> None:
    async def play(stage: Stage) -> None:
        theirs = await submitted(stage, ONE, limits=Limits(timeout=300.0))
        assert (await stage.finish()).status is Status.FAILED
        (attempt,) = await stage.attempts()
        assert attempt.outcome.kind is Kind.TIMED_OUT
        assert theirs.state == "WAITING"

    scene(play)


def test_a_cluster_that_goes_away_under_a_step_loses_it() -> None:
    async def play(stage: Stage) -> None:
        theirs = await submitted(stage, ONE, retry=Retry(infra_retries=0))
        await stage.steps(60)
        theirs.go_down("USER_REQUEST", "Terminated by user request")
        assert (await stage.finish()).status is Status.FAILED
        (attempt,) = await stage.attempts()
        assert attempt.outcome.kind is Kind.LOST

    scene(play)


@pytest.mark.parametrize("known", [True, False])
def test_a_cluster_that_takes_no_steps_fails_the_job_with_what_amazon_emr_says(known: bool) -> None:
    async def play(stage: Stage) -> None:
        theirs = await submitted(stage, ONE, retry=Retry(retries=3))
        theirs.go_down("USER_REQUEST", "Terminated by user request")
        if not known:
            del stage.emr.clusters[theirs.id]
        assert (await stage.finish()).status is Status.FAILED
        (attempt,) = await stage.attempts()
        assert attempt.outcome.kind is Kind.START_ERROR
        assert theirs.id in attempt.outcome.reason

    scene(play)


def test_a_step_whose_reply_was_lost_is_not_added_again() -> None:
    async def play(stage: Stage) -> None:
        stage.emr.deaf["add_job_flow_steps"] = 1
        theirs = await submitted(stage, ONE)
        with pytest.raises(Unavailable):
            await stage.step()
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert len(theirs.steps) == 1

    scene(play)


def test_a_step_that_never_arrived_is_added_again() -> None:
    async def play(stage: Stage) -> None:
        stage.emr.failing["add_job_flow_steps"].append(unreachable())
        theirs = await submitted(stage, ONE)
        with pytest.raises(Unavailable):
            await stage.step()
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert len(theirs.steps) == 1

    scene(play)


def test_its_logs_lie_where_the_cluster_keeps_them() -> None:
    async def play(stage: Stage) -> None:
        theirs = await submitted(stage, ONE)
        await stage.finish()
        (attempt,) = await stage.attempts()
        assert attempt.outcome.log == f"emr:s3://theirs/{theirs.id}/"

    scene(play)


def test_of_anothers_cluster_no_cost_is_estimated() -> None:
    async def play(stage: Stage) -> None:
        await submitted(stage, ONE)
        await stage.finish()
        (attempt,) = await stage.attempts()
        assert "estimated_cost_usd" not in attempt.outcome.metadata
        assert attempt.outcome.metadata["step 1"].startswith("one COMPLETED")

    scene(play)


def test_jobs_on_one_cluster_share_its_listing() -> None:
    async def play(stage: Stage) -> None:
        theirs = stage.emr.add()
        for name in "abcdef":
            await stage.submit(name, emr=Emr(cluster=theirs.id))
        await stage.steps(30)
        before = len(stage.emr.called("list_steps"))
        await stage.steps(60)
        assert len(stage.emr.called("list_steps")) - before <= 4

    scene(play)
