"""A fleet that is deployed, as its users see it. In this order: the last looks at what the others leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runner.settings import FleetSettings
from tests.live.conftest import PATIENCE, Person, until

pytestmark = pytest.mark.timeout(2 * PATIENCE)

SHARDS = 20


def test_the_doctor_finds_nothing_wrong(person: Person) -> None:
    found = person.reads("doctor", may_fail=True)
    assert [each for each in found if each["status"] == "problem"] == []


@pytest.fixture(scope="module")
def job(person: Person, name: str) -> str:
    return person.submits(name, SHARDS, 'echo "this is shard $AWS_BATCH_JOB_ARRAY_INDEX"')


def test_every_shard_succeeds(person: Person, job: str) -> None:
    ended = person.sees_it_end(job)
    assert (ended["status"], ended["counts"]["succeeded"]) == ("SUCCEEDED", SHARDS)


def test_the_logs_of_a_shard_can_be_read(person: Person, job: str) -> None:
    assert "this is shard 7" in until(lambda: person.types("logs", f"{job}/7"))


def attempts(person: Person, job: str) -> dict[int, int]:
    return {each["index"]: each["attempts"] for each in person.reads("tasks", job)}


def test_a_shard_that_fails_once_is_tried_again(person: Person, name: str) -> None:
    script = '[ "$AWS_BATCH_JOB_ARRAY_INDEX" != 1 ] || [ "$AWS_BATCH_JOB_ATTEMPT" -gt 1 ]'
    job = person.submits(f"{name}-again", 3, script, retries=1)
    assert person.sees_it_end(job)["status"] == "SUCCEEDED"
    assert attempts(person, job) == {0: 1, 1: 2, 2: 1}


def test_retry_runs_the_failed_shard_and_no_other(person: Person, name: str) -> None:
    job = person.submits(f"{name}-retry", 3, '[ "$AWS_BATCH_JOB_ARRAY_INDEX" != 1 ]')
    counts = person.sees_it_end(job)["counts"]
    assert (counts["failed"], counts["succeeded"]) == (1, 2)
    person.types("retry", job, "--detach")
    assert person.sees_it_end(job)["status"] == "FAILED"
    assert attempts(person, job) == {0: 1, 1: 2, 2: 1}


def test_a_running_job_can_be_cancelled(person: Person, name: str) -> None:
    job = person.submits(f"{name}-cancel", 2, "sleep 1700")
    until(lambda: person.job(job)["counts"]["running"] > 0)
    person.types("cancel", job)
    assert person.sees_it_end(job)["status"] == "CANCELLED"


def test_the_fleet_comes_back_to_its_minimum(fleet: FleetSettings, clients: Callable[[str], Any]) -> None:
    names = {fleet.group(name): environment.minimum for name, environment in fleet.environments.items()}

    def sizes() -> dict[str, int]:
        found = clients("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=list(names))
        return {
            group["AutoScalingGroupName"]: len(group["Instances"]) for group in found["AutoScalingGroups"]
        }

    until(lambda: sizes() == names)
