"""One task again on a machine of its own.

Emulated: the machine's programs `docker`, `shutdown`, `systemctl` by scripts that note how they were called, its
console by a file; EC2 by moto, and where time passes by a list of what it says.
"""

from __future__ import annotations

import asyncio
import email
import gzip
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from controller.adapters.single import FLEET_TAG, SingleInstances
from controller.cli.remote import run_remotely
from controller.deployment.machines import machines as installed
from controller.deployment.names import TAG, logical_id
from controller.remote import MAX_USER_DATA, Site, heard, site_for, user_data
from controller.reproduce import Again
from controller.simulation.clock import run
from controller.simulation.services.service import denied, refused, throttled, unreachable
from runner.adapters.boto import BotoAws
from runner.array import Array
from runner.aws import Reply
from runner.errors import BadInput, NotFound, Unavailable
from runner.instances import InstanceType
from runner.model import Attempt, Job, Kind, Limits, Mount, Outcome, Secret, TaskId
from runner.records import AttemptRecord
from runner.settings import Environment, FleetSettings, QueueSettings
from tests.asg.test_moto import REGION, make_group
from tests.deploy.sample import SITE, settings
from tests.deploy.sample import fleet as sample
from tests.deploy.scripted import Answer
from tests.deploy.scripted import Scripted as AwsScript

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
def test_without_that_type_it_runs_on_its_queues_smallest_and_says_so(machine_type: str) -> None:
    site = site_for(fleet(), again(), [ended_on(machine_type)])
    assert (site.environment, site.kind) == ("a", SMALL)
    assert "it runs on m7i.large" in site.remarks[0]


def test_before_that_it_runs_on_the_type_that_another_attempt_had() -> None:
    attempts = [ended_on("m7i.large", number=1), ended_on("m7i.4xlarge", number=2), ended_on("", number=3)]
    this = again()
    site = site_for(fleet(), replace(this, attempt=replace(this.attempt, number=3)), attempts)
    assert (site.kind, site.remarks[0]) == (
        LARGE,
        "which machine it had is not recorded: it runs on m7i.4xlarge, as another attempt did",
    )


def test_a_machine_that_nobody_recorded_holds_what_the_attempt_was_given() -> None:
    this = again()
    this = replace(this, attempt=replace(this.attempt, memory=8 * 1024**3))
    site = site_for(fleet(), this, [])
    assert (site.environment, site.kind) == ("b", LARGE)


def test_a_machine_that_nobody_recorded_has_the_vcpus_that_are_needed() -> None:
    assert site_for(fleet(), again(limits=Limits(vcpus=4)), []).kind == LARGE


def test_that_a_new_machine_lacks_what_is_mounted_is_told() -> None:
    this = again(mounts=(Mount("/data", "/in"),))
    site = site_for(fleet(), this, [ended_on("m7i.large")])
    assert site.remarks == ("a new machine may have nothing of what it mounts: /data",)


def test_a_queue_that_has_no_environment_any_more_is_told() -> None:
    with pytest.raises(NotFound, match="no compute environment"):
        site_for(fleet(), again(queue="empty"), [])


def texts(message: Message) -> list[str]:
    found = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    return [text.decode() for text in found if isinstance(text, bytes)]


class Booted:
    """A machine that has run what it was told. `said`: its console; `called`: its programs, with their arguments.

    `docker`: what the program does, `engine`: what any other `docker` command does. `stock`: it has what
    any machine has, and what it installs never comes.
    """

    def __init__(
        self, folder: Path, data: bytes, docker: str, engine: str = "", *, stock: bool = False
    ) -> None:
        self.message = email.message_from_bytes(gzip.decompress(data))
        programs, self._calls = folder / "bin", folder / "calls"
        programs.mkdir()
        program = f'if [ "$1" = run ]; then\n{docker}\nelse\n:\n{engine}\nfi'
        made = () if stock else ("dockerd", "docker-credential-ecr-login")
        for name in ("shutdown", "systemctl", "sleep", "apt-get", *made):
            self._install(programs / name)
        for name in ("awk", "bash", "cat", "mkdir", "timeout", "touch"):
            (programs / name).symlink_to(str(shutil.which(name)))
        self._install(programs / "docker", program)
        script = self.parts[1].replace("/dev/console", str(folder / "console"))
        script = script.replace("> " + str(folder / "console"), ">> " + str(folder / "console"))
        (folder / "script").write_text(script.replace("/run/", f"{folder}/"))
        environment = {"PATH": str(programs)}
        subprocess.run(
            ["bash", folder / "script"], env=environment, check=True, timeout=30, capture_output=True
        )
        self.said = (folder / "console").read_text()

    def _install(self, program: Path, body: str = "") -> None:
        call = f'printf "%s\\0" {program.name} "$@" $\'\\n\' >> {self._calls}'
        program.write_text(f"#!/bin/bash\n{call}\n{body}\n")
        program.chmod(0o755)

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
    docker = next(call for call in booted.called if call[:2] == ["docker", "run"])
    assert docker[-2:] == ["work", plain]
    assert f"TEXT={plain}" in docker


