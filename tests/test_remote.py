"""One task again on a machine of its own.

Emulated: the machine's programs `docker`, `shutdown`, `systemctl` by scripts that note how they were called, its
console by a file; EC2 by moto, and where time passes by a list of what it says.
"""

from __future__ import annotations

import email
import gzip
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from email.message import Message
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from controller.adapters.single import SingleInstances
from controller.cli.remote import run_remotely
from controller.remote import MAX_USER_DATA, Site, heard, site_for, user_data
from controller.reproduce import Again
from controller.simulation.clock import run
from runner.adapters.boto import BotoAws
from runner.array import Array
from runner.errors import BadInput, NotFound, Unavailable
from runner.instances import InstanceType
from runner.model import Attempt, Job, Kind, Limits, Outcome, Secret, TaskId
from runner.records import AttemptRecord
from runner.settings import Environment, FleetSettings, QueueSettings
from tests.asg.test_moto import REGION, make_group

SMALL = InstanceType("m7i.large", 2, 8 * 1024**3)
LARGE = InstanceType("m7i.4xlarge", 16, 64 * 1024**3)
HOSTILE = "a 'b' \"c\" $(touch /tmp/x) `id` \\ \n é"


def again(**job: object) -> Again:
    made = Job(id="job1", name="a", command=("work", HOSTILE), array=Array.of_size(5), image="busybox")
    made = replace(made, **job)  # type: ignore[arg-type]
    attempt = Attempt(TaskId("job1", 3), 2, 2, "h#1", 1024**3)
    return Again(made, attempt, made.image, {"RUNNER_TASK_INDEX": "3", "TEXT": HOSTILE})


def fleet() -> FleetSettings:
    environments = {"a": Environment("a", (SMALL,)), "b": Environment("b", (SMALL, LARGE))}
    queues = {"default": QueueSettings(environments=("a", "b")), "empty": QueueSettings()}
    return FleetSettings("f", REGION, "f", environments, queues)


def ended_on(machine_type: str, number: int = 2) -> AttemptRecord:
    outcome = Outcome(Kind.FAILED, machine_type=machine_type)
    return AttemptRecord(TaskId("job1", 3), 1, number, "h#1", 0.0, outcome)


def test_it_runs_on_the_type_that_is_recorded() -> None:
    site = site_for(fleet(), again(), [ended_on("m7i.large", number=1), ended_on("m7i.4xlarge")])
    assert (site.environment, site.kind, site.remarks) == ("b", LARGE, ())


@pytest.mark.parametrize("machine_type", ["", "x9.huge"])
def test_without_that_type_it_runs_on_its_queues_first_and_says_so(machine_type: str) -> None:
    site = site_for(fleet(), again(), [ended_on(machine_type)])
    assert (site.environment, site.kind) == ("a", SMALL)
    assert "it runs on m7i.large" in site.remarks[0]


def test_a_queue_that_has_no_environment_any_more_is_told() -> None:
    with pytest.raises(NotFound, match="no compute environment"):
        site_for(fleet(), again(queue="empty"), [])


def texts(message: Message) -> list[str]:
    found = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    return [text.decode() for text in found if isinstance(text, bytes)]


class Booted:
    """A machine that has run what it was told. `said`: its console; `called`: its programs, with their arguments."""

    def __init__(self, folder: Path, data: bytes, docker: str) -> None:
        self.message = email.message_from_bytes(gzip.decompress(data))
        programs, self._calls = folder / "bin", folder / "calls"
        programs.mkdir()
        for name, body in {"docker": docker, "shutdown": "", "systemctl": "", "sleep": ""}.items():
            program = programs / name
            program.write_text(f'#!/bin/bash\nprintf "%s\\0" {name} "$@" $\'\\n\' >> {self._calls}\n{body}\n')
            program.chmod(0o755)
        script = self.parts[1].replace("/dev/console", str(folder / "console"))
        script = script.replace("> " + str(folder / "console"), ">> " + str(folder / "console"))
        (folder / "script").write_text(script.replace("/run/runner-exit", str(folder / "exit")))
        path = f"{programs}:{os.environ['PATH']}"
        subprocess.run(["bash", folder / "script"], env={"PATH": path}, check=True, timeout=30)
        self.said = (folder / "console").read_text()

    @property
    def parts(self) -> list[str]:
        return texts(self.message)

    @property
    def called(self) -> list[list[str]]:
        return [call.split("\0")[:-1] for call in self._calls.read_text().split("\n\0") if call]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_the_machine_runs_the_very_command_and_tells_what_it_wrote(folder: Path) -> None:
    data = user_data(again(), SMALL)
    booted = Booted(folder, data, docker="echo one; echo two >&2; exit 3")
    news = heard(booted.said, 0)
    assert (news.lines, news.exit_status) == (("one", "two"), 3)


def test_hostile_text_reaches_the_program_as_it_is_and_no_shell(folder: Path) -> None:
    plain = HOSTILE.replace("\n", "")
    this = replace(again(command=("work", plain)), environment={"TEXT": plain})
    booted = Booted(folder, user_data(this, SMALL), docker="exit 0")
    docker = next(call for call in booted.called if call[0] == "docker")
    assert docker[-2:] == ["work", plain]
    assert f"TEXT={plain}" in docker


