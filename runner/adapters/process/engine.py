"""Tasks as plain processes of this machine: no images, no isolation, no root, and very little time."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from runner.adapters.process.container import ProcessContainer
from runner.adapters.process.environment import inherited, task_environment
from runner.adapters.process.leader import Leader
from runner.adapters.process.orphans import kill_orphans
from runner.adapters.process.pipe import Pipe
from runner.adapters.process.reaper import reaper
from runner.adapters.process.removal import remove_tree
from runner.adapters.process.scratch import Scratch, path_part
from runner.adapters.process.spawn import spawn
from runner.adapters.process.workspace import Companion, Workspace
from runner.errors import EngineUnavailable, StartError
from runner.model import Job, Mount, Sidecar
from runner.ports import Clock, Container, ContainerSpec, Output


class ProcessEngine:
    """Implements `runner.ports.Engine` without containers. What differs from one with them:

    - `image`, `vcpus` and `pids` have no effect; memory is sampled each half second (`limits`);
    - a task sees this machine's files and network, and a few of the agent's environment variables
      (`environment.INHERITED`); a mount must be at its own path, and is as writable as it is anyway;
    - daemons that leave their process group end with their task on Linux; elsewhere only those that a memory
      sample saw do;
    - output of sidecars is thrown away;
    - `recover` adopts nothing: the exit status of another process's child cannot be learned.
    """

    name = "process"

    def __init__(self, host: str, state: Path, now: Clock, environ: Mapping[str, str] | None = None) -> None:
        self._host = host
        self._state = state.absolute()
        self._now = now
        self._passed = inherited(os.environ if environ is None else environ)
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count()
        self._scratch = Scratch(self._root(host))
        self._containers: dict[str, ProcessContainer] = {}

    async def prepare(self, job: Job, concurrency: int) -> None:
        """Nothing to make ready."""

    async def start(self, spec: ContainerSpec, output: Output) -> Container:
        for mount in spec.mounts:
            check_mount(mount)
        earlier = self._containers.get(spec.name)
        if earlier is not None:
            await earlier.remove()
        workspace = Workspace(self._scratch)
        try:
            for sidecar in spec.sidecars:
                workspace.companions += [self._accompany(sidecar, workspace)]
            if not spec.wanted():
                msg = f"{spec.name} is not wanted any more"
                raise EngineUnavailable(msg)
            container = self._run(spec, output, workspace)
        except BaseException:
            await workspace.clear()
            raise
        self._containers[spec.name] = container
        return container

    def _run(self, spec: ContainerSpec, output: Output, workspace: Workspace) -> ProcessContainer:
        pipe = Pipe(output)
        started_at = self._now()  # before, not after: no task may seem to end sooner than it can have
        try:
            leader = self._spawn(spec.command, spec.env, workspace, pipe.writer, spec.memory)
        except BaseException:
            pipe.close()
            raise
        finally:
            os.close(pipe.writer)
        pipe.listen()
        return ProcessContainer(spec, started_at, leader, pipe, workspace, self._now, self._forget)

    def _accompany(self, sidecar: Sidecar, workspace: Workspace) -> Companion:
        try:
            return Companion(
                self._spawn(sidecar.command, sidecar.env, workspace, subprocess.DEVNULL, sidecar.memory)
            )
        except StartError as error:
            msg = f"sidecar {sidecar.name!r}: {error}"
            raise StartError(msg) from error

    def _spawn(
        self, command: Sequence[str], env: Mapping[str, str], workspace: Workspace, output: int, memory: int
    ) -> Leader:
        watcher = reaper()
        mark = f"{self._prefix}-{next(self._numbers)}"
        full = task_environment(self._passed, env, self._host, workspace.directory, mark)
        pid = spawn(command, full, workspace.directory, output)
        workspace.enroll(pid)
        leader = Leader(pid, mark, memory, asyncio.get_running_loop().time())
        watcher.watch(leader)
        return leader

    def _root(self, host: str) -> str:
        return f"{self._state}/scratch/{path_part(host)}"

    def _forget(self, container: ProcessContainer) -> None:
        if self._containers.get(container.name) is container:
            del self._containers[container.name]

    async def recover(
        self,
        host: str,
        output: Callable[[Mapping[str, str]], Output | None],  # noqa: ARG002 nothing is adopted
    ) -> Sequence[Container]:
        await self.sweep(host)
        return []

    async def sweep(self, host: str, wanted: Callable[[], bool] = lambda: True) -> int:
        root = self._root(host)
        found = await kill_orphans(host, root, wanted)
        if host == self._host:
            found.update(container.directory for container in self._containers.values())
            await self._remove_all()
        if wanted():
            await asyncio.to_thread(remove_tree, root)
        return len(found)

    async def check(self) -> str:
        return ""

    async def close(self) -> None:
        """Remove what still runs."""
        await self._remove_all()

    async def _remove_all(self) -> None:
        await asyncio.gather(*(container.remove() for container in self._containers.values()))
        self._scratch.drop_clean()


def check_mount(mount: Mount) -> None:
    """Without a mount namespace a path can only be where it is. Raises StartError."""
    if mount.source != mount.target:
        msg = (
            f"cannot mount {mount.source!r} at {mount.target!r}: the process engine has no mounts; "
            "give the same path twice, or use an engine with containers"
        )
        raise StartError(msg)
    if not os.path.exists(mount.source):
        msg = f"cannot mount {mount.source!r}: no such file or directory"
        raise StartError(msg)
