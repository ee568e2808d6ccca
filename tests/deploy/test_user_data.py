"""What a machine is told when it first starts. That it then works was tried by `ami/try.sh`, not here."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from controller.deployment.user_data import agent_data, controller_data, provisioning
from runner.settings import AgentSettings, Deployment
from tests.deploy.sample import SITE, fleet, settings

SCRIPT = Path(__file__).parent.parent.parent / "ami" / "provision.sh"


def variables(data: str) -> dict[str, str]:
    """As the shell that runs it sees them."""
    exports = "".join(line + "\n" for line in data.splitlines() if line.startswith("export "))
    done = subprocess.run(
        ["bash", "-c", exports + "env -0"], env={}, capture_output=True, text=True, check=True
    )
    return dict(each.split("=", 1) for each in done.stdout.split("\0") if each)


def test_an_agent_is_told_what_it_is_part_of() -> None:
    told = variables(agent_data(settings(), fleet(), SITE, "spot"))
    assert (told["RUNNER_PART"], told["RUNNER_ENVIRONMENT"]) == ("agent", "spot")
    assert told["RUNNER_BUNDLE"] == "s3://shards-123456789012-us-east-1/deploy/0123456789abcdef"


def test_a_controller_is_told_what_it_is() -> None:
    assert variables(controller_data(fleet(), SITE))["RUNNER_PART"] == "controller"


def test_an_agent_may_drain_before_it_is_killed() -> None:
    slow = replace(settings(), agent=AgentSettings(drain=600.0))
    assert variables(agent_data(slow, fleet(), SITE, "spot"))["RUNNER_STOP"] == "660"


def test_what_is_told_cannot_become_a_command() -> None:
    hostile = replace(fleet(), deployment=Deployment(pull=("a'; touch /tmp/x; '", "$(reboot)")))
    told = variables(agent_data(settings(), hostile, SITE, "spot"))
    assert told["RUNNER_PULL"] == "a'; touch /tmp/x; ' $(reboot)"


def test_the_script_packer_runs_is_the_same() -> None:
    assert SCRIPT.read_text() == provisioning()


def test_the_script_is_bash() -> None:
    done = subprocess.run(["bash", "-n", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("packer") is None, reason="Packer is not installed")
def test_packer_takes_the_template() -> None:
    variables = ["region=us-east-1", "bundle=s3://b/deploy/x", "profile=p"]
    given = [part for each in variables for part in ("-var", each)]
    template = SCRIPT.parent / "runner.pkr.hcl"
    done = subprocess.run(["packer", "validate", *given, template], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
