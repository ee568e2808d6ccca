"""AWS on one machine: emulated services, and real agent processes in place of EC2 instances.

moto emulates Auto Scaling, EC2 and STS, ministack SQS, DynamoDB and S3. Neither starts machines, so this does: it
watches the emulated groups, and for each instance of theirs runs one agent, with an instance metadata service of its
own. As on EC2 a machine takes a while to boot, an agent that dies is started again by its machine, and one whose
machine is terminated is gone at once. Not emulated: throttling, permissions, capacity, lifecycle hooks, any price.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from boto3.session import Session

from runner.routing import Routes
from runner.settings import FleetSettings, Settings
from tests.aws.emulators import REGION, ministack, moto

LOOK = 0.5
RESTART = 2.0
MINISTACK = ("sqs", "dynamodb", "s3")
IMAGE = "ami-12c6146b"  # one that moto knows


@dataclass
class Machine:
    """One instance. `agent` None: it boots, or its agent is about to be started again."""

    instance: str
    environment: str
    kind: str
    starts_at: float
    agent: subprocess.Popen[bytes] | None = None
    notice: str = ""
    ends_at: float | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class Cloud:
    """`boot`: seconds from an instance's launch to its agent's start. Everything lies under `folder`."""

    def __init__(self, folder: Path, endpoints: dict[str, str], boot: float) -> None:
        self.folder = folder
        self.machines: dict[str, Machine] = {}
        self.launched = 0
        self._boot = boot
        self._endpoints = endpoints
        self._session = Session("test", "test", region_name=REGION)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._metadata = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._threads = [
            threading.Thread(target=self._metadata.serve_forever, daemon=True),
            threading.Thread(target=self._watch, daemon=True),
        ]

    @property
    def environment(self) -> dict[str, str]:
        """What makes a command of ours use this cloud."""
        return {
            **os.environ,
            **self._endpoints,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "RUNNER_CONFIG": str(self.folder / "runner.yaml"),
            "RUNNER_HOME": str(self.folder / "controller"),
        }

    def client(self, service: str) -> Any:
        endpoint = self._endpoints.get(
            f"AWS_ENDPOINT_URL_{service.upper()}", self._endpoints["AWS_ENDPOINT_URL"]
        )
        return self._session.client(service, endpoint_url=endpoint)

    def create(self, settings: Settings) -> None:
        """Everything that `deploy` makes which the emulators have a use for."""
        fleet = settings.fleet
        assert fleet is not None
        self.client("dynamodb").create_table(
            TableName=fleet.table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        )
        assert fleet.bucket is not None
        self.client("s3").create_bucket(
            Bucket=fleet.bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        sqs = self.client("sqs")
        for name in (fleet.dead_letters, *map(fleet.queue_name, Routes.of(settings).channels)):
            sqs.create_queue(QueueName=name)
        self._create_groups(fleet)

    def _create_groups(self, fleet: FleetSettings) -> None:
        ec2, groups = self.client("ec2"), self.client("autoscaling")
        zone = ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
        for environment in fleet.environments.values():
            group = fleet.group(environment.name)
            ec2.create_launch_template(
                LaunchTemplateName=group,
                LaunchTemplateData={
                    "ImageId": IMAGE,
                    "InstanceType": environment.instance_types[0].name,
                },
            )
            groups.create_auto_scaling_group(
                AutoScalingGroupName=group,
                MinSize=environment.minimum,
                MaxSize=environment.maximum,
                DesiredCapacity=environment.minimum,
                LaunchTemplate={"LaunchTemplateName": group},
                AvailabilityZones=[zone],
                NewInstancesProtectedFromScaleIn=True,
                Tags=[{"Key": "environment", "Value": environment.name, "PropagateAtLaunch": False}],
            )

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._over.set()
        self._threads[1].join()
        self._metadata.shutdown()
        for machine in list(self.machines.values()):
            self._end(machine)

    # What can happen to a machine

    def kill(self, instance: str) -> None:
        """The agent is killed; its machine starts it again."""
        self._signal(instance, signal.SIGKILL)

    def freeze(self, instance: str) -> None:
        self._signal(instance, signal.SIGSTOP)

    def thaw(self, instance: str) -> None:
        self._signal(instance, signal.SIGCONT)

    def interrupt(self, instance: str, seconds: float) -> None:
        """AWS wants a spot machine back in so many seconds; there are 120 in real life."""
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        notice = json.dumps({"action": "terminate", "time": at.strftime("%Y-%m-%dT%H:%M:%SZ")})
        with self._lock:
            machine = self.machines[instance]
            machine.metadata["spot/instance-action"] = notice
            machine.ends_at = time.monotonic() + seconds

    @property
    def running(self) -> list[str]:
        """Instances whose agents run."""
        with self._lock:
            return [machine.instance for machine in self.machines.values() if _alive(machine)]

    def _signal(self, instance: str, number: signal.Signals) -> None:
        with self._lock:
            agent = self.machines[instance].agent
            assert agent is not None
            agent.send_signal(number)

    def _watch(self) -> None:
        while not self._over.wait(LOOK):
            with contextlib.suppress(ConnectionError):
                self._look()

    def _look(self) -> None:
        wanted = self._instances()
        now = time.monotonic()
        with self._lock:
            for instance, machine in list(self.machines.items()):
                if instance not in wanted:
                    self._end(machine)
                    del self.machines[instance]
            for instance, (environment, kind) in wanted.items():
                if instance not in self.machines:
                    self.launched += 1
                    self.machines[instance] = Machine(instance, environment, kind, now + self._boot)
            for machine in self.machines.values():
                self._tend(machine, now)

    def _tend(self, machine: Machine, now: float) -> None:
        if machine.ends_at is not None and now >= machine.ends_at:
            self._end(machine)
            self.client("ec2").terminate_instances(InstanceIds=[machine.instance])
            self.client("autoscaling").set_instance_health(
                InstanceId=machine.instance, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
            )
            machine.starts_at = float("inf")
        elif machine.agent is None and now >= machine.starts_at:
            machine.agent = self._boot_agent(machine)
        elif machine.agent is not None and machine.agent.poll() is not None:
            machine.agent, machine.starts_at = None, now + RESTART

    def _instances(self) -> dict[str, tuple[str, str]]:
        """Environment and type of each instance in service."""
        found = {}
        for group in self.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]:
            environment = next(tag["Value"] for tag in group["Tags"] if tag["Key"] == "environment")
            for each in group["Instances"]:
                if each["LifecycleState"] == "InService" and each["HealthStatus"] == "Healthy":
                    found[each["InstanceId"]] = environment, each.get("InstanceType", "m6i.large")
        return found

    def _boot_agent(self, machine: Machine) -> subprocess.Popen[bytes]:
        home = self.folder / "instances" / machine.instance
        home.mkdir(parents=True, exist_ok=True)
        port = self._metadata.server_address[1]
        environment = {
            **self.environment,
            "RUNNER_HOME": str(home),
            "RUNNER_ENVIRONMENT": machine.environment,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{port}/{machine.instance}",
        }
        with (home / "agent.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "runner.cli.agent"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, machine: Machine) -> None:
        """As when a machine is gone: the agent and its watchdog with it. Its containers are the watchdog's, on a real
        one they would be gone as well."""
        if machine.agent is not None and machine.agent.poll() is None:
            machine.agent.send_signal(signal.SIGCONT)
            machine.agent.kill()
            machine.agent.wait()

    def answer(self, instance: str, path: str) -> str | None:
        """What the instance's metadata service says."""
        with self._lock:
            machine = self.machines.get(instance)
            if machine is None:
                return None
            fixed = {
                "instance-id": machine.instance,
                "instance-type": machine.kind,
                "autoscaling/target-lifecycle-state": "InService",
            }
            return {**fixed, **machine.metadata}.get(path)


def _alive(machine: Machine) -> bool:
    return machine.agent is not None and machine.agent.poll() is None


def _handler(cloud: Cloud) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._reply("token" if self.path.endswith("/latest/api/token") else None)

        def do_GET(self) -> None:
            instance, _, path = self.path.lstrip("/").partition("/latest/meta-data/")
            self._reply(cloud.answer(instance, path))

        def _reply(self, text: str | None) -> None:
            body = (text or "").encode()
            self.send_response(404 if text is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Nobody reads it."""

    return Handler


@contextlib.contextmanager
def emulated_cloud(folder: Path, boot: float = 3.0) -> Iterator[Cloud]:
    with moto() as general, ministack(*MINISTACK) as stack:
        endpoints = {"AWS_ENDPOINT_URL": general}
        endpoints |= {f"AWS_ENDPOINT_URL_{service.upper()}": stack for service in MINISTACK}
        cloud = Cloud(folder, endpoints, boot)
        try:
            yield cloud
        finally:
            cloud.close()