def test_a_stock_machine_gets_what_it_lacks_once_it_has_new_lists(folder: Path) -> None:
    booted = Booted(folder, user_data(again(), SMALL), docker="exit 0", stock=True)
    installing = [call[1:] for call in booted.called if call[0] == "apt-get"]
    assert installing == [
        ["update", "-qq"],
        ["install", "-y", "-qq", "docker.io", "iptables", "ca-certificates"],
        ["update", "-qq"],
        ["install", "-y", "-qq", "amazon-ecr-credential-helper"],
    ]


@pytest.mark.parametrize("broken", ["version", "pull", "image|pull"])
def test_a_machine_that_cannot_even_begin_says_so_and_goes(folder: Path, broken: str) -> None:
    engine = f"case $1 in {broken}|image) exit 1 ;; esac"
    booted = Booted(folder, user_data(again(), SMALL), docker="exit 0", engine=engine)
    news = heard(booted.said, 0)
    why = "it has no Docker engine that answers" if broken == "version" else "cannot pull busybox"
    assert (news.failure, news.exit_status, news.lines) == (why, None, ())
    assert booted.called[-1] == ["shutdown", "-P", "now"]


def test_an_image_that_is_not_there_is_pulled_in_the_end(folder: Path) -> None:
    seen = folder / "seen"
    engine = f'case "$1 $2" in "image inspect") [ -e {seen} ] ;; "pull --quiet") touch {seen} ;; esac'
    booted = Booted(folder, user_data(again(), SMALL), docker="exit 0", engine=engine)
    assert heard(booted.said, 0).exit_status == 0
    assert ["docker", "pull", "--quiet", "busybox"] in booted.called


def test_the_registries_of_the_account_are_asked_with_the_machines_own_role(folder: Path) -> None:
    show = 'cat "$DOCKER_CONFIG/config.json"'
    booted = Booted(folder, user_data(again(), SMALL), docker=show)
    assert heard(booted.said, 0).lines == ('{"credsStore": "ecr-login"}',)


@pytest.mark.parametrize(
    ("user", "scratch"), [("", "type=volume"), ("0:0", "type=volume"), ("app", "type=tmpfs")]
)
def test_scratch_space_can_be_written_by_whom_the_image_runs_as(
    folder: Path, user: str, scratch: str
) -> None:
    booted = Booted(folder, user_data(again(), SMALL), docker="exit 0", engine=f"echo {user}")
    docker = next(call for call in booted.called if call[:2] == ["docker", "run"])
    assert any(part.startswith(f"{scratch},target=/scratch") for part in docker)


def test_what_is_to_be_mounted_and_is_not_there_is_told(folder: Path) -> None:
    this = again(mounts=(Mount("/no such $(place)", "/in"),))
    booted = Booted(folder, user_data(this, SMALL), docker="exit 0")
    assert heard(booted.said, 0).failure == "this machine has no /no such $(place) to mount"


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


def test_why_a_program_was_not_started_is_heard() -> None:
    assert heard("runner failed> cannot pull x\r\n", 0).failure == "cannot pull x"


class Scripted:
    """A machine whose console says so much at each look. `starts_in`: how many seconds that takes."""

    def __init__(self, *consoles: str | Unavailable, ends: bool = True, starts_in: float = 0.0) -> None:
        self._consoles = list(consoles)
        self._ends = ends
        self._starts_in = starts_in
        self.cannot_end: list[Unavailable] = []
        self.ended_by_us = 0

    async def start(self, environment: str, instance_type: str, user_data: bytes, purpose: str) -> str:
        await asyncio.sleep(self._starts_in)
        return "i-1"

    async def console(self, machine: str) -> str:
        said = self._consoles.pop(0) if len(self._consoles) > 1 else self._consoles[0]
        if isinstance(said, Unavailable):
            raise said
        return said

    async def ended(self, machine: str) -> bool:
        return self._ends and len(self._consoles) == 1

    async def end(self, machine: str) -> None:
        if self.cannot_end:
            raise self.cannot_end.pop(0)
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


