"""The shapes of S3, CloudWatch Logs, Secrets Manager and the Parameter Store, as boto3 and moto have them.

Everything else about these adapters is tested against simulated services, which can fail.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runner.adapters.aws_secrets import AwsSecrets
from runner.adapters.boto import BotoAws
from runner.adapters.cloudwatch.feed import CloudWatchFeed
from runner.adapters.cloudwatch.reading import CloudWatchReader
from runner.adapters.files import FileLogWriter
from runner.adapters.s3.logs import S3Logs
from runner.adapters.s3.manifests import S3Manifests
from runner.adapters.s3.objects import LARGEST_PUT, Bucket
from runner.adapters.s3.reading import S3LogReader
from runner.adapters.secrets import LocalSecrets
from runner.array import Array
from runner.aws import AwsError
from runner.errors import NotFound, StartError
from runner.model import Job, Secret
from tests.aws.emulators import REGION, emulated, moto
from tests.s3.attempts import LIMIT, OWNER, attempt, read, write

GROUP = "tasks"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
async def aws(endpoint: str) -> AsyncIterator[BotoAws]:
    made = emulated(endpoint)
    for service, operation, parameters in (
        ("s3", "create_bucket", {"Bucket": "bucket", "CreateBucketConfiguration": {"LocationConstraint": REGION}}),
        ("logs", "create_log_group", {"logGroupName": GROUP}),
    ):  # fmt: skip
        with suppress(AwsError):  # made by an earlier test
            await made.call(service, operation, **parameters)
    yield made
    await made.close()


def agent_logs(aws: BotoAws, folder: Path) -> S3Logs:
    return S3Logs(aws, "bucket", OWNER, folder, lambda path: FileLogWriter(path, LIMIT), time.time)


async def test_logs_of_tasks_come_back(aws: BotoAws, tmp_path: Path) -> None:
    logs = agent_logs(aws, tmp_path)
    writers = [write(logs, b"%d\n" % index, index) for index in range(20)]
    await logs.flush()
    reader = S3LogReader(aws, "bucket", time.time)
    assert [await read(reader, writer) for writer in writers] == [b"%d\n" % index for index in range(20)]


async def test_an_object_in_parts_comes_back(aws: BotoAws, tmp_path: Path) -> None:
    data = os.urandom(1024) * (LARGEST_PUT // 1024 + 1)
    (tmp_path / "large").write_bytes(data)
    bucket = Bucket(aws, "bucket")
    await bucket.put_file("logs/large", str(tmp_path / "large"))
    assert await bucket.get("logs/large") == data


async def test_what_is_not_there_is_seen(aws: BotoAws) -> None:
    bucket = Bucket(aws, "bucket")
    await bucket.put("logs/short", b"short")
    assert await bucket.get("logs/none", 0, 10) is None
    assert await bucket.get("logs/short", 5, 10) == b""
    assert await bucket.get("logs/short", 3, 10) == b"rt"


async def test_a_missing_bucket_is_named(aws: BotoAws) -> None:
    with pytest.raises(AwsError, match="s3:GetObject on nowhere failed: NoSuchBucket"):
        await Bucket(aws, "nowhere").get("logs/x")


async def test_items_come_back(aws: BotoAws) -> None:
    manifests = S3Manifests(aws, "bucket")
    name = await manifests.put(["a", "b\n", "ü"])
    assert [await manifests.get(name, index) for index in range(3)] == ["a", "b\n", "ü"]
    with pytest.raises(NotFound):
        await manifests.get("0" * 64, 0)


async def test_live_output_comes_back(aws: BotoAws, tmp_path: Path) -> None:
    feed = CloudWatchFeed(aws, GROUP, OWNER, time.time, after=0.0)
    (tmp_path / "spool").write_bytes(b"one\ntw\xffo\n")
    feed.begun(attempt(), str(tmp_path / "spool"))
    await feed.send()
    reader = CloudWatchReader(aws, GROUP)
    found = reader.read(attempt().task, 1, 2, OWNER, time.time() - 60)
    assert b"".join([data async for data in found]) == b"e\ntw\xffo\n"


async def test_a_stream_that_is_not_there_yet_shows_nothing(aws: BotoAws) -> None:
    found = CloudWatchReader(aws, GROUP).read(attempt().task, 1, 0, "another#1", time.time())
    assert [data async for data in found] == []


async def test_a_missing_log_group_is_named(aws: BotoAws) -> None:
    found = CloudWatchReader(aws, "nowhere").read(attempt().task, 1, 0, OWNER, time.time())
    with pytest.raises(AwsError, match="log group"):
        [data async for data in found]


async def test_secrets_come_back_by_arn(aws: BotoAws) -> None:
    made = await aws.call("secretsmanager", "create_secret", Name="db", SecretString='{"password": "hush"}')
    await aws.call("ssm", "put_parameter", Name="/team/key", Value="quiet", Type="SecureString")
    parameter = f"arn:aws:ssm:{REGION}:123456789012:parameter/team/key"
    references = (f"{made['ARN']}:password::", parameter)
    wanted = tuple(Secret(f"S{at}", "arn", reference) for at, reference in enumerate(references))
    job = Job("j", "j", ("true",), Array.of_size(1), secrets=wanted)
    assert await AwsSecrets(LocalSecrets({}), lambda _: aws).resolve(job) == {"S0": "hush", "S1": "quiet"}


@pytest.mark.parametrize(
    "reference",
    [
        f"arn:aws:secretsmanager:{REGION}:123456789012:secret:none-AbCdEf",
        f"arn:aws:ssm:{REGION}:123456789012:parameter/none",
    ],
)
async def test_a_missing_secret_is_named(aws: BotoAws, reference: str) -> None:
    job = Job("j", "j", ("true",), Array.of_size(1), secrets=(Secret("S", "arn", reference),))
    with pytest.raises(StartError, match="no such"):
        await AwsSecrets(LocalSecrets({}), lambda _: aws).resolve(job)


async def test_a_body_is_read_where_waiting_disturbs_nobody(aws: BotoAws) -> None:
    await aws.call("s3", "put_object", Bucket="bucket", Key="x", Body=b"body")
    reply = await asyncio.wait_for(aws.call("s3", "get_object", Bucket="bucket", Key="x"), 10)
    assert reply["Body"] == b"body"
