"""Secrets by ARN, from simulated services."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from controller.simulation.clock import run
from controller.simulation.services.secrets import SimulatedSecrets
from controller.simulation.services.service import denied, refused, throttled
from runner.adapters.aws_secrets import KEPT, AwsSecrets
from runner.adapters.secrets import LocalSecrets
from runner.array import Array
from runner.aws import AwsError, Trouble
from runner.errors import EngineUnavailable, StartError
from runner.model import Job, Secret
from runner.secret_arn import SecretArn, parse_secret_arn

SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/db-AbCdEf"
CHINESE = SECRET.replace("arn:aws:", "arn:aws-cn:")
PARAMETER = "arn:aws:ssm:eu-west-1:111122223333:parameter/team/db"


class Closing(SimulatedSecrets):
    closed = 0

    async def close(self) -> None:
        self.closed += 1


def job(*references: str) -> Job:
    wanted = tuple(Secret(f"S{number}", "arn", reference) for number, reference in enumerate(references))
    return Job("j", "j", ("true",), Array.of_size(1), secrets=wanted)


def store(aws: SimulatedSecrets) -> AwsSecrets:
    return AwsSecrets(LocalSecrets({"HOST": "here"}), lambda region: aws)


async def value(reference: str, **values: str | bytes) -> str:
    known = {SECRET: values.get("secret"), PARAMETER: values.get("parameter")}
    aws = SimulatedSecrets({name: found for name, found in known.items() if found is not None})
    return (await store(aws).resolve(job(reference)))["S0"]


async def refusal(aws: SimulatedSecrets, reference: str = SECRET) -> str:
    with pytest.raises(StartError) as error:
        await store(aws).resolve(job(reference))
    assert str(error.value).startswith(f"secret 'S0' from arn {reference!r}: ")
    return str(error.value)


async def test_a_secret_comes_from_secrets_manager() -> None:
    assert await value(SECRET, secret="hush") == "hush"


async def test_a_secret_comes_from_the_parameter_store() -> None:
    assert await value(PARAMETER, parameter="hush") == "hush"


async def test_a_secret_of_bytes_is_text_in_utf_8() -> None:
    assert await value(SECRET, secret="hüsh".encode()) == "hüsh"


@pytest.mark.parametrize(("key", "found"), [("user", "me"), ("port", "5432"), ("empty", "")])
async def test_a_key_names_one_value_of_a_json_object(key: str, found: str) -> None:
    content = '{"user": "me", "port": 5432, "empty": ""}'
    assert await value(f"{SECRET}:{key}::", secret=content) == found


async def test_a_stage_or_version_may_be_asked_for() -> None:
    aws = SimulatedSecrets({f"{SECRET} AWSPREVIOUS": "old", f"{SECRET} v-1": "first", SECRET: "new"})
    found = await store(aws).resolve(job(f"{SECRET}::AWSPREVIOUS:", f"{SECRET}:::v-1", SECRET))
    assert found == {"S0": "old", "S1": "first", "S2": "new"}


async def test_secrets_of_the_host_are_still_read_there() -> None:
    both = Job(
        "j",
        "j",
        ("true",),
        Array.of_size(1),
        secrets=(Secret("A", "env", "HOST"), Secret("B", "arn", SECRET)),
    )
    assert await store(SimulatedSecrets({SECRET: "far"})).resolve(both) == {"A": "here", "B": "far"}


async def test_a_job_without_secrets_asks_nobody() -> None:
    aws = SimulatedSecrets({})
    assert (await store(aws).resolve(job()), aws.calls) == ({}, [])


async def test_each_region_is_connected_to_once() -> None:
    regions: list[str] = []
    other = SECRET.replace("eu-west-1", "us-east-1")
    aws = SimulatedSecrets({SECRET: "a", other: "b"})

    def connect(region: str) -> SimulatedSecrets:
        regions.append(region)
        return aws

    secrets = AwsSecrets(LocalSecrets({}), connect)
    await secrets.resolve(job(SECRET, other))
    await secrets.resolve(job(SECRET, other))
    assert regions == ["eu-west-1", "us-east-1"]


async def test_what_was_connected_to_is_closed_and_what_was_there_before_is_not() -> None:
    here, there = Closing({SECRET: "a"}), Closing({SECRET.replace("eu-west-1", "us-east-1"): "b"})
    secrets = AwsSecrets(LocalSecrets({}), lambda _: there, {"eu-west-1": here})
    found = await secrets.resolve(job(SECRET, SECRET.replace("eu-west-1", "us-east-1")))
    await secrets.close()
    assert found == {"S0": "a", "S1": "b"}
    assert (here.closed, there.closed) == (0, 1)


async def test_tasks_that_begin_together_ask_once() -> None:
    aws = SimulatedSecrets({SECRET: '{"a": "1", "b": "2"}'})
    secrets = store(aws)
    await asyncio.gather(*(secrets.resolve(job(f"{SECRET}:a::", f"{SECRET}:b::")) for _ in range(16)))
    assert len(aws.calls) == 1


def test_a_new_value_is_seen_after_a_minute() -> None:
    async def main() -> list[str]:
        aws = SimulatedSecrets({SECRET: "old"})
        secrets = store(aws)
        found = []
        for pause in (KEPT - 1, 2, 0):
            found.append((await secrets.resolve(job(SECRET)))["S0"])
            aws.values[SECRET] = "new"
            await asyncio.sleep(pause)
        return found

    assert run(main()) == ["old", "old", "new"]


async def test_what_may_not_be_read_says_so_and_what_to_do() -> None:
    aws = SimulatedSecrets({})
    aws.down = denied()
    told = await refusal(aws)
    assert "the host's role may not read it" in told
    assert "runner-controller doctor" in told


async def test_what_is_not_there_says_so() -> None:
    assert "no such secret" in await refusal(SimulatedSecrets({}))
    assert "no such parameter" in await refusal(SimulatedSecrets({}), PARAMETER)


@pytest.mark.parametrize(
    "error",
    [
        throttled(),
        refused("InternalServiceError", "", Trouble.SERVER),
        refused("ExpiredTokenException", "", Trouble.DENIED),
    ],
)
async def test_what_may_pass_is_worth_another_try(error: AwsError) -> None:
    aws = SimulatedSecrets({SECRET: "hush"})
    aws.down = error
    with pytest.raises(EngineUnavailable, match="secret 'S0' from arn"):
        await store(aws).resolve(job(SECRET))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("hunter2", "it is not JSON"),
        ('["hunter2"]', "no key 'k'"),
        ('{"other": "hunter2"}', "no key 'k'"),
        ('{"k": {"x": "hunter2"}}', "with a text or a number"),
        ('{"k": true}', "with a text or a number"),
        ('{"k": "hunter2\\u0000"}', "holds a NUL"),
        ('{"k": "' + "hunter2" * 10_000 + '"}', "larger than"),
        (b"hunter2\xff", "not text in UTF-8"),
    ],
)
async def test_a_value_that_cannot_be_used_is_not_repeated(content: str | bytes, problem: str) -> None:
    with pytest.raises(StartError) as error:
        await value(f"{SECRET}:k::", secret=content)
    assert problem in str(error.value)
    assert (
        "hunter2" not in "".join(traceback.format_exception(error.value, chain=True)).split("Error: ", 1)[-1]
    )


async def test_what_is_no_arn_is_refused() -> None:
    assert "must be the ARN" in await refusal(SimulatedSecrets({}), "arn:aws:s3:::bucket")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (SECRET, SecretArn("secretsmanager", "eu-west-1", SECRET)),
        (f"{SECRET}:k::", SecretArn("secretsmanager", "eu-west-1", SECRET, key="k")),
        (f"{SECRET}:k:S:v", SecretArn("secretsmanager", "eu-west-1", SECRET, "S", "v", "k")),
        (PARAMETER, SecretArn("ssm", "eu-west-1", PARAMETER)),
        (f"{PARAMETER}:3", SecretArn("ssm", "eu-west-1", f"{PARAMETER}:3")),
        (CHINESE, SecretArn("secretsmanager", "eu-west-1", CHINESE)),
        ("", None),
        (f"{SECRET}:k", None),
        (f"{SECRET}:k:::", None),
        (f"{SECRET}\n", None),
        ("arn:aws:ssm:eu-west-1:111122223333:document/x", None),
        ("arn:aws:ssm:eu-west-1:1:parameter/x", None),
    ],
)  # fmt: skip
def test_an_arn_is_read_as_amazon_ecs_reads_it(text: str, found: SecretArn | None) -> None:
    assert parse_secret_arn(text) == found
