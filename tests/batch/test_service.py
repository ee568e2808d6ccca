"""The simulated AWS Batch does what the service's API reference says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from controller.simulation.clock import run
from controller.simulation.services.batch import SimulatedBatch
from controller.simulation.services.batch_hosts import Environment, JobQueue
from controller.simulation.services.batch_job import Run
from runner.aws import AwsError, Trouble

CONTAINER = {
    "image": "image",
    "command": ["x"],
    "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
}


class Batch(SimulatedBatch):
    def define(self, **more: Any) -> None:
        container = {**CONTAINER, **more}
        self.answer(
            "register_job_definition",
            {"jobDefinitionName": "d", "type": "container", "containerProperties": container},
        )

    def submit(self, size: int = 0, **more: Any) -> str:
        array = {"arrayProperties": {"size": size}} if size else {}
        given = {"jobName": "j", "jobQueue": "default", "jobDefinition": "d", **array, **more}
        return str(self.answer("submit_job", given)["jobId"])

    def detail(self, job_id: str) -> dict[str, Any]:
        (found,) = self.answer("describe_jobs", {"jobs": [job_id]})["jobs"]
        return dict(found)

    def status(self, job_id: str) -> str:
        return str(self.detail(job_id)["status"])

    async def until(self, job_id: str, *statuses: str) -> None:
        """A child is there only once its parent has spawned it."""
        while not (found := self.answer("describe_jobs", {"jobs": [job_id]})["jobs"]) or (
            found[0]["status"] not in statuses
        ):
            await asyncio.sleep(1)


def scene(play: Callable[[Batch], Awaitable[None]], result: Run | None = None, **environment: Any) -> None:
    async def main() -> None:
        queue = JobQueue(environments=(Environment(**environment),))
        batch = Batch(lambda _env, _command: result or Run(), queue)
        batch.define()
        await play(batch)

    run(main())


def test_a_job_goes_from_submitted_to_succeeded() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit()
        seen = [batch.status(job)]
        while seen[-1] != "SUCCEEDED":
            await asyncio.sleep(0.5)
            if batch.status(job) != seen[-1]:
                seen.append(batch.status(job))
        assert seen == ["SUBMITTED", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]

    scene(play)


def test_the_parent_of_an_array_is_pending_while_its_children_run() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit(3)
        await batch.until(f"{job}:0", "RUNNING")
        detail = batch.detail(job)
        assert detail["status"] == "PENDING"
        assert detail["arrayProperties"]["statusSummary"]["RUNNING"] == 3
        await batch.until(job, "SUCCEEDED")

    scene(play)


def test_children_know_their_index_and_the_arrays_size() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit(3)
        await batch.until(job, "SUCCEEDED")
        seen = batch.running.started
        assert sorted(each["AWS_BATCH_JOB_ARRAY_INDEX"] for each in seen) == ["0", "1", "2"]
        assert {each["AWS_BATCH_JOB_ARRAY_SIZE"] for each in seen} == {"3"}
        assert {each["AWS_BATCH_JOB_ATTEMPT"] for each in seen} == {"1"}

    scene(play)


def test_a_single_job_has_no_index() -> None:
    async def play(batch: Batch) -> None:
        await batch.until(batch.submit(), "SUCCEEDED")
        assert "AWS_BATCH_JOB_ARRAY_INDEX" not in batch.running.started[0]

    scene(play)


def test_an_array_fails_once_all_its_children_ended_and_one_failed() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit(3)
        await batch.until(job, "FAILED")
        assert batch.detail(job)["statusReason"] == "Array Child Job failed"

    scene(play, Run(exit_code=1))


def retrying(attempts: int, *conditions: dict[str, str]) -> dict[str, Any]:
    return {"retryStrategy": {"attempts": attempts, "evaluateOnExit": list(conditions)}}


def test_without_a_condition_that_matches_it_is_tried_again() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit(**retrying(3, {"onExitCode": "9", "action": "EXIT"}))
        await batch.until(job, "FAILED")
        assert len(batch.detail(job)["attempts"]) == 3

    scene(play, Run(exit_code=1))


def test_the_first_condition_that_matches_decides() -> None:
    async def play(batch: Batch) -> None:
        exits, retries = {"onExitCode": "1*", "action": "EXIT"}, {"onReason": "*", "action": "RETRY"}
        job = batch.submit(**retrying(3, exits, retries))
        await batch.until(job, "FAILED")
        assert len(batch.detail(job)["attempts"]) == 1

    scene(play, Run(exit_code=12))


def test_a_lost_hosts_jobs_have_its_name_in_their_reason() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit()
        await batch.until(job, "RUNNING")
        (host,) = batch.hosts()
        batch.lose(host)
        assert batch.detail(job)["statusReason"] == f"Host EC2 (instance {host.id}) terminated."

    scene(play)


def test_a_time_limit_counts_from_the_attempts_start() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit(timeout={"attemptDurationSeconds": 60})
        await batch.until(job, "FAILED")
        detail = batch.detail(job)
        assert detail["statusReason"] == "Job attempt duration exceeded timeout"
        assert detail["stoppedAt"] - detail["startedAt"] == pytest.approx(61_000)
        assert detail["startedAt"] - detail["createdAt"] > 500_000

    scene(play, Run(seconds=600), boot=600.0)


def test_what_ran_into_its_time_limit_is_never_tried_again() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit(timeout={"attemptDurationSeconds": 60}, **retrying(5))
        await batch.until(job, "FAILED")
        assert len(batch.detail(job)["attempts"]) == 1

    scene(play, Run(seconds=600))


def test_cancel_leaves_alone_what_runs_and_says_nothing() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit()
        await batch.until(job, "RUNNING")
        batch.answer("cancel_job", {"jobId": job, "reason": "why"})
        await batch.until(job, "SUCCEEDED")

    scene(play, Run(seconds=300))


def test_terminate_stops_what_runs() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit(2)
        await batch.until(f"{job}:1", "RUNNING")
        batch.answer("terminate_job", {"jobId": job, "reason": "why"})
        await batch.until(job, "FAILED")
        assert batch.detail(f"{job}:1")["statusReason"] == "why"
        assert batch.detail(f"{job}:1")["isTerminated"]

    scene(play, Run(seconds=300))


def test_a_name_in_an_ids_place_stops_nothing_and_nothing_says_so() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit()
        await batch.until(job, "RUNNING")
        batch.answer("terminate_job", {"jobId": "j", "reason": "why"})
        await batch.until(job, "SUCCEEDED")

    scene(play, Run(seconds=300))


def test_a_job_is_forgotten_seven_days_after_its_end() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit()
        await batch.until(job, "SUCCEEDED")
        await asyncio.sleep(7 * 86400 - 10)
        assert batch.status(job) == "SUCCEEDED"
        await asyncio.sleep(20)
        assert batch.answer("describe_jobs", {"jobs": [job]})["jobs"] == []

    scene(play)


def test_a_filter_by_name_gives_jobs_of_any_status_a_hundred_at_a_time() -> None:
    async def play(batch: Batch) -> None:
        first = batch.submit(jobName="abc-1")
        await batch.until(first, "SUCCEEDED")
        for number in range(120):
            batch.submit(jobName=f"ABC-{number}")
        asked = {"jobQueue": "default", "filters": [{"name": "JOB_NAME", "values": ["abc-*"]}]}
        reply = batch.answer("list_jobs", asked)
        assert len(reply["jobSummaryList"]) == 100
        reply = batch.answer("list_jobs", {**asked, "nextToken": reply["nextToken"]})
        assert len(reply["jobSummaryList"]) == 21
        assert reply["jobSummaryList"][-1]["jobId"] == first

    scene(play)


def test_children_are_listed_by_status_and_not_in_their_queue() -> None:
    async def play(batch: Batch) -> None:
        job = batch.submit(3)
        await batch.until(f"{job}:0", "RUNNING")
        listed = batch.answer("list_jobs", {"arrayJobId": job, "jobStatus": "RUNNING"})
        assert len(listed["jobSummaryList"]) == 3
        assert batch.answer("list_jobs", {"jobQueue": "default"})["jobSummaryList"] == []

    scene(play)


def test_a_job_waits_for_those_it_depends_on() -> None:
    async def play(batch: Batch) -> None:
        first = batch.submit()
        second = batch.submit(dependsOn=[{"jobId": first}])
        await batch.until(first, "RUNNING")
        assert batch.status(second) == "SUBMITTED"
        await batch.until(second, "SUCCEEDED")

    scene(play)


def test_while_instances_boot_it_may_say_that_nothing_holds_the_job() -> None:
    async def play(batch: Batch) -> None:
        batch.running.hesitant = True
        job = batch.submit()
        await asyncio.sleep(30)
        assert batch.detail(job)["statusReason"].startswith("MISCONFIGURATION:")
        await batch.until(job, "SUCCEEDED")

    scene(play)


def test_of_two_queues_the_higher_priority_is_served_first() -> None:
    async def main() -> None:
        environment = Environment(most_vcpus=16.0)
        queues = JobQueue("low", (environment,), 1), JobQueue("high", (environment,), 9)
        batch = Batch(lambda _env, _command: Run(), *queues)
        batch.define()
        low, high = (batch.submit(32, jobQueue=name) for name in ("low", "high"))
        await batch.until(high, "SUCCEEDED")
        assert batch.status(low) == "PENDING"
        assert batch.detail(low)["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 0

    run(main())


@pytest.mark.parametrize(
    "given",
    [
        {"arrayProperties": {"size": 1}},
        {"arrayProperties": {"size": 10_001}},
        {"containerOverrides": {"environment": [{"name": "AWS_BATCH_X", "value": ""}]}},
        {"containerOverrides": {"command": ["a", ""]}},
        {"containerOverrides": {"environment": [{"name": "A", "value": "x" * 31_000}]}},
        {"timeout": {"attemptDurationSeconds": 59}},
        {"retryStrategy": {"attempts": 11}},
        {"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"onReason": "a*b", "action": "EXIT"}]}},
        {"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"onReason": "*", "action": "EXIT"}] * 6}},
        {"jobQueue": "other"},
        {"jobDefinition": "other"},
        {"jobName": "a.b"},
        {"dependsOn": [{"jobId": "a"}] * 21},
    ],
)
def test_it_refuses(given: dict[str, Any]) -> None:
    async def play(batch: Batch) -> None:
        with pytest.raises(AwsError) as caught:
            batch.submit(**given)
        assert caught.value.code == "ClientException"

    scene(play)


def test_it_describes_a_hundred_jobs_at_once_and_no_more() -> None:
    async def play(batch: Batch) -> None:
        batch.answer("describe_jobs", {"jobs": ["a"] * 100})
        with pytest.raises(AwsError):
            batch.answer("describe_jobs", {"jobs": ["a"] * 101})

    scene(play)


def test_it_throttles() -> None:
    async def play(batch: Batch) -> None:
        batch.per_second = 2.0
        await asyncio.sleep(10)
        for _ in range(2):
            batch.answer("describe_jobs", {"jobs": ["a"]})
        with pytest.raises(AwsError) as caught:
            batch.answer("describe_jobs", {"jobs": ["a"]})
        assert caught.value.trouble is Trouble.THROTTLED
        await asyncio.sleep(0.5)
        batch.answer("describe_jobs", {"jobs": ["a"]})

    scene(play)
