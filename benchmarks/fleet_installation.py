"""An installation of ours in mode fleet: emulated services, one machine, and arrays timed through it.

The machine is a process of `fleet_agent`, booted for the only instance of an emulated Auto Scaling group. Submitting
and supervising happen in this process, with the parts that `submit` and `serve` are made of.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import fleet_agent
from benchmarks.emulator import SERVICES
from controller import scheduling
from controller.submission import new_job_id, submit
from controller.wiring import Parts, open_parts
from examples.fleet.cloud import Cloud, Machine
from runner.array import Array
from runner.configuration import load_settings
from runner.model import Job, Limits, Status
from runner.settings import Settings
from tests.aws.emulators import moto

MEMORY = 64 * 1024**2
LOOK = 0.05
PATIENCE = 600.0
ENVIRONMENT = "machines"


class OneMachine(Cloud):
    """Its instance's agent has another engine. `done`: where that tells when records stood."""

    @property
    def done(self) -> Path:
        return self.folder / "done"

    def _boot_agent(self, machine: Machine) -> subprocess.Popen[bytes]:
        home = self.folder / "instances" / machine.instance
        home.mkdir(parents=True, exist_ok=True)
        port = self._metadata.server_address[1]
        with (home / "agent.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "benchmarks.fleet_agent"],
                env={
                    **self.environment,
                    fleet_agent.FILE: str(self.done),
                    "RUNNER_HOME": str(home),
                    "RUNNER_ENVIRONMENT": machine.environment,
                    "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{port}/{machine.instance}",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@dataclass(frozen=True)
class Installation:
    cloud: OneMachine
    parts: Parts

    def boot(self) -> None:
        """The machine comes; it takes a second."""
        fleet = self.parts.settings.fleet
        assert fleet is not None
        self.cloud.client("autoscaling").set_desired_capacity(
            AutoScalingGroupName=fleet.group(ENVIRONMENT), DesiredCapacity=1
        )

    async def submit(self, size: int) -> Job:
        """As the command does it."""
        parts, job = self.parts, self._job(size)
        await submit(parts.records, parts.queue, job, parts.settings.supervisor.window, parts.routes)
        return job

    async def fill(self, size: int) -> Job:
        """All of it is sent, however long it takes to run."""
        parts, job = self.parts, self._job(size)
        submitted = await submit(parts.records, parts.queue, job, 0, parts.routes)
        await scheduling.enqueue(parts.records, parts.queue, submitted.record, size, parts.routes)
        return job

    def _job(self, size: int) -> Job:
        """Each task takes one vCPU."""
        return Job(
            id=new_job_id(),
            name="benchmark",
            command=("true",),
            array=Array.of_size(size),
            limits=Limits(vcpus=1, memory=MEMORY),
            created_at=self.parts.now(),
        )

    def times(self) -> list[float]:
        """When records stood, epoch seconds, in that order."""
        told = self.cloud.done.read_bytes() if self.cloud.done.exists() else b""
        return [each for (each,) in fleet_agent.TIME.iter_unpack(told)]

    async def done(self, count: int) -> list[float]:
        """The same, once so many stand. Looks at a file only, so that nothing is asked of the services."""
        deadline = time.monotonic() + PATIENCE
        while len(times := self.times()) < count:
            if time.monotonic() > deadline:
                message = f"{len(times)} of {count} tasks are done; see {self.cloud.folder / 'instances'}"
                raise RuntimeError(message)
            await asyncio.sleep(LOOK)
        return times

    async def ended(self, job: Job) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            record = await self.parts.records.job(job.id)
            assert record is not None
            if record.status.terminal:
                break
            if time.monotonic() > deadline:
                message = f"the job does not end: {record.counts}"
                raise RuntimeError(message)
            await asyncio.sleep(LOOK)
        if record.status is not Status.SUCCEEDED:
            message = f"the job ended {record.status}: {record.counts}"
            raise RuntimeError(message)


@asynccontextmanager
async def installation(folder: Path, endpoint: str, slots: int) -> AsyncIterator[Installation]:
    """With a supervisor, and no machine yet. `endpoint`: of SQS, DynamoDB and S3."""
    settings = _configure(folder, slots)
    with moto() as general:
        endpoints = {"AWS_ENDPOINT_URL": general}
        endpoints |= {f"AWS_ENDPOINT_URL_{service.upper()}": endpoint for service in SERVICES}
        cloud = OneMachine(folder, endpoints, boot=0.0)
        with _variables(cloud.environment):
            cloud.create(settings)
            cloud.start()
            try:
                async with open_parts(settings) as parts:
                    yield Installation(cloud, parts)
            finally:
                cloud.close()


@contextmanager
def _variables(wanted: Mapping[str, str]) -> Iterator[None]:
    """Those of this process meanwhile."""
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _configure(folder: Path, slots: int) -> Settings:
    folder.mkdir(parents=True)
    file = folder / "runner.yaml"
    file.write_text(json.dumps(_configuration(slots)))
    return load_settings(file, {"RUNNER_HOME": str(folder)}, folder)


def _configuration(slots: int) -> dict[str, object]:
    environment = {"instance_types": ["m6i.4xlarge"], "market": "on_demand", "max": 1}
    return {
        "mode": "fleet",
        "agent": {"vcpus": slots, "memory": slots * MEMORY, "reserved_memory": 0},
        "fleet": {
            "name": "benchmark",
            "region": "eu-west-1",
            "bucket": "benchmark-logs",
            "environments": {ENVIRONMENT: environment},
        },
    }
