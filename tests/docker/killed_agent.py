"""A program that starts a container as an agent would, says so, and waits to be killed.

Usage: killed_agent.py HOST STATE IMAGE SCRIPT
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from runner.adapters.docker.engine import DockerEngine
from runner.ports import ContainerSpec
from tests.engines.rigs import Capture


async def main(host: str, state: str, image: str, script: str) -> None:
    engine = DockerEngine(host, 2, Path(state), None, time.time)
    spec = ContainerSpec(
        name=f"killed-{host}",
        host=host,
        job_id="job",
        image=image,
        command=("sh", "-c", script),
        env={},
        vcpus=1.0,
        memory=64 * 1024**2,
        pids=100,
        grace=1.0,
        labels={"attempt": "job/0#1"},
    )
    await engine.start(spec, Capture())
    sys.stdout.write("started\n")
    sys.stdout.flush()
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
