"""A whole installation in virtual time: what happens without faults, and that it happens the same way again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from controller.simulation.play import play
from controller.simulation.workload import varied
from controller.simulation.world import World
from runner.model import Status, TaskId
from runner.records import Recorded

TASKS = 30


async def bag(world: World) -> tuple[World, str]:
    world.start_controller()
    job = await world.submit(array=TASKS)
    await world.until_ended(job)
    await world.until_empty()
    return world, job


def told(seed: int) -> str:
    world, _ = play(bag, seed=seed, behave=varied(str(seed), 2.0, 20.0))
    return hashlib.sha256(str(world.history).encode()).hexdigest()


@pytest.fixture(scope="module")
def ended() -> tuple[World, str]:
    return play(bag)


def test_a_job_runs_to_its_end() -> None:
    async def scenario(world: World) -> tuple[Status, int]:
        _, job = await bag(world)
        record = await world.job(job)
        return record.status, record.counts.succeeded

    assert play(scenario) == (Status.SUCCEEDED, TASKS)


def test_every_task_runs_once_where_nothing_fails(ended: tuple[World, str]) -> None:
    world, job = ended
    started = [event.subject for event in world.history.of("container-started")]
    assert sorted(started) == sorted(f"{job}/{index}" for index in range(TASKS))


def test_machines_of_both_environments_come_and_go(ended: tuple[World, str]) -> None:
    world, _ = ended
    launched = {event.more["group"] for event in world.history.of("launched")}
    gone = [event.subject for event in world.history.of("terminated")]
    assert launched == {"sim-spot", "sim-steady"}
    assert sorted(gone) == sorted(world.machines)
    assert all(machine.exited for machine in world.machines.values())


def test_the_fleet_is_back_at_nothing(ended: tuple[World, str]) -> None:
    world, _ = ended
    assert {group.desired for group in world.autoscaling.groups.values()} == {0}


def test_a_tasks_log_can_be_read_from_the_bucket() -> None:
    async def scenario(world: World) -> bytes:
        _, job = await bag(world)
        task = await world.records.task(TaskId(job, 7))
        assert task is not None
        assert task.outcome is not None
        recorded = Recorded(outcome=task.outcome)
        return b"".join([part async for part in world.logs.read(task.task, 1, 0, recorded)])

    assert play(scenario) == b"working\n"


def test_the_same_seed_tells_the_same_history() -> None:
    assert told(3) == told(3)


def test_another_seed_tells_another() -> None:
    assert told(3) != told(4)


def test_a_history_does_not_depend_on_how_python_hashes() -> None:
    program = "from tests.simulation.test_world import told; print(told(3))"
    told_elsewhere = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    assert told_elsewhere == {told(3)}
