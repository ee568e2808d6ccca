"""Jobs with a cluster of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from controller.simulation.clock import now
from controller.simulation.services.emr_cluster import StepRun
from controller.simulation.services.service import refused
from runner.emr import CONTINUE, Bootstrap, Emr, InstanceGroup, Step
from runner.model import Charge, Kind, Limits, Retry, Status, TaskId
from tests.backends.stage import LEDGERS
from tests.emr.stage import OWN, SETTINGS, Does, Stage, scene

LOAD = Step("load", args=("spark-submit", "s3://code/load.py"))
SUM = Step("sum", command=("sum", "up"))
TWO = replace(OWN, steps=(LOAD, SUM))


@pytest.mark.parametrize("ledger", LEDGERS)
def test_a_cluster_runs_the_command_and_goes_down(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        record = await stage.finish()
        assert record.status is Status.SUCCEEDED
        assert record.counts.succeeded == 1
        assert [each.state for each in stage.emr.clusters.values()] == ["TERMINATED"]

    scene(play, ledger=ledger)


def test_the_request_says_what_the_job_says() -> None:
    emr = replace(
        TWO,
        task=InstanceGroup("c6i.large", 4, spot=True, bid=0.05),
        bootstrap=(Bootstrap("s3://code/setup.sh", ("-v",)),),
        logs="s3://mine/logs/",
    )

    async def play(stage: Stage) -> None:
        await stage.submit(emr=emr)
        await stage.step()
        (given,) = stage.emr.called("run_job_flow")
        assert given["Name"] == "inst/a/1/1"
        assert given["ReleaseLabel"] == "emr-7.5.0"
        assert given["LogUri"] == "s3://mine/logs/"
        assert given["ServiceRole"] == "EMR_DefaultRole"
        assert given["JobFlowRole"] == "EMR_EC2_DefaultRole"
        assert given["Applications"] == [{"Name": "Spark"}]
        assert [each["ScriptBootstrapAction"]["Path"] for each in given["BootstrapActions"]] == [
            "s3://code/setup.sh"
        ]
        groups = given["Instances"]["InstanceGroups"]
        assert [(each["InstanceRole"], each["Market"], each.get("BidPrice")) for each in groups] == [
            ("MASTER", "ON_DEMAND", None),
            ("CORE", "SPOT", None),
            ("TASK", "SPOT", "0.050"),
        ]

    scene(play)


def test_the_cluster_ends_by_itself_whoever_lives_by_then() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.step()
        instances = stage.emr.called("run_job_flow")[0]["Instances"]
        assert instances["KeepJobFlowAliveWhenNoSteps"] is False
        assert instances["TerminationProtected"] is False
        await asyncio.sleep(3600)
        assert not stage.emr.alive()
        assert not stage.emr.called("terminate_job_flows")

    scene(play)


def test_tags_say_whose_the_cluster_is() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.step()
        tags = {each["Key"]: each["Value"] for each in stage.emr.called("run_job_flow")[0]["Tags"]}
        assert tags["runner-fleet"] == "inst"
        assert tags["runner-job"] == "a"
        assert tags["runner-attempt"] == "1/1"

    scene(play)


def test_a_command_has_the_jobs_variables_and_args_are_passed_as_they_are() -> None:
    does = Does()

    async def play(stage: Stage) -> None:
        await stage.submit(emr=TWO, env={"DAY": "2026-01-01"})
        await stage.finish()
        assert does.ran[0] == ["spark-submit", "s3://code/load.py"]
        assert does.ran[1][0] == "env"
        assert does.ran[1][-2:] == ["sum", "up"]
        assert {"DAY=2026-01-01", "RUNNER_JOB_ID=a", "AWS_BATCH_JOB_ARRAY_INDEX=0"} <= set(does.ran[1])

    scene(play, does)


def test_a_command_that_hangs_while_nobody_supervises_ends_some_time_after_the_time_limit() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(limits=Limits(timeout=3600.0))
        cluster = await stage.until("RUNNING")
        await asyncio.sleep(4500)
        assert not cluster.alive
        assert (await stage.finish()).status is Status.FAILED

    scene(play, hangs)


def hangs(words: Sequence[str]) -> StepRun:
    """For ever, but for coreutils' `timeout`."""
    limited = words[0] == "timeout"
    return StepRun(float(words[2]) if limited else 1e9, "exit status 124" if limited else "")


def test_the_subnet_is_the_settings() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.step()
        assert stage.emr.called("run_job_flow")[0]["Instances"]["Ec2SubnetId"] == "subnet-0123"

    scene(play, settings=replace(SETTINGS, subnet="subnet-0123"))


def test_a_step_that_fails_ends_the_cluster_and_the_record_says_where_its_log_lies() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(emr=TWO)
        assert (await stage.finish()).status is Status.FAILED
        (attempt,) = await stage.attempts()
        assert attempt.outcome.kind is Kind.FAILED
        assert attempt.outcome.reason.startswith("step load failed: spark-submit does not work (log: ")
        step = stage.latest.steps[0]
        assert f"s3://logs/emr/{stage.latest.id}/steps/{step.id}/stderr.gz" in attempt.outcome.reason
        assert not stage.emr.called("terminate_job_flows")
        assert len(does.ran) == 1

    does = Does(failing={"spark-submit": 1})
    scene(play, does)


