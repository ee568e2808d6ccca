"""Real clients, real containers: moto's AWS Batch runs what it is given on the Docker engine.

moto gives a container its job's id, its variables and its command, keeps its output in CloudWatch Logs, and kills it
when it is terminated. It lacks: the array index and what becomes of an array as a whole, attempts beyond the first and
the retry strategy, limits of memory and CPU, the engine's own volumes, hosts, whether a job was terminated. What
`MotoAws` adds so that a single job can run at all: a directory for the scratch volume, and exit codes in DescribeJobs,
which moto only has in ListJobs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from controller import submission
from controller.adapters.batch.backend import BatchBackend
from controller.adapters.batch.logs import BatchLogReader
from controller.logs import recorded_of
from runner.adapters.boto import BotoAws
from runner.adapters.files import FileLogs
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.records import SqliteRecords
from runner.array import Array
from runner.aws import Reply
from runner.batch_settings import LOG_GROUP, BatchQueue, BatchSettings
from runner.model import Job, Retry, Status, TaskId
from runner.records import JobRecord
from tests.backends.stage import leads
from tests.batch.stage import Items
from tests.engines.rig_docker import an_image

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

REGION = "eu-west-1"
SETTINGS = BatchSettings("moto", REGION, {"default": BatchQueue("default")}, interval=0.2)


class MotoAws:
    def __init__(self, aws: BotoAws, scratch: Path) -> None:
        self._aws = aws
        self._scratch = scratch

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        if operation == "register_job_definition":
            for volume in parameters["containerProperties"]["volumes"]:
                volume["host"] = {"sourcePath": str(self._scratch)}
        reply = await self._aws.call(service, operation, urgent=urgent, **parameters)
        if operation == "describe_jobs":
            for job in reply["jobs"]:
                await self._add_exit_code(job)
        return reply

    async def _add_exit_code(self, job: dict[str, Any]) -> None:
        named = [{"name": "JOB_NAME", "values": [job["jobName"]]}]
        listed = await self._aws.call("batch", "list_jobs", jobQueue="default", filters=named)
        (found,) = [each for each in listed["jobSummaryList"] if each["jobId"] == job["jobId"]]
        if job["attempts"] and "container" in found:
            job["attempts"][-1]["container"] |= found["container"]

    async def close(self) -> None: ...


class Stage:
    def __init__(self, aws: MotoAws, folder: Path, image: str) -> None:
        database = Database.memory()
        self.aws, self.image = aws, image
        self.records = SqliteRecords(database, time.time)
        self.ledger = SqliteLedger(database, time.time, 30.0)
        self.backend = BatchBackend(aws, self.records, self.ledger, Items(), SETTINGS, time.time, lambda: 0.5)
        self.logs = BatchLogReader(aws, LOG_GROUP, FileLogs(folder / "logs", 1000))

    async def submit(self, script: str, **changes: Any) -> None:
        job = Job("a", "a", ("sh", "-c", script), Array.of_size(1), image=self.image, created_at=time.time())
        await self.records.register(replace(job, **changes))
        await self.records.release("a", time.time())

    async def step(self) -> JobRecord:
        record = await self.job()
        await self.backend.start(record, leads)
        await self.backend.refresh(await self.records.jobs(unfinished=True), leads)
        await asyncio.sleep(0.3)
        return await self.job()

    async def job(self) -> JobRecord:
        record = await self.records.job("a")
        assert record is not None
        return record

    async def finish(self) -> JobRecord:
        while not (record := await self.step()).status.terminal:
            pass
        return record

    async def output(self) -> str:
        task = await self.records.task(TaskId("a", 0))
        assert task is not None
        recorded = await recorded_of(self.records, task, task.attempt)
        return b"".join(
            [part async for part in self.logs.read(task.task, task.attempt, 0, recorded)]
        ).decode()


def make_queue(name: str = "default") -> None:
    """The least that moto wants to see of one."""
    trust = '{"Version": "2012-10-17", "Statement": []}'
    iam = boto3.client("iam", REGION)
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    profile = iam.create_instance_profile(InstanceProfileName="p")["InstanceProfile"]["Arn"]
    ec2 = boto3.client("ec2", REGION)
    subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]]
    groups = [each["GroupId"] for each in ec2.describe_security_groups()["SecurityGroups"]]
    batch = boto3.client("batch", REGION)
    resources = {
        "type": "EC2",
        "minvCpus": 0,
        "maxvCpus": 4,
        "instanceTypes": ["m5.large"],
        "subnets": subnets,
        "securityGroupIds": groups,
        "instanceRole": profile,
    }
    batch.create_compute_environment(
        computeEnvironmentName="machines", type="MANAGED", computeResources=resources, serviceRole=role
    )
    order = [{"order": 1, "computeEnvironment": "machines"}]
    batch.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    image = await an_image(tmp_path)
    (tmp_path / "scratch").mkdir()
    with mock_aws():
        await asyncio.to_thread(make_queue)
        aws = BotoAws(REGION)
        yield Stage(MotoAws(aws, tmp_path / "scratch"), tmp_path, image)
        await aws.close()


async def test_a_container_finds_its_task_and_its_output_is_read_from_cloudwatch(stage: Stage) -> None:
    await stage.submit(
        'echo "$RUNNER_JOB_ID/$RUNNER_TASK_INDEX of $AWS_BATCH_JOB_ARRAY_SIZE: $COLOUR"',
        env={"COLOUR": "red"},
    )
    record = await stage.finish()
    assert record.status is Status.SUCCEEDED
    assert await stage.output() == "a/0 of 1: red\n"


async def test_the_task_is_known_by_the_id_that_its_container_sees(stage: Stage) -> None:
    await stage.submit('echo "$AWS_BATCH_JOB_ID"')
    await stage.finish()
    task = await stage.records.task(TaskId("a", 0))
    assert task is not None
    assert task.owner == f"{(await stage.output()).strip()}#1"


async def test_a_failure_is_tried_again_in_another_container_with_its_number(stage: Stage) -> None:
    await stage.submit(
        'echo "try $RUNNER_ATTEMPT"; test $RUNNER_ATTEMPT = 2 || exit 7', retry=Retry(1, backoff=0.1)
    )
    record = await stage.finish()
    attempts = await stage.records.attempts(TaskId("a", 0))
    assert [each.outcome.exit_code for each in attempts] == [7, 0]
    assert attempts[0].outcome.tail == ("try 1",)
    assert record.status is Status.SUCCEEDED


async def test_a_cancelled_jobs_container_is_killed(stage: Stage) -> None:
    await stage.submit("sleep 100")
    while not (await stage.step()).counts.running:
        pass
    await submission.cancel(stage.records, await stage.job(), time.time)
    record = await stage.finish()
    (attempt,) = await stage.records.attempts(TaskId("a", 0))
    assert (record.status, attempt.outcome.exit_code) == (Status.CANCELLED, 137)
