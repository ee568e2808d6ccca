"""What `explain` and `logs` say of jobs on Amazon EMR."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from controller.adapters.emr.logs import EmrLogReader
from controller.logs import read_task
from controller.simulation.clock import now
from runner.emr import Emr, Step
from runner.model import TaskId
from runner.records import UNRECORDED, Recorded
from tests.emr.stage import SETTINGS, Does, Stage, scene


class Others:
    """What agents wrote."""

    @property
    def live(self) -> bool:
        return True

    async def read(
        self, task: TaskId, number: int, start: int = 0, recorded: Recorded = UNRECORDED
    ) -> AsyncIterator[bytes]:
        yield b"written by an agent\n"[start:]


async def logs_of(stage: Stage) -> str:
    reader = EmrLogReader(stage.aws, stage.records, Others())
    data = [data async for _, data in read_task(stage.records, reader, TaskId("a", 0))]
    return b"".join(data).decode()


async def told(stage: Stage) -> dict[str, str]:
    reasons = await stage.backend.reasons(await stage.job(), now())
    return {each.code: each.text for each in reasons}


@pytest.mark.parametrize("ended", [False, True])
def test_logs_tell_where_they_lie(ended: bool) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        cluster = await stage.until("RUNNING")
        if ended:
            await stage.finish()
        text = await logs_of(stage)
        assert text.startswith(f"the logs of cluster {cluster.id} lie in s3://logs/emr/{cluster.id}/")

    scene(play)


def test_where_none_are_kept_logs_say_so() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.finish()
        assert "keeps no logs" in await logs_of(stage)

    scene(play, settings=type(SETTINGS)("inst", "eu-west-1"))


def test_what_an_agent_wrote_is_read_as_ever() -> None:
    async def play(stage: Stage) -> None:
        reader = EmrLogReader(stage.aws, stage.records, Others())
        recorded = Recorded("host#1", 0.0)
        data = [each async for each in reader.read(TaskId("a", 0), 1, 0, recorded)]
        assert data == [b"written by an agent\n"]

    scene(play)


def test_what_was_read_is_not_told_again() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.until("RUNNING")
        reader = EmrLogReader(stage.aws, stage.records, Others())
        task = await stage.task()
        recorded = Recorded(task.owner, task.begun_at)
        text = b"".join([each async for each in reader.read(TaskId("a", 0), 1, 0, recorded)])
        assert not [each async for each in reader.read(TaskId("a", 0), 1, len(text), recorded)]

    scene(play)


@pytest.mark.parametrize("state", ["STARTING", "BOOTSTRAPPING", "RUNNING"])
def test_explain_tells_the_clusters_state(state: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        cluster = await stage.until(state)
        text = (await told(stage))["emr_cluster"]
        assert text.startswith(f"The cluster {cluster.id} is {state} for ")

    scene(play)


def test_explain_tells_the_step_that_runs() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        cluster = await stage.until("RUNNING")
        assert (await told(stage))["emr_step"] == f"Step 1 of 1, {cluster.steps[0].id}, is RUNNING."

    scene(play)


def test_explain_tells_why_a_cluster_goes_down() -> None:
    async def play(stage: Stage) -> None:
        stage.emr.trouble = {"BOOTSTRAPPING": ("VALIDATION_ERROR", "no such subnet")}
        await stage.submit()
        await stage.until("TERMINATING")
        assert "(VALIDATION_ERROR: no such subnet)" in (await told(stage))["emr_cluster"]

    scene(play)


def test_explain_tells_our_steps_and_not_others() -> None:
    async def play(stage: Stage) -> None:
        theirs = stage.emr.add()
        step = {"Name": "theirs", "ActionOnFailure": "CONTINUE", "HadoopJarStep": {"Jar": "x.jar"}}
        stage.emr.answer("add_job_flow_steps", {"JobFlowId": theirs.id, "Steps": [step]})
        await stage.submit(emr=Emr(cluster=theirs.id, steps=(Step("one", args=("one",)),)))
        await stage.steps(30)
        reasons = await stage.backend.reasons(await stage.job(), now())
        steps = [each.text for each in reasons if each.code == "emr_step"]
        assert steps == [f"Step 1 of 1, {theirs.steps[1].id}, is PENDING."]

    scene(play, Does(seconds=600))


def test_of_a_job_that_has_not_begun_there_is_nothing_to_tell() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        assert await told(stage) == {}

    scene(play)
