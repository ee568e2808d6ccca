"""An engine of our own, beside the machine's, that can be stopped, killed and started again. Needs root on
Linux.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from runner.adapters.docker.address import Address
from runner.adapters.docker.api import Api
from runner.adapters.docker.client import ApiError, Client, NoAnswerError


def missing() -> str:
    """What is missing for this here; empty if nothing is."""
    if shutil.which("dockerd") is None or shutil.which("unshare") is None:
        return "needs the programs dockerd and unshare"
    return "" if os.geteuid() == 0 else "needs root"


class PrivateEngine:
    def __init__(self, *options: str) -> None:
        # A socket's path may have 108 bytes, which pytest's own directories can exceed.
        self._home = Path(tempfile.mkdtemp(prefix="runner-"))
        self._options = options
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"unix://{self._home}/docker.sock"

    async def start(self) -> None:
        for stale in ("docker.pid", "exec/containerd/containerd.pid"):
            (self._home / stale).unlink(missing_ok=True)
        with (self._home / "log").open("ab") as log:
            # In a network namespace of its own: an engine takes the bridge called docker0 for its own,
            # wherever it finds it, and would take it away from the machine's.
            self._process = await asyncio.create_subprocess_exec(
                "unshare",
                "--net",
                "dockerd",
                f"--data-root={self._home}/data",
                f"--exec-root={self._home}/exec",
                f"--pidfile={self._home}/docker.pid",
                f"--host={self.url}",
                "--iptables=false",
                *self._options,
                stdout=log,
                stderr=log,
            )
        await self._ready()

    async def end(self, how: signal.Signals) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(how)
        await self._process.wait()
        self._process = None

    async def close(self) -> None:
        if self._process is None:
            await self.start()
        client = Client(Address(self.url))
        for container in await Api(client).containers({}):
            with suppress(ApiError, NoAnswerError):
                await Api(client).remove(container["Id"])
        await client.close()
        await self.end(signal.SIGTERM)
        # It mounts its data directory onto itself, and one that was killed leaves that behind.
        while await self._unmounted():
            continue
        shutil.rmtree(self._home, ignore_errors=True)

    async def _unmounted(self) -> bool:
        data = str(self._home / "data")
        quiet = asyncio.subprocess.DEVNULL
        return await (await asyncio.create_subprocess_exec("umount", data, stderr=quiet)).wait() == 0

    async def _ready(self) -> None:
        client = Client(Address(self.url))
        try:
            async with asyncio.timeout(60.0):
                while not await client.answers_anew(5.0):
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise RuntimeError((self._home / "log").read_text()[-2000:]) from error
        finally:
            await client.close()
