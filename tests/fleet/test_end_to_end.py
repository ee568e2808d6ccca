"""The whole of mode fleet: commands, `serve`, and agents with a real Docker engine, while machines and processes die.

Emulated: AWS (moto and ministack) and EC2's part of starting machines, by `examples.fleet.cloud`, which says what is
not. Times are short: a lease of 12 s, a spot notice of 25 s. Everything else is real.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.fleet.cloud import Cloud, emulated_cloud
from runner.configuration import load_settings
from tests.engines.rig_docker import an_image

pytestmark = [pytest.mark.docker, pytest.mark.processes, pytest.mark.timeout(600)]

CONFIG = Path(__file__).parent.parent.parent / "examples" / "fleet" / "runner.yaml"
SHARDS = 500
PATIENCE = 400.0


class Console:
    """A user's terminal in that cloud, and the controller that somebody started there."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._serving: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "controller.cli.main", *arguments]
        done = subprocess.run(
            command, env=self._cloud.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--output", "json"))

    def serve(self) -> None:
        with (self._cloud.folder / "serve.log").open("ab") as log:
            self._serving = subprocess.Popen(
                [sys.executable, "-m", "controller.cli.main", "serve", "--listen", "127.0.0.1:0"],
                env=self._cloud.environment,
                stdout=log,
                stderr=log,
            )

    def kill_the_controller(self) -> None:
        if self._serving is not None:
            self._serving.kill()
            self._serving.wait()
            self._serving = None


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    shutil.copy(CONFIG, tmp_path / "runner.yaml")
    with emulated_cloud(tmp_path) as made:
        made.create(load_settings(tmp_path / "runner.yaml", {}, tmp_path))
        made.start()
        yield made


@pytest.fixture
def console(cloud: Cloud) -> Iterator[Console]:
    made = Console(cloud)
    made.serve()
    yield made
    made.kill_the_controller()


@pytest.fixture
def image(tmp_path: Path) -> str:
    return asyncio.run(an_image(tmp_path))


def until(met: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := met()):
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.5)
    return found


def succeeded(console: Console, job: str) -> int:
    counts = console.json("status", job)[0]["counts"]
    if counts["failed"] or counts["cancelled"]:
        pytest.fail(console.run("explain", job))
    found: int = counts["succeeded"]
    return found


def test_whatever_dies_every_shard_ends_once_and_the_fleet_goes(
    cloud: Cloud, console: Console, image: str
) -> None:
    flags = ["--name", "n", "--array", str(SHARDS), "--image", image, "--vcpus", "0.5", "--memory", "16MiB"]
    script = 'echo "shard $AWS_BATCH_JOB_ARRAY_INDEX"; sleep 0.3'
    job = console.run("submit", *flags, "--detach", "--output", "quiet", "--", "sh", "-c", script).strip()

    first, second, third = until(lambda: len(cloud.running) == 3 and cloud.running)
    until(lambda: succeeded(console, job) > 30)
    cloud.kill(first)
    cloud.freeze(second)
    until(lambda: succeeded(console, job) > 80)
    console.kill_the_controller()
    cloud.interrupt(third, 25)
    until(lambda: succeeded(console, job) > 120)
    console.serve()
    cloud.thaw(second)
    until(lambda: succeeded(console, job) == SHARDS)

    tasks = console.json("tasks", job, "--limit", "1000")
    assert [task["index"] for task in tasks] == list(range(SHARDS))
    assert {task["status"] for task in tasks} == {"SUCCEEDED"}
    until(lambda: not cloud.machines)
    assert third not in cloud.running
    lines = console.run("logs", job).splitlines()
    assert sorted(line.split("| ")[1] for line in lines) == sorted(f"shard {n}" for n in range(SHARDS))
