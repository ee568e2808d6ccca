"""A fleet of agents as processes on this machine.

They live in sessions of their own, so that Ctrl-C reaches the command that started them and not them, and they go on
when it is killed, until they notice that nobody supervises.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

from controller.model import EnvironmentCapacity
from runner.agent.identity import is_held
from runner.errors import Unavailable
from runner.routing import LOCAL
from runner.settings import Settings
from runner.wiring import host_state

log = structlog.get_logger()

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
TAIL_BYTES = 4096

# Bytes of an agent's log; a larger one is put aside when the next agent starts.
LARGEST_LOG = 8 * 1024**2


class ProcessFleet:
    """Hosts are named `local-1`, `local-2` …: a new agent takes the lowest free name, and with it what an agent of that
    name left behind."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._pause = FIRST_PAUSE
        self._not_before = 0.0
        self.trouble = ""

    async def capacity(self) -> Mapping[str, EnvironmentCapacity]:
        alive = sum(1 for _ in self._alive())
        most = self._settings.supervisor.max_agents
        return {LOCAL: EnvironmentCapacity(LOCAL, alive, alive, pending=0, minimum=0, maximum=most)}

    async def replace(self, environment: str, instance: str) -> None:
        """An agent that has ended is started again by `resize`; one that hangs has its watchdog."""

    async def resize(self, environment: str, desired: int) -> None:  # noqa: ARG002  # there is one environment
        self._notice_failures()
        if asyncio.get_running_loop().time() < self._not_before:
            return
        alive = set(self._alive())
        for host in self._names():
            if len(alive) >= desired:
                break
            if host not in alive:
                self._started[host] = self._start(host)
                alive.add(host)

    async def stop(self) -> None:
        """Ask the agents this process started to stop, and wait for them. Asked again meanwhile, they hurry."""
        for agent in self._started.values():
            if agent.poll() is None:
                agent.send_signal(signal.SIGTERM)
        while any(agent.poll() is None for agent in self._started.values()):  # noqa: ASYNC110  # another process tells nobody
            await asyncio.sleep(0.05)

    def _names(self) -> Iterator[str]:
        return (f"local-{number}" for number in range(1, self._settings.supervisor.max_agents + 1))

    def _alive(self) -> Iterator[str]:
        for host in self._names():
            started = self._started.get(host)
            if (started is not None and started.poll() is None) or is_held(host_state(self._settings, host)):
                yield host

    def _notice_failures(self) -> None:
        """An agent that ends with an error is started again, but ever later: it will likely end so again."""
        for host, agent in list(self._started.items()):
            code = agent.poll()
            if code is None:
                continue
            del self._started[host]
            if code == 0:
                self._pause, self.trouble = FIRST_PAUSE, ""
                continue
            self.trouble = f"agent {host} ended with exit code {code}: {_last_line(self._log_path(host))}"
            log.warning("agent failed", host=host, code=code, retry_in=self._pause)
            self._not_before = asyncio.get_running_loop().time() + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)

    def _start(self, host: str) -> subprocess.Popen[bytes]:
        path = self._log_path(host)
        command = [sys.executable, "-m", "runner.cli.agent", "--host", host, "--local"]
        environment = {
            **os.environ,
            "RUNNER_HOME": str(self._settings.home),
            "RUNNER_ENGINE": self._settings.engine,
        }
        if self._settings.source is not None:
            environment["RUNNER_CONFIG"] = self._settings.source
        try:
            with os.fdopen(open_log(path), "ab") as output:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env=environment,
                )
        except OSError as error:
            message = f"cannot start an agent: {error}"
            raise Unavailable(message) from error

    def _log_path(self, host: str) -> Path:
        return host_state(self._settings, host) / "agent.log"


def open_log(path: Path) -> int:
    """To add to it. Its user alone may read it: an agent names commands and files. One old log is kept beside it."""
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_name(path.name + ".old"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return "no log"
    return lines[-1] if lines else "no log"
