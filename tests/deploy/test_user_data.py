"""What a machine is told when it first starts. That it then works was tried by `ami/try.sh`, not here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from controller.deployment.user_data import agent_data, controller_data, provisioning
from runner.errors import BadInput
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


def test_the_watchdog_outlives_its_agent() -> None:
    (unit,) = re.findall(r"runner-agent\.service <<UNIT\n(.*?)\nUNIT\n", provisioning(), re.DOTALL)
    assert "KillMode=process" in unit.splitlines()


class FailedAgent:
    """What systemd runs around an agent that fails, in a directory instead of `/run` and the console."""

    def __init__(self, folder: Path) -> None:
        (script,) = re.findall(r"runner-agent-ended <<'SCRIPT'\n(.*?)\nSCRIPT\n", provisioning(), re.DOTALL)
        self.console = folder / "console"
        self.pause = folder / "runner-agent.pause"
        self._folder = folder
        self._script = script.replace("/dev/console", str(self.console)).replace("/run/", f"{folder}/")
        for name, does in (("journalctl", 'echo "said: $*"'), ("sleep", f'echo "$1" >>{folder}/slept')):
            (folder / name).write_text(f"#!/bin/sh\n{does}\n")
            (folder / name).chmod(0o755)

    def systemd(self, *arguments: str, result: str = "exit-code") -> None:
        environment = {
            "PATH": f"{self._folder}:/usr/bin:/bin",
            "SERVICE_RESULT": result,
            "EXIT_CODE": "exited",
            "EXIT_STATUS": "4",
        }
        subprocess.run(["sh", "-c", self._script, "ended", *arguments], env=environment, check=True)

    def fails(self, times: int) -> list[str]:
        """How long it then waited before each start, in seconds."""
        for _ in range(times):
            self.systemd("ended")
            self.systemd("starting")
        slept = self._folder / "slept"
        return slept.read_text().split() if slept.exists() else []


@pytest.fixture
def agent(tmp_path: Path) -> FailedAgent:
    return FailedAgent(tmp_path)


def test_an_agent_that_fails_says_why_on_the_machines_console(agent: FailedAgent) -> None:
    agent.systemd("ended")
    told = agent.console.read_text()
    assert told.startswith("runner: the agent failed (exit-code, exited 4); it said last:\n")
    assert "said: --unit=runner-agent" in told


def test_an_agent_that_gave_its_machine_back_says_nothing_and_nothing_waits(agent: FailedAgent) -> None:
    agent.systemd("ended", result="success")
    agent.systemd("starting")
    assert not agent.console.exists()
    assert agent.fails(0) == []


def test_each_failure_in_a_row_makes_the_pause_longer_up_to_some_minutes(agent: FailedAgent) -> None:
    assert agent.fails(7) == ["10", "20", "40", "80", "160", "160", "160"]


def test_an_agent_that_did_well_for_a_while_begins_with_a_short_pause_again(agent: FailedAgent) -> None:
    agent.fails(3)
    earlier = time.time() - 3600
    os.utime(agent.pause, (earlier, earlier))
    assert agent.fails(1)[-1] == "10"


def test_who_starts_a_failed_agent_by_hand_later_need_not_wait(agent: FailedAgent) -> None:
    agent.fails(3)
    earlier = time.time() - 3600
    os.utime(agent.pause, (earlier, earlier))
    agent.systemd("starting")
    assert len(agent.fails(0)) == 3


def test_systemd_is_told_to_do_so(agent: FailedAgent) -> None:
    (unit,) = re.findall(r"runner-agent\.service <<UNIT\n(.*?)\nUNIT\n", provisioning(), re.DOTALL)
    assert "ExecStartPre=-/usr/local/sbin/runner-agent-ended starting" in unit.splitlines()
    assert "ExecStopPost=-/usr/local/sbin/runner-agent-ended ended" in unit.splitlines()


def test_what_is_told_cannot_become_a_command() -> None:
    hostile = replace(fleet(), deployment=Deployment(pull=("a'; touch /tmp/x; '", "$(reboot)")))
    told = variables(agent_data(settings(), hostile, SITE, "spot"))
    assert told["RUNNER_PULL"] == "a'; touch /tmp/x; ' $(reboot)"


def test_more_images_than_a_machine_can_be_told_of_are_refused_with_the_way_out() -> None:
    registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    pull = tuple(f"{registry}/genomics/aligner-{number:02}@sha256:{'0' * 64}" for number in range(50))
    crowded = replace(fleet(), deployment=Deployment(pull=pull))
    with pytest.raises(BadInput, match=r"fleet\.deployment\.pull: .* takes 16,384: name fewer images"):
        agent_data(settings(), crowded, SITE, "spot")


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