def test_a_program_that_was_not_started_has_no_exit_status() -> None:
    machines = Scripted("runner failed> cannot pull busybox\n")
    with pytest.raises(Unavailable, match="the program was not started: cannot pull busybox"):
        followed(machines)
    assert machines.ended_by_us == 1


@pytest.mark.parametrize("error", [unreachable(), throttled(), Unavailable("away")])
def test_a_look_that_fails_is_not_the_end_of_what_runs(error: Unavailable) -> None:
    machines = Scripted("runner 1> a\n", error, error, "runner 1> a\nrunner exit> 0\n")
    assert followed(machines) == (0, ["a"])


def test_rights_that_are_missing_are_told_at_once() -> None:
    machines = Scripted(denied(), "runner exit> 0\n")
    with pytest.raises(Unavailable, match="not authorized"):
        followed(machines)
    assert machines.ended_by_us == 1


def test_looks_that_fail_for_ever_are_given_up() -> None:
    with pytest.raises(Unavailable, match="no route"):
        followed(Scripted(unreachable()))


def test_a_machine_that_cannot_be_ended_yet_is_ended_later() -> None:
    machines = Scripted("runner exit> 5\n")
    machines.cannot_end = [refused("InvalidInstanceID.NotFound"), unreachable()]
    assert followed(machines)[0] == 5
    assert machines.ended_by_us == 1


def test_that_a_machine_cannot_be_ended_does_not_hide_how_it_went() -> None:
    machines = Scripted("kernel panic")
    machines.cannot_end = [unreachable() for _ in range(100)]
    with pytest.raises(Unavailable, match="without saying how"):
        followed(machines)


def test_one_that_is_given_up_while_it_starts_is_ended_too() -> None:
    async def scene() -> int:
        machines = Scripted("", starts_in=60)
        running = asyncio.create_task(run_remotely(machines, Site("a", SMALL), b"", "job1/3#2"))
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.wait((running,))
        assert running.cancelled()
        return machines.ended_by_us

    assert run(scene()) == 1


def deployed(**answers: Answer | list[Answer]) -> AwsScript:
    """What `deploy` makes, of a service that takes no subnet beside the network interfaces of a template."""
    made = installed(settings(), sample(), SITE)
    data = made[logical_id("Template", "spot")]["Properties"]["LaunchTemplateData"]
    group = {
        "LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "3"},
        "VPCZoneIdentifier": "subnet-1, subnet-2",
    }

    def run_instances(**given: Any) -> Reply:
        interfaces = given.get("NetworkInterfaces") or data.get("NetworkInterfaces")
        if "SubnetId" in given and interfaces:
            raise refused("InvalidParameterCombination")
        return {"Instances": [{"InstanceId": "i-1"}]}

    versions = {"LaunchTemplateVersions": [{"LaunchTemplateData": data}]}
    return AwsScript(
        {
            "describe_auto_scaling_groups": {"AutoScalingGroups": [group]},
            "describe_launch_template_versions": versions,
            "run_instances": run_instances,
            **answers,
        }
    )


async def test_a_machine_starts_from_the_template_that_is_deployed() -> None:
    script = deployed()
    assert await SingleInstances(script, fleet()).start("a", "m7i.large", b"", "x") == "i-1"
    (request,) = script.given("run_instances")
    (interface,) = request["NetworkInterfaces"]
    assert (interface["SubnetId"], interface["DeviceIndex"]) == ("subnet-1", 0)
    assert interface["AssociatePublicIpAddress"] is True
    assert interface["Groups"]


async def test_where_one_zone_has_no_such_machine_another_is_tried() -> None:
    script = deployed(
        run_instances=[refused("InsufficientInstanceCapacity"), {"Instances": [{"InstanceId": "i-2"}]}]
    )
    assert await SingleInstances(script, fleet()).start("a", "m7i.large", b"", "x") == "i-2"


async def test_a_machine_so_new_that_its_console_is_not_known_has_said_nothing() -> None:
    script = AwsScript({"get_console_output": refused("InvalidInstanceID.NotFound")})
    assert await SingleInstances(script, fleet()).console("i-1") == ""


def test_it_is_tagged_so_that_destroy_finds_it() -> None:
    assert FLEET_TAG == TAG


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
    assert {"Key": "runner-fleet", "Value": "f"} in found["Tags"]
    assert not await machines.ended(machine)
    await machines.end(machine)
    assert await machines.ended(machine)


async def test_an_environment_that_is_not_deployed_is_told(aws: BotoAws) -> None:
    with pytest.raises(Unavailable, match="no Auto Scaling group f-a"):
        await SingleInstances(aws, fleet()).start("a", "m5.xlarge", b"", "x")
