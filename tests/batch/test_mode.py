"""`mode: batch` from the settings file on: commands and supervisor with real clients, over moto.

moto's AWS Batch runs nothing here: every job has succeeded as soon as it is submitted. One task at a time: moto's
DynamoDB does not understand several statements together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from controller.wiring import open_parts
from runner.adapters.boto import BotoAws
from runner.array import Array
from runner.assembly import run_agent
from runner.errors import BadInput
from runner.model import Job
from tests.batch.test_moto import REGION, make_queue
from tests.desk import Desk
from tests.dynamodb.emulator import create_table

SETTINGS = f"""\
mode: batch
fleet:
  name: shards
  region: {REGION}
  environments:
    small: {{instance_types: [m6i.large]}}
batch: {{interval: 1s}}
"""
ACCOUNT = "123456789012"


async def make_table() -> None:
    aws = BotoAws(REGION)
    await create_table(aws, "shards")
    await aws.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "runner.yaml").write_text(SETTINGS)
    made = Desk(tmp_path)
    made.environment["RUNNER_CONFIG"] = str(tmp_path / "runner.yaml")
    with mock_aws(config={"batch": {"use_docker": False}}):
        make_queue("shards-default")
        bucket = {"LocationConstraint": REGION}
        boto3.client("s3", REGION).create_bucket(
            Bucket=f"shards-{ACCOUNT}-{REGION}", CreateBucketConfiguration=bucket
        )
        asyncio.run(make_table())
        yield made


async def supervise(desk: Desk, steps: int) -> None:
    async with open_parts(desk.settings) as parts:
        supervisor = parts.supervisor()
        for _ in range(steps):
            assert (await supervisor.step()).leading
            await asyncio.sleep(1.1)


def test_a_job_that_says_nothing_runs_on_aws_batch_and_is_recorded(desk: Desk) -> None:
    job_id = desk.submit("--image", "busybox")
    assert desk.json("status", job_id)[0]["backend"] == "batch"
    asyncio.run(supervise(desk, 3))
    found = desk.json("status", job_id)[0]
    assert (found["status"], found["counts"]["succeeded"]) == ("SUCCEEDED", 1)


def test_its_definition_names_the_role_that_deploy_makes(desk: Desk) -> None:
    desk.submit("--image", "busybox")
    asyncio.run(supervise(desk, 1))
    (found,) = boto3.client("batch", REGION).describe_job_definitions()["jobDefinitions"]
    role = f"arn:aws:iam::{ACCOUNT}:role/shards-batch-execution"
    assert found["containerProperties"]["executionRoleArn"] == role


def test_before_it_is_deployed_every_command_says_so(desk: Desk) -> None:
    boto3.client("dynamodb", REGION).delete_table(TableName="shards")
    for words in (["jobs"], ["submit", "--image", "busybox", "--", "true"]):
        result = desk.call(*words)
        assert result.exit_code == 4
        assert "`runner-controller deploy`" in result.stderr


def test_who_asks_for_machines_is_told_who_has_them(desk: Desk) -> None:
    result = desk.call("fleet")
    assert result.stdout == ""
    assert "AWS Batch has the machines" in result.stderr


def test_there_are_no_queues_no_machines_and_no_dead_letters(desk: Desk) -> None:
    assert desk.json("fleet") == []
    assert desk.json("dead-letters", "list") == []


def test_there_are_no_agents(desk: Desk) -> None:
    with pytest.raises(BadInput, match="in mode batch there are no agents"):
        asyncio.run(run_agent(desk.settings, "host", local=False))


def test_a_job_from_before_the_change_of_mode_is_told_to_have_no_machines(desk: Desk) -> None:
    async def register() -> None:
        async with open_parts(desk.settings) as parts:
            await parts.records.register(Job("old", "old", ("x",), Array.of_size(1), image="i"))
            await parts.records.release("old", 1.0)

    asyncio.run(register())
    codes = [reason["code"] for reason in desk.json("explain", "old")["reasons"]]
    assert codes == ["nobody_supervises"]
    asyncio.run(supervise(desk, 1))
    (reason,) = desk.json("explain", "old")["reasons"]
    assert reason["code"] == "no_machines"
    assert "`runner-controller cancel old`" in reason["text"]
    assert "mode: fleet" in reason["text"]