def test_it_ends_itself_whatever_happens(folder: Path) -> None:
    booted = Booted(folder, user_data(again(), SMALL), docker="exit 0")
    shutdowns = [call for call in booted.called if call[0] == "shutdown"]
    assert shutdowns == [["shutdown", "-P", "+1470"], ["shutdown", "-P", "now"]]


def test_a_time_limit_is_kept(folder: Path) -> None:
    data = user_data(again(limits=Limits(timeout=1, grace=1)), SMALL)
    booted = Booted(folder, data, docker="exec /bin/sleep 20")
    assert heard(booted.said, 0).exit_status == 124
    assert booted.called[0] == ["shutdown", "-P", "+30"]


def test_the_images_own_agent_is_kept_from_taking_work() -> None:
    message = email.message_from_bytes(gzip.decompress(user_data(again(), SMALL)))
    first = next(part for part in message.walk() if not part.is_multipart())
    assert first.get_content_type() == "text/cloud-boothook"
    assert "systemctl mask --runtime --now runner-agent.service" in texts(first)[0]


def test_it_may_use_what_the_machine_has() -> None:
    data = user_data(again(limits=Limits(vcpus=64)), LARGE)
    assert "--cpus 16 " in texts(email.message_from_bytes(gzip.decompress(data)))[1]


def test_a_task_with_secrets_stays_here() -> None:
    with pytest.raises(BadInput, match=r"secrets.*TOKEN"):
        user_data(again(secrets=(Secret("TOKEN", "env", "TOKEN"),)), SMALL)


def test_a_task_without_a_container_stays_here() -> None:
    with pytest.raises(BadInput, match="in no container"):
        user_data(again(image=None), SMALL)


def test_what_a_machine_cannot_be_told_is_refused() -> None:
    noise = os.urandom(MAX_USER_DATA).hex()
    with pytest.raises(BadInput, match="too large for a machine's boot"):
        user_data(again(command=("work", noise)), SMALL)


def test_only_what_is_new_is_heard() -> None:
    console = "[ 0.1] Linux\r\nrunner 1> a\r\nrunner 2> b\r\nlogin:\r\nrunner 3> \r\n"
    assert heard(console, 1).lines == ("b", "")


def test_lines_that_the_console_lost_are_counted() -> None:
    news = heard("runner 7> g\nrunner 9> i\n", 3)
    assert (news.lines, news.lost, news.last) == (("g", "i"), 4, 9)


def test_the_exit_status_is_heard_at_the_end() -> None:
    assert heard("runner 1> x\nrunner exit> 0\n", 1).exit_status == 0


def test_a_program_cannot_pretend_to_have_ended() -> None:
    assert heard("runner 1> runner exit> 0\n", 0).exit_status is None


class Scripted:
    """A machine whose console says so much at each look."""

    def __init__(self, *consoles: str, ends: bool = True) -> None:
        self._consoles = list(consoles)
        self._ends = ends
        self.ended_by_us = 0

    async def start(self, environment: str, instance_type: str, user_data: bytes, purpose: str) -> str:
        return "i-1"

    async def console(self, machine: str) -> str:
        return self._consoles.pop(0) if len(self._consoles) > 1 else self._consoles[0]

    async def ended(self, machine: str) -> bool:
        return self._ends and len(self._consoles) == 1

    async def end(self, machine: str) -> None:
        self.ended_by_us += 1


def followed(machines: Scripted) -> tuple[int, list[str]]:
    shown: list[str] = []
    status = run(run_remotely(machines, Site("a", SMALL), b"", "job1/3#2", shown.append))
    return status, shown


def test_output_is_shown_as_it_comes_and_the_status_is_the_programs() -> None:
    machines = Scripted("", "runner 1> a\n", "runner 1> a\nrunner 2> b\nrunner exit> 4\n")
    assert followed(machines) == (4, ["a", "b"])


def test_the_machine_is_ended_in_any_case() -> None:
    machines = Scripted("runner exit> 0\n")
    followed(machines)
    assert machines.ended_by_us == 1


def test_a_machine_that_ends_without_a_word_is_not_waited_for_for_ever() -> None:
    machines = Scripted("kernel panic")
    with pytest.raises(Unavailable, match="without saying how"):
        followed(machines)
    assert machines.ended_by_us == 1


@pytest.fixture
async def aws() -> AsyncIterator[BotoAws]:
    with mock_aws():
        made = BotoAws(REGION)
        yield made
        await made.close()


async def test_a_machine_is_made_as_its_environments_are_and_goes_when_told(aws: BotoAws) -> None:
    make_group("a")
    ec2 = boto3.client("ec2", REGION)
    machines = SingleInstances(aws, fleet())
    machine = await machines.start("a", "m5.xlarge", b"#!/bin/sh\n", "job1/3#2")
    (found,) = ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"]
    assert found["InstanceType"] == "m5.xlarge"
    assert {"Key": "runner:fleet", "Value": "f"} in found["Tags"]
    assert not await machines.ended(machine)
    await machines.end(machine)
    assert await machines.ended(machine)


async def test_an_environment_that_is_not_deployed_is_told(aws: BotoAws) -> None:
    with pytest.raises(Unavailable, match="no Auto Scaling group f-a"):
        await SingleInstances(aws, fleet()).start("a", "m5.xlarge", b"", "x")