def test_a_step_that_may_fail_does_not_end_the_job_and_leaves_a_warning() -> None:
    emr = replace(TWO, steps=(replace(LOAD, on_failure=CONTINUE), SUM))

    async def play(stage: Stage) -> None:
        await stage.submit(emr=emr)
        assert (await stage.finish()).status is Status.SUCCEEDED
        (attempt,) = await stage.attempts()
        assert "load failed" in attempt.outcome.warning

    scene(play, Does(failing={"spark-submit": 1}))


def test_what_failed_is_tried_again_on_another_cluster() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(retry=Retry(retries=1, backoff=30.0))
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert [each.outcome.kind for each in await stage.attempts()] == [Kind.FAILED, Kind.SUCCEEDED]
        assert [each.name for each in stage.emr.clusters.values()] == ["inst/a/1/1", "inst/a/1/2"]

    scene(play, Does(failing={"go": 1}))


def test_the_backoff_is_waited_for() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(retry=Retry(retries=1, backoff=280.0))
        await stage.finish()
        first, second = stage.emr.clusters.values()
        assert first.ended is not None
        assert second.created - first.ended > 200

    scene(play, Does(failing={"go": 1}))


@pytest.mark.parametrize("ledger", LEDGERS)
def test_retry_opens_a_round_with_a_cluster_of_its_own(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        assert (await stage.finish()).status is Status.FAILED
        await stage.retry()
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert [each.name for each in stage.emr.clusters.values()] == ["inst/a/1/1", "inst/a/2/2"]

    scene(play, Does(failing={"go": 1}), ledger=ledger)


@pytest.mark.parametrize("state", ["STARTING", "BOOTSTRAPPING", "RUNNING"])
def test_cancel_terminates_the_cluster(state: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        cluster = await stage.until(state)
        await stage.cancel()
        record = await stage.finish(within=300)
        assert record.status is Status.CANCELLED
        assert stage.emr.called("terminate_job_flows") == [{"JobFlowIds": [cluster.id]}]
        assert cluster.state == "TERMINATED"
        (attempt,) = await stage.attempts()
        assert attempt.outcome.kind is Kind.CANCELLED

    scene(play)


def test_stop_terminates_the_cluster_where_nobody_supervises() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        cluster = await stage.until("RUNNING")
        await stage.cancel()
        await stage.another().stop(await stage.job())
        assert cluster.state == "TERMINATING"

    scene(play)


def test_a_cancel_that_retry_lifts_before_the_cluster_is_down_runs_it_again() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.until("RUNNING")
        await stage.cancel()
        await stage.until("TERMINATING")
        await stage.retry()
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert [each.outcome.kind for each in await stage.attempts()] == [Kind.CANCELLED, Kind.SUCCEEDED]
        assert len(stage.emr.clusters) == 2

    scene(play)


def test_a_job_that_was_cancelled_before_it_began_starts_nothing() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.cancel()
        await stage.steps(120)
        assert not stage.emr.clusters

    scene(play)


def test_a_cluster_that_somebody_terminated_counts_as_killed() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        cluster = await stage.until("RUNNING")
        cluster.go_down("USER_REQUEST", "Terminated by user request")
        assert (await stage.finish()).status is Status.FAILED
        (attempt,) = await stage.attempts()
        assert attempt.outcome.kind is Kind.KILLED

    scene(play)


def test_a_step_that_somebody_cancelled_counts_as_killed() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        cluster = await stage.until("RUNNING")
        step = {"ClusterId": cluster.id, "StepIds": [cluster.steps[0].id]}
        stage.emr.answer("cancel_steps", step)
        assert (await stage.finish()).status is Status.FAILED
        (attempt,) = await stage.attempts()
        assert attempt.outcome.kind is Kind.KILLED

    scene(play)


def test_what_the_cluster_completed_has_succeeded_though_its_steps_cannot_be_listed() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.until("TERMINATING")
        stage.emr.failing["list_steps"].append(refused("InvalidRequestException"))
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play)


def test_the_time_limit_counts_from_when_the_cluster_is_ready() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(limits=replace((await stage.submit("other")).job.limits, timeout=400.0))
        assert (await stage.finish()).status is Status.SUCCEEDED

    scene(play, Does(seconds=390.0))


@pytest.mark.parametrize("skew", [-300.0, 0.0, 300.0])
def test_out_of_time_the_cluster_is_terminated_whatever_our_clock_says(skew: float) -> None:
    async def play(stage: Stage) -> None:
        limits = replace((await stage.submit("other")).job.limits, timeout=900.0)
        await stage.submit(limits=limits)
        assert (await stage.finish()).status is Status.FAILED
        (attempt,) = await stage.attempts()
        assert attempt.outcome.kind is Kind.TIMED_OUT
        duration = attempt.outcome.duration
        assert duration is not None
        assert 900 <= duration <= 900 + SETTINGS.interval + 5 + stage.emr.pace.terminating + 5

    scene(play, Does(seconds=3000.0), clock=lambda: now() + skew)


@pytest.mark.parametrize(
    ("state", "code", "kind"),
    [
        ("BOOTSTRAPPING", "VALIDATION_ERROR", Kind.START_ERROR),
        ("RUNNING", "BOOTSTRAP_FAILURE", Kind.START_ERROR),
    ],
)
def test_a_cluster_that_cannot_start_as_asked_for_is_not_tried_again(
    state: str, code: str, kind: Kind
) -> None:
    async def play(stage: Stage) -> None:
        stage.emr.trouble = {state: (code, "so it is")}
        await stage.submit(retry=Retry(retries=3))
        assert (await stage.finish()).status is Status.FAILED
        (attempt,) = await stage.attempts()
        assert attempt.outcome.kind is kind
        assert f"{code}: so it is" in attempt.outcome.reason

    scene(play)


def test_amazon_emrs_own_error_is_tried_again_at_no_charge() -> None:
    async def play(stage: Stage) -> None:
        stage.emr.trouble = {"BOOTSTRAPPING": ("INTERNAL_ERROR", "no capacity")}
        await stage.submit()
        await stage.until("STARTING")
        stage.emr.trouble = {}
        assert (await stage.finish()).status is Status.SUCCEEDED
        first, _ = await stage.attempts()
        assert (first.outcome.kind, first.outcome.charge) == (Kind.START_ERROR, Charge.INFRA)

    scene(play)


def test_a_main_machine_that_is_lost_is_not_charged_to_the_user() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        stage.emr.lose(await stage.until("RUNNING"), "MASTER")
        assert (await stage.finish()).status is Status.SUCCEEDED
        first, _ = await stage.attempts()
        assert first.outcome.kind is Kind.LOST

    scene(play)


def test_a_spot_machine_that_is_reclaimed_interrupts() -> None:
    emr = replace(OWN, main=InstanceGroup("m6i.xlarge", spot=True))

    async def play(stage: Stage) -> None:
        await stage.submit(emr=emr)
        stage.emr.lose(await stage.until("RUNNING"), "MASTER")
        assert (await stage.finish()).status is Status.SUCCEEDED
        first, _ = await stage.attempts()
        assert first.outcome.kind is Kind.INTERRUPTED

    scene(play)


def test_a_step_that_fails_after_its_spot_machine_was_lost_is_not_charged_to_the_user() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        stage.emr.lose(await stage.until("RUNNING"), "CORE")
        assert (await stage.finish()).status is Status.SUCCEEDED
        first, _ = await stage.attempts()
        assert first.outcome.kind is Kind.INTERRUPTED
        assert "Spot interruption" in first.outcome.reason

    scene(play, Does(failing={"go": 1}))


def test_the_record_has_steps_hours_and_an_estimate_of_the_cost() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(emr=TWO)
        await stage.finish()
        (attempt,) = await stage.attempts()
        kept, cluster = attempt.outcome.metadata, stage.latest
        assert kept["cluster"] == cluster.id
        assert kept["normalized_instance_hours"] == "24"
        assert kept["step 1"].startswith("load COMPLETED ")
        assert kept["step 2"].startswith("sum COMPLETED ")
        assert cluster.ended is not None
        hours = (cluster.ended - cluster.created) / 3600
        assert float(kept["estimated_cost_usd"]) == pytest.approx(hours * (0.192 + 2 * 0.384), rel=0.01)
        assert attempt.outcome.log == f"emr:s3://logs/emr/{cluster.id}/"
        assert attempt.outcome.started_at == cluster.ready

    scene(play)


def test_of_a_machine_whose_price_is_not_known_no_cost_is_estimated() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(emr=replace(OWN, core=InstanceGroup("z9.huge")))
        await stage.finish()
        (attempt,) = await stage.attempts()
        assert "estimated_cost_usd" not in attempt.outcome.metadata

    scene(play)


def test_a_refused_request_fails_the_job_with_what_amazon_emr_says() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(emr=Emr(release="emr-x", main=InstanceGroup("m6i.xlarge")))
        assert (await stage.finish()).status is Status.FAILED
        (attempt,) = await stage.attempts()
        assert attempt.outcome.kind is Kind.START_ERROR
        assert "release label is invalid" in attempt.outcome.reason

    scene(play)


def test_a_job_comes_after_another() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a")
        await stage.submit("b", after=("a",))
        await stage.finish("b")
        first, second = stage.emr.clusters.values()
        assert first.ended is not None
        assert second.created >= first.ended

    scene(play)


def test_while_it_runs_the_ledger_names_the_cluster() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        cluster = await stage.until("STARTING")
        task = await stage.records.task(TaskId("a", 0))
        assert task is not None
        assert task.metadata["cluster"] == cluster.id

    scene(play)
