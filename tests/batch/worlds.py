"""A simulated installation with AWS Batch beside, or in place of, its own machines.

What containers do is done by a real shell, at once; it counts as some seconds of theirs.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from controller import submission
from controller.adapters.absent import NoQueue
from controller.draft import to_job
from controller.intake import checked_draft, resolve
from controller.simulation.clock import now
from controller.simulation.play import a_fleet, play
from controller.simulation.services.batch import Program, SimulatedBatch
from controller.simulation.services.batch_job import Run
from controller.simulation.services.batch_logs import GROUP, SimulatedBatchLogs, SimulatedEcs
from controller.simulation.services.logs import SimulatedLogs
from controller.simulation.workload import Behave, Behaviour
from controller.simulation.world import World
from runner.adapters.s3.manifests import S3Manifests
from runner.aws import Reply
from runner.batch_settings import BatchQueue, BatchSettings
from runner.ports import ContainerSpec
from runner.settings import FLEET, Settings

T = TypeVar("T")


class BothLogs:
    """AWS Batch's log group and the fleet's."""

    def __init__(self, batch: SimulatedBatchLogs, others: SimulatedLogs) -> None:
        self._batch = batch
        self._others = others

    def answer(self, operation: str, parameters: dict[str, Any]) -> Reply:
        group = parameters.get("logGroupName")
        return (self._batch if group == GROUP else self._others).answer(operation, parameters)


def settings_of(mode: str = FLEET) -> Settings:
    """Of a fleet with a section batch; in another mode, of the same file with that changed."""
    batch = BatchSettings("sim", "us-east-1", {"default": BatchQueue("default")})
    return replace(a_fleet(), mode=mode, batch=batch)


def done(env: Mapping[str, str], command: Sequence[str]) -> tuple[int, bytes]:
    given = {"PATH": os.environ["PATH"], **env}
    ended = subprocess.run(command, env=given, stdout=subprocess.PIPE, check=False)
    return ended.returncode, ended.stdout


def on_batch(env: Mapping[str, str], command: Sequence[str]) -> Run:
    code, output = done(env, command)
    return Run(30.0, code, lines=output.decode().splitlines())


def on_machines(spec: ContainerSpec) -> Behaviour:
    code, output = done(spec.env, spec.command)
    return Behaviour(30.0, code, output)


class BatchWorld:
    """One controller runs."""

    def __init__(self, world: World, program: Program) -> None:
        self.world = world
        self.records = world.records
        self.batch = SimulatedBatch(program)
        self._numbers = count(1)
        services: dict[str, Any] = world.network.services  # type: ignore[assignment]
        logs = BothLogs(SimulatedBatchLogs(self.batch), world.cloudwatch)
        services |= {"batch": self.batch, "ecs": SimulatedEcs(self.batch), "logs": logs}
        world.start_controller()

    async def submit(self, file: Path | None = None, **keys: Any) -> str:
        """As the command does, with a job file, its keys, or both. Returns the job's id."""
        world = self.world
        draft = checked_draft(world.settings, file, keys)
        after = await resolve(world.records, draft.after)
        manifests, job_id = S3Manifests(world.aws, world.bucket), f"job-{next(self._numbers)}"
        job = await to_job(draft, id=job_id, now=now, manifests=manifests, after=after)
        await submission.submit(world.records, NoQueue(), job, 0, world.routes)
        return job_id


def scene(
    scenario: Callable[[BatchWorld], Awaitable[T]],
    mode: str = FLEET,
    program: Program = on_batch,
    behave: Behave = on_machines,
) -> T:
    return play(lambda world: scenario(BatchWorld(world, program)), settings=settings_of(mode), behave=behave)
