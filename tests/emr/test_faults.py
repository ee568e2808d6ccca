"""Amazon EMR fails, answers late or not at all, is full; a supervisor freezes. Nobody pays who is not at fault."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from controller.simulation.services.emr_cluster import StepRun
from controller.simulation.services.service import denied, refused
from runner.aws import Reply, Trouble
from runner.emr import Emr, Step
from runner.errors import Unavailable
from runner.model import Kind, Limits, Retry, Status
from tests.backends.stage import LEDGERS, leads
from tests.emr.stage import OWN, Does, Stage, scene

ONE = Step("one", args=("one",))


class Failing:
    """Steps of the first cluster fail, after the time that it takes to lose a machine."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, _words: Sequence[str]) -> StepRun:
        self.runs += 1
        return StepRun(600.0, "executor lost" if self.runs == 1 else "")


async def in_spite_of_faults(stage: Stage, job_id: str = "a") -> Status:
    """As the supervisor goes on after a step that failed."""
    for _ in range(1000):
        with suppress(Unavailable):
            await stage.step()
        if (status := (await stage.job(job_id)).status).terminal:
            return status
        await asyncio.sleep(5)
    return status


def internal() -> Unavailable:
    """With the status 400, as the API reference has it."""
    return refused("InternalServerError", "An internal error occurred")


def test_amazon_emrs_internal_error_is_no_refusal_whatever_its_status() -> None:
    async def play(stage: Stage) -> None:
        stage.emr.failing["run_job_flow"].append(internal())
        await stage.submit()
        assert await in_spite_of_faults(stage) is Status.SUCCEEDED
        assert len(await stage.attempts()) == 1

    scene(play)


def test_nor_is_it_one_of_a_step() -> None:
    async def play(stage: Stage) -> None:
        theirs = stage.emr.add()
        stage.emr.failing["add_job_flow_steps"].append(internal())
        await stage.submit(emr=Emr(cluster=theirs.id, steps=(ONE,)))
        assert await in_spite_of_faults(stage) is Status.SUCCEEDED
        assert len(theirs.steps) == 1

    scene(play)


@pytest.mark.parametrize("trouble", [Trouble.SERVER, Trouble.UNREACHABLE])
def test_who_pays_is_not_decided_before_the_machines_are_known(trouble: Trouble) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(retry=Retry(retries=0))
        stage.emr.lose(await stage.until("RUNNING"), "CORE")
        stage.emr.failing["list_instances"].append(refused("Broken", trouble=trouble))
        assert await in_spite_of_faults(stage) is Status.SUCCEEDED
        assert [each.outcome.kind for each in await stage.attempts()] == [Kind.INTERRUPTED, Kind.SUCCEEDED]

    scene(play, Failing())


def test_steps_that_may_not_be_listed_do_not_hold_up_other_jobs() -> None:
    async def play(stage: Stage) -> None:
        theirs = stage.emr.add()
        real = stage.emr._list_steps

        def listing(ClusterId: str, **more: Any) -> Reply:
            if ClusterId == theirs.id:
                raise denied()
            return real(ClusterId, **more)

        stage.emr._list_steps = listing  # type: ignore[method-assign]
        await stage.submit("theirs", emr=Emr(cluster=theirs.id, steps=(ONE,)))
        await stage.submit("a", limits=Limits(timeout=300.0))
        assert await in_spite_of_faults(stage) is Status.FAILED
        assert not [each for each in stage.emr.alive() if each is not theirs]
        assert len(theirs.steps) == 1

    scene(play, Does(seconds=3600.0))


def test_a_cluster_that_has_all_the_steps_it_takes_is_waited_for() -> None:
    async def play(stage: Stage) -> None:
        theirs = stage.emr.add()
        step = {"Name": "theirs", "ActionOnFailure": "CONTINUE", "HadoopJarStep": {"Jar": "x.jar"}}
        stage.emr.answer("add_job_flow_steps", {"JobFlowId": theirs.id, "Steps": [step] * 256})
        await stage.submit(emr=Emr(cluster=theirs.id, steps=(ONE,)))
        await stage.steps(50)
        assert not (await stage.job()).status.terminal
        assert (await stage.finish(within=20_000)).status is Status.SUCCEEDED
        assert len(await stage.attempts()) == 1

    scene(play, Does(seconds=60.0))


def test_a_job_that_waits_for_such_a_cluster_can_be_cancelled() -> None:
    async def play(stage: Stage) -> None:
        theirs = stage.emr.add()
        step = {"Name": "theirs", "ActionOnFailure": "CONTINUE", "HadoopJarStep": {"Jar": "x.jar"}}
        stage.emr.answer("add_job_flow_steps", {"JobFlowId": theirs.id, "Steps": [step] * 256})
        await stage.submit(emr=Emr(cluster=theirs.id, steps=(ONE,)))
        await stage.steps(50)
        await stage.cancel()
        assert (await stage.finish(within=60)).status is Status.CANCELLED

    scene(play, Does(seconds=3600.0))


def test_a_cluster_that_somebody_protects_does_not_keep_others_that_nobody_waits_for_alive() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a")
        await stage.submit("b")
        await stage.finish("a")
        await stage.finish("b")
        for given in stage.emr.called("run_job_flow"):
            stage.emr.answer("run_job_flow", dict(given))
        stage.emr.failing["terminate_job_flows"].append(refused("ValidationException", "is protected"))
        with pytest.raises(Unavailable, match="is protected"):
            await stage.steps(30, stage.another())
        assert len(stage.emr.alive()) == 1

    scene(play)


@pytest.mark.parametrize("own", [True, False])
def test_what_was_cancelled_counts_so_for_one_who_froze_before_the_cancel(own: bool) -> None:
    async def play(stage: Stage) -> None:
        theirs = stage.emr.add()
        await stage.submit(emr=OWN if own else Emr(cluster=theirs.id, steps=(ONE,)))
        await stage.steps(400)
        before = await stage.records.jobs(unfinished=True)
        await stage.cancel()
        await stage.backend.stop(await stage.job())
        await asyncio.sleep(300)
        await stage.another().refresh(before, leads)
        (attempt,) = await stage.attempts()
        assert attempt.outcome.kind is Kind.CANCELLED

    scene(play, Does(seconds=86400.0))


@pytest.mark.parametrize("ledger", LEDGERS)
def test_a_cluster_that_a_frozen_supervisor_starts_late_is_terminated(ledger: str) -> None:
    """It also notes the cluster that it started as the attempt's."""
    does = Does()

    async def play(stage: Stage) -> None:
        await stage.submit()
        thawed = asyncio.Event()
        asked = 0

        async def frozen() -> None:
            nonlocal asked
            asked += 1
            await thawed.wait()

        late = asyncio.create_task(stage.another().start(await stage.job(), frozen))
        await asyncio.sleep(1)
        assert asked == 1
        await stage.steps(120)
        (first,) = stage.emr.clusters.values()
        thawed.set()
        await late
        second = stage.latest
        assert second is not first
        await stage.steps(60)
        assert (await stage.task()).metadata["cluster"] == first.id
        stage.backend = stage.another()
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert second.code == "USER_REQUEST"
        assert first.code == "ALL_STEPS_COMPLETED"
        assert len(does.ran) == 1

    scene(play, does, ledger=ledger)
