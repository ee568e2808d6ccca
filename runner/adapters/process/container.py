"""One attempt as a process, behind `runner.ports.Container`: its output, its end and its workspace."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Mapping

from runner.adapters.process.environment import METADATA_FILE
from runner.adapters.process.leader import Leader
from runner.adapters.process.pipe import Pipe
from runner.adapters.process.workspace import Workspace
from runner.model import Usage
from runner.ports import Clock, ContainerSpec, Exit

METADATA_LIMIT = 64 * 1024
LINGER = 1.0  # seconds that output is awaited from processes that outlived the command
PATIENCE = 10.0  # seconds for the kernel to end what was sent SIGKILL; a hung file system can hold it up


class ProcessContainer:
    """Made for a leader that was just spawned, before anything of it is delivered."""

    def __init__(
        self,
        spec: ContainerSpec,
        started_at: float,
        leader: Leader,
        pipe: Pipe,
        workspace: Workspace,
        now: Clock,
        on_remove: Callable[[ProcessContainer], None],
    ) -> None:
        self.name = spec.name
        self.labels: Mapping[str, str] = spec.labels
        self.started_at = started_at
        self.directory = workspace.directory
        self._leader = leader
        self._pipe = pipe
        self._workspace = workspace
        self._now = now
        self._on_remove = on_remove
        self._finished_at = started_at
        self._warning = ""
        self._exit: Exit | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._removed = False
        leader.on_end = self._drain

    async def wait(self) -> Exit:
        while self._exit is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
        return self._exit

    async def stop(self, grace: float) -> None:
        self._leader.terminate()
        if not await self._ended_within(grace):
            self._leader.kill()
            await self.wait()

    async def _ended_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            return False
        return True

    def _drain(self) -> None:
        """The command has ended and all it wrote is in the pipe, which others may hold open for ever."""
        self._finished_at = self._now()
        self._pipe.drain()
        if self._pipe.open:
            self._pipe.on_close = self._complete
            asyncio.get_running_loop().call_later(LINGER, self._cut)
        else:
            self._complete()

    def _cut(self) -> None:
        if self._pipe.open:
            self._warning = f"output of processes that outlived the command was cut off after {LINGER:g} s"
            self._pipe.close()

    def _complete(self) -> None:
        self._exit = self._as_exit()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _as_exit(self) -> Exit:
        leader = self._leader
        code = None if leader.status is None else os.waitstatus_to_exitcode(leader.status)
        signal = -code if code is not None and code < 0 else None
        return Exit(
            exit_code=code if signal is None else 128 + signal,
            started_at=self.started_at,
            finished_at=self._finished_at,
            signal=signal,
            out_of_memory=leader.out_of_memory and signal is not None,
            vanished=code is None,
            usage=Usage(peak_memory=leader.peak, cpu_seconds=leader.cpu_seconds),
            warning=self._warning,
        )

    async def metadata(self) -> bytes:
        return read_regular(f"{self.directory}/{METADATA_FILE}", METADATA_LIMIT)

    async def remove(self) -> None:
        if self._removed:
            return
        self._removed = True
        if self._exit is None:
            self._leader.kill()
            await self._ended_within(PATIENCE)
        await self._leader.others_gone(PATIENCE)
        await self._workspace.clear()
        self._on_remove(self)


def read_regular(path: str, limit: int) -> bytes:
    """The first `limit` bytes of a file that a task made: a pipe would block, a link lead elsewhere."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, limit) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(file)
