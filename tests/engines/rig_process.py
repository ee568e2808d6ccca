"""The process engine under the engine contract."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from runner.adapters.process import roll
from runner.adapters.process.engine import ProcessEngine
from runner.adapters.process.environment import HOST
from runner.adapters.process.scratch import path_part
from runner.array import Array
from runner.model import Job
from runner.ports import ContainerSpec, Engine
from tests.engines.rigs import Ability

_numbers = itertools.count()


def _nobody() -> None: ...


class ProcessRig:
    name = "process"
    abilities = frozenset({Ability.MEMORY_LIMIT, Ability.USAGE})

    def __init__(self, home: Path) -> None:
        self._home = home
        self._engines: list[ProcessEngine] = []
        self._used: set[tuple[str, Path]] = set()

    async def engine(self, host: str, *, elsewhere: bool = False) -> Engine:
        state = self._home / "elsewhere" if elsewhere else self._home
        engine = ProcessEngine(host, state, time.time)
        self._engines.append(engine)
        self._used.add((host, state))
        return engine

    async def crash(self, engine: Engine) -> None:
        """Its pipes close, as the kernel would do; the processes live on and nobody hears of their end."""
        assert isinstance(engine, ProcessEngine)
        self._engines.remove(engine)
        for container in engine._containers.values():
            container._leader.on_end = _nobody
            container._pipe.close()

    def job(self, job_id: str) -> Job:
        return Job(id=job_id, name=job_id, command=("true",), array=Array.of_size(1))

    def spec(self, host: str, command: Sequence[str], **changes: Any) -> ContainerSpec:
        fields: dict[str, Any] = {
            "name": f"attempt-{next(_numbers)}",
            "host": host,
            "job_id": "job",
            "image": None,
            "command": tuple(command),
            "env": {},
            "vcpus": 1.0,
            "memory": 512 * 1024**2,
            "pids": 100,
            "grace": 5.0,
        }
        return ContainerSpec(**{**fields, **changes})

    async def leftovers(self, host: str) -> Sequence[str]:
        clean = [path for engine in self._engines for path in engine._scratch._clean]
        ready = {*clean, *map(roll.path_of, clean)}
        return [name for name in await self.everything(host) if name not in ready]

    async def everything(self, host: str) -> Sequence[str]:
        root = self._home / "scratch" / path_part(host)
        directories = [str(path) for path in root.iterdir()] if root.exists() else []
        return [*marked_processes(host), *directories]

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()
        for host, state in self._used:
            engine = ProcessEngine(host, state, time.time)
            await engine.sweep(host)
            await engine.close()


def marked_processes(host: str) -> list[str]:
    """Living processes of the host's tasks, as `name pid`."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(HOST) == host and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.name()} {process.pid}")
    return found
