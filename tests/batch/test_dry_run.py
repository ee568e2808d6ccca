"""`submit --dry-run` of a job for AWS Batch: it shows what the job's command then sees, and not what ours would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.batch.test_commands import BOOTED, BatchDesk, desk

__all__ = ["desk"]

TO_BATCH = ("--backend", "batch", "--image", "busybox", "--env", "A=b")
# The shell's own, and what AWS Batch alone knows.
ELSEWHERE = {"PATH", "PWD", "SHLVL", "_", "OLDPWD"}
CHOSEN_THERE = {"AWS_BATCH_JOB_ID", "AWS_BATCH_CE_NAME"}
JOBS: tuple[list[str], ...] = (
    [],
    ["--array", "3"],
    ["--array", "1"],
    ["--array", "2,5-9"],
    ["--array", "3", "--max-parallel", "2"],
    ["--array", "3", "--max-parallel", "1"],
    ["--each-line", "lines"],
    ["--each-line", "lines", "--array", "1,2"],
)


@pytest.mark.parametrize("job", JOBS, ids=" ".join)
def test_the_environment_is_the_one_that_the_command_then_sees(
    desk: BatchDesk, tmp_path: Path, job: list[str]
) -> None:
    (tmp_path / "lines").write_text("a\nb\nc\n")
    words = [str(tmp_path / word) if word == "lines" else word for word in job]
    arguments = (*TO_BATCH, *words)
    shown = json.loads(desk.out("submit", *arguments, "--dry-run", "--output", "json", "--", "env"))
    job_id = desk.submit(*arguments, "--", "env")
    desk.step()
    desk.endpoint.pass_time(BOOTED)
    desk.step()
    output = desk.out("logs", f"{job_id}/{shown['tasks'][0]['index']}")
    seen = dict(text.split("=", 1) for text in output.splitlines())
    expected = {name: value.replace("JOBID", job_id) for name, value in shown["environment"].items()}
    assert expected.keys() == seen.keys() - ELSEWHERE
    assert {name for name in expected if expected[name] != seen[name]} <= CHOSEN_THERE
    assert (":" in expected["AWS_BATCH_JOB_ID"]) is (":" in seen["AWS_BATCH_JOB_ID"])


def test_the_command_by_hand_has_the_same_variables(desk: BatchDesk) -> None:
    shown = json.loads(
        desk.out("submit", *TO_BATCH, "--array", "3", "--dry-run", "--output", "json", "--", "env")
    )
    assert "--env AWS_BATCH_CE_NAME=ENVIRONMENT" in shown["command_line"]
    assert "RUNNER_TASK_INDEX" not in shown["command_line"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("--vcpus", "1.5"), "on AWS Batch 1.5 vCPUs are 2"),
        (("--timeout", "5s"), "on AWS Batch a time limit of 5s is 1m"),
    ],
)
def test_what_aws_batch_takes_otherwise_is_told(desk: BatchDesk, asked: tuple[str, ...], told: str) -> None:
    assert told in desk.call("submit", *TO_BATCH, *asked, "--dry-run", "--", "true").stderr


def test_on_fargate_the_next_larger_size_is_told(desk: BatchDesk, tmp_path: Path) -> None:
    file = tmp_path / "runner.yaml"
    role = "  execution_role: arn:aws:iam::123456789012:role/x\n"
    file.write_text(
        file.read_text().replace("job_queue: default", "job_queue: default, fargate: true") + role
    )
    told = desk.call("submit", *TO_BATCH, "--memory", "1GiB", "--dry-run", "--", "true").stderr
    assert "on AWS Batch 1GiB are 2GiB" in told


def test_what_it_takes_as_it_is_is_not_told_of(desk: BatchDesk) -> None:
    result = desk.call("submit", *TO_BATCH, "--vcpus", "2", "--timeout", "2m", "--dry-run", "--", "true")
    assert result.stderr == "Nothing was written.\n"
