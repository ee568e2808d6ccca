"""How long calls wait, and what their errors say.

Emulated: for the former the session, which hands out clients that answer at once. For the latter nothing, but that no
call leaves this machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from runner.adapters.boto import BotoAws
from runner.aws import AwsError, Trouble


class AnsweringSession:
    """Keeps the settings of the clients it made, in order."""

    def __init__(self) -> None:
        self.made: list[Config] = []

    def client(self, *_: Any, config: Config, **__: Any) -> Any:
        self.made.append(config)
        return Answering()


class Answering:
    def list_tables(self) -> dict[str, Any]:
        return {}

    def terminate_instance_in_auto_scaling_group(self) -> dict[str, Any]:
        return {}

    def close(self) -> None: ...


async def made_for(operation: str = "list_tables", *, urgent: bool) -> Any:
    session = AnsweringSession()
    aws = BotoAws(session=session)
    await aws.call("any", operation, urgent=urgent)
    await aws.close()
    (config,) = session.made
    return config


async def test_a_call_waits_for_longer_than_the_longest_poll_of_a_queue() -> None:
    assert (await made_for(urgent=False)).read_timeout > 20.0


async def test_an_urgent_call_gives_up_within_half_a_lease_of_thirty_seconds() -> None:
    config = await made_for(urgent=True)
    assert config.read_timeout * config.retries["total_max_attempts"] <= 15.0


async def test_what_must_not_happen_twice_is_asked_for_once_however_urgent() -> None:
    for urgent in (False, True):
        config = await made_for("terminate_instance_in_auto_scaling_group", urgent=urgent)
        assert config.retries["total_max_attempts"] == 1


async def test_an_urgent_call_does_not_change_how_long_others_wait() -> None:
    session = AnsweringSession()
    aws = BotoAws(session=session)
    for urgent in (True, False, True):
        await aws.call("any", "list_tables", urgent=urgent)
    await aws.close()
    first, second = (config.read_timeout for config in session.made)
    assert first < second


class Refusing(AnsweringSession):
    """Every call is answered with that error."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__()
        self.error = ClientError(
            {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}},
            "ListTables",
        )

    def client(self, *_: Any, **__: Any) -> Any:
        return self

    def list_tables(self) -> None:
        raise self.error

    def close(self) -> None: ...


@pytest.mark.parametrize(
    "code",
    [
        "InvalidSignatureException",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SubscriptionRequiredException",
    ],
)
async def test_where_account_clock_or_key_is_at_fault_the_request_is_not(code: str) -> None:
    aws = BotoAws(session=Refusing(code, 403))
    with pytest.raises(AwsError) as error:
        await aws.call("any", "list_tables")
    await aws.close()
    assert error.value.trouble is Trouble.DENIED


class Wrong(NamedTuple):
    """What is wrong with the installation: environment and configuration file; what that means, and what is advised."""

    environment: dict[str, str]
    trouble: Trouble
    advice: str
    config: str = ""


KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
SSO = """[profile here]
sso_start_url = https://a.invalid/start
sso_region = us-east-1
sso_account_id = 123456789012
sso_role_name = role
"""
WRONG = {
    "no such profile": Wrong({"AWS_PROFILE": "nope"}, Trouble.DENIED, "AWS_PROFILE"),
    "a broken configuration file": Wrong({}, Trouble.DENIED, "AWS_CONFIG_FILE", "[profile\nx"),
    "no credentials": Wrong({}, Trouble.DENIED, "check the credentials"),
    "half of the credentials": Wrong({"AWS_ACCESS_KEY_ID": "key"}, Trouble.DENIED, "check the credentials"),
    "no login": Wrong({"AWS_PROFILE": "here"}, Trouble.DENIED, "aws sso login", SSO),
    "a login without its session": Wrong(
        {"AWS_PROFILE": "here"},
        Trouble.DENIED,
        "AWS_CONFIG_FILE",
        "[profile here]\nsso_session = gone\n" + SSO[15:],
    ),
    "a login that cannot be had": Wrong(
        {"AWS_PROFILE": "here"},
        Trouble.DENIED,
        "aws sso login",
        "[profile here]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n"
        "[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://a.invalid\n",
    ),
    "a program for credentials that fails": Wrong(
        {"AWS_PROFILE": "here"},
        Trouble.DENIED,
        "credential_process",
        "[profile here]\ncredential_process = false\n",
    ),
    "a program for credentials that is not there": Wrong(
        {"AWS_PROFILE": "here"},
        Trouble.DENIED,
        "credential_process",
        "[profile here]\ncredential_process = /no/such\n",
    ),
    "a program for credentials that talks nonsense": Wrong(
        {"AWS_PROFILE": "here"},
        Trouble.DENIED,
        "credential_process",
        "[profile here]\ncredential_process = echo hi\n",
    ),
    "a profile that leads to itself": Wrong(
        {"AWS_PROFILE": "here"},
        Trouble.DENIED,
        "AWS_CONFIG_FILE",
        "[profile here]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = there\n"
        "[profile there]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = here\n",
    ),
    "an endpoint without its scheme": Wrong(
        {**KEYS, "AWS_ENDPOINT_URL": "localhost:5000"}, Trouble.REFUSED, "AWS_ENDPOINT_URL"
    ),
    "an endpoint that is no address": Wrong(
        {**KEYS, "AWS_ENDPOINT_URL": "http://[::1:5000"}, Trouble.REFUSED, "AWS_ENDPOINT_URL"
    ),
    "an endpoint where nobody answers": Wrong(
        {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, Trouble.UNREACHABLE, "AWS_ENDPOINT_URL"
    ),
    "an impossible region": Wrong({**KEYS, "AWS_DEFAULT_REGION": "us east"}, Trouble.REFUSED, "region"),
    "no region": Wrong({**KEYS, "AWS_DEFAULT_REGION": ""}, Trouble.REFUSED, "region"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_whatever_is_wrong_with_profile_login_or_endpoint_is_an_error_that_names_the_next_step(
    wrong: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "config"
    config.write_text(wrong.config)
    given = {
        "HOME": str(tmp_path),  # where tokens of logins are
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
        **wrong.environment,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    error = await error_of("list_tables")
    assert error.trouble is wrong.trouble, str(error)
    assert str(error).startswith("dynamodb:ListTables failed: ")
    assert wrong.advice in str(error).rpartition("; ")[2]


async def error_of(operation: str, **parameters: Any) -> AwsError:
    aws = BotoAws()
    with pytest.raises(AwsError) as raised:
        await aws.call("dynamodb", operation, **parameters)
    await aws.close()
    return raised.value


async def test_a_request_that_is_not_well_formed_is_refused_and_not_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {**KEYS, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    assert (await error_of("get_item", TableName="t", Kye={})).trouble is Trouble.REFUSED


async def test_what_is_wrong_with_the_configuration_can_be_mended_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    for name, value in {**KEYS, "AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "late"}.items():
        monkeypatch.setenv(name, value)
    aws = BotoAws("us-east-1", endpoint="http://127.0.0.1:9")
    troubles = []
    for text in ("", "[profile late]\n"):
        config.write_text(text)
        with pytest.raises(AwsError) as raised:
            await aws.call("dynamodb", "list_tables", urgent=True)
        troubles.append(raised.value.trouble)
    await aws.close()
    assert troubles == [Trouble.DENIED, Trouble.UNREACHABLE]
