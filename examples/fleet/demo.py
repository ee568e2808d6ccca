"""`make demo-fleet`: a fleet that grows with the work and goes when it is done, here, without an AWS account.

The commands, the controller and the agents are those that run on AWS, and the tasks run in containers; the AWS services
are emulated (see `cloud.py`).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from controller.model import EnvironmentCapacity
from controller.wiring import open_parts
from examples.fleet.cloud import Cloud, emulated_cloud
from runner.configuration import load_settings
from runner.model import Status
from runner.records import JobRecord
from runner.settings import Settings

HERE = Path(__file__).parent
SHARDS = 150
COMMAND = 'echo "shard $AWS_BATCH_JOB_ARRAY_INDEX of $AWS_BATCH_JOB_ARRAY_SIZE"; sleep 1'
PATIENCE = 600.0
WIDTH = 24


def main() -> int:
    made = subprocess.run(
        [sys.executable, "examples/flights/image.py"], stdout=subprocess.PIPE, text=True, check=False
    )
    if made.returncode:
        print(
            "the fleet's tasks run in containers: install Docker (Debian, Ubuntu: apt-get install docker.io)"
        )
        return 1
    folder = Path(".demo/fleet").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(HERE / "runner.yaml", folder)
    print("starting what stands in for AWS: SQS, DynamoDB, S3, Auto Scaling")
    with emulated_cloud(folder) as cloud:
        os.environ.update(cloud.environment)
        settings = load_settings(folder / "runner.yaml", {}, folder)
        cloud.create(settings)
        cloud.start()
        return play(cloud, settings, made.stdout.strip())


def play(cloud: Cloud, settings: Settings, image: str) -> int:
    with (cloud.folder / "serve.log").open("wb") as log:
        serving = subprocess.Popen(
            [sys.executable, "-m", "controller.cli.main", "serve", "--listen", "127.0.0.1:0"],
            env=cloud.environment,
            stdout=log,
            stderr=log,
        )
    try:
        flags = [
            "--name",
            "shards",
            "--array",
            str(SHARDS),
            "--image",
            image,
            "--vcpus",
            "0.5",
            "--memory",
            "32MiB",
        ]
        print(f"$ runner-controller submit {' '.join(flags)} --detach -- sh -c '{COMMAND}'")
        run(cloud, "submit", *flags, "--detach", "--output", "quiet", "--", "sh", "-c", COMMAND)
        succeeded = asyncio.run(follow(cloud, settings))
        print("\n$ runner-controller status shards")
        print(run(cloud, "status", "shards"))
        print("$ runner-controller logs shards --tail 1 | head -3")
        print("\n".join(run(cloud, "logs", "shards", "--tail", "1").splitlines()[:3]))
        print("\nThe same on AWS: docs/deploy.md")
        return 0 if succeeded else 1
    finally:
        serving.terminate()
        serving.wait()


async def follow(cloud: Cloud, settings: Settings) -> bool:
    """Until the job has ended and no machine is left. A line whenever something has changed."""
    began, shown = time.monotonic(), ""
    async with open_parts(settings) as parts:
        while time.monotonic() < began + PATIENCE:
            (record,) = await parts.records.jobs(name="shards")
            fleet = await parts.fleet.capacity()
            now = picture(record, fleet["spot"])
            if now != shown:
                print(f"{time.monotonic() - began:4.0f} s  {now}", flush=True)
                shown = now
            if record.status.terminal and not cloud.machines:
                return record.status is Status.SUCCEEDED
            await asyncio.sleep(1)
    return False


def picture(record: JobRecord, fleet: EnvironmentCapacity) -> str:
    counts = record.counts
    bar = "#" * (WIDTH * counts.succeeded // counts.size)
    machines = "[]" * fleet.running + ".." * max(0, fleet.desired - fleet.running)
    return (
        f"machines {machines:<8} tasks |{bar:<{WIDTH}}| {counts.succeeded:4} done {counts.running:3} running"
    )


def run(cloud: Cloud, *arguments: str) -> str:
    command = [sys.executable, "-m", "controller.cli.main", *arguments]
    done = subprocess.run(command, env=cloud.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
