"""`doctor` as a person types it, against a moto server, which checks no permissions and simulates none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from controller.cli.main import cli
from tests.aws.emulators import moto

REGION = "us-east-1"
IMAGE = "ami-12c6146b"  # one of those that moto has
SETTINGS = """\
mode: fleet
fleet:
  name: f00
  region: us-east-1
  environments: {small: {instance_types: [m6i.large]}}
  deployment: {image: IMAGE, controller: t3.small}
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    folder = tmp_path_factory.mktemp("doctor")
    with moto() as endpoint:
        (folder / "runner.yaml").write_text(SETTINGS.replace("IMAGE", IMAGE))
        yield {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": REGION,
            "RUNNER_HOME": str(folder / "home"),
            "RUNNER_CONFIG": str(folder / "runner.yaml"),
        }


@pytest.fixture(scope="module")
def before(environment: Mapping[str, str]) -> Result:
    return CliRunner(env=environment).invoke(cli, ["doctor"])


@pytest.fixture(scope="module")
def after(environment: Mapping[str, str], before: Result) -> Mapping[str, str]:
    """What was found, by what was looked at."""
    person = CliRunner(env=environment)
    done = person.invoke(cli, ["deploy"])
    assert done.exit_code == 0, done.output
    told = person.invoke(cli, ["doctor", "--output", "json"])
    assert told.exception is None or isinstance(told.exception, SystemExit), told.exception
    return {each["id"]: each["status"] for each in json.loads(told.stdout)}


def test_before_a_deploy_it_says_what_to_do(before: Result) -> None:
    assert before.exit_code == 1
    assert "problem queue f00-default-2x8: is not in us-east-1" in before.output
    assert "→ run `runner-controller deploy`" in before.output


@pytest.mark.parametrize(
    "subject",
    [
        "credentials",
        "clock",
        "region",
        "stack f00",
        "stack f00-storage",
        "table f00",
        "bucket f00-123456789012-us-east-1",
        "queue f00-default-2x8",
        "queue f00-dead-letters",
        "group f00-small",
        "group f00.controller",
    ],
)
def test_it_finds_what_was_deployed(after: Mapping[str, str], subject: str) -> None:
    assert after[subject] == "ok"


def test_what_cannot_be_asked_is_no_problem(after: Mapping[str, str]) -> None:
    assert [subject for subject, status in after.items() if status == "problem"] == []
    assert after["permissions"] == "unknown"


def test_without_credentials_there_is_one_thing_to_say(tmp_path: Path) -> None:
    environment = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "RUNNER_HOME": str(tmp_path),
    }
    (tmp_path / "runner.yaml").write_text(SETTINGS.replace("IMAGE", "ami-0123456789abcdef0"))
    config = ["--config", str(tmp_path / "runner.yaml")]
    done = CliRunner(env=environment).invoke(cli, [*config, "doctor", "--output", "quiet"])
    assert (done.exit_code, done.stdout) == (1, "credentials\n")
