"""A real installation in a folder of its own, with real agent processes to kill. Nothing is emulated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

LEASE = 4


class Installation:
    def __init__(self, folder: Path, *, engine: str = "process", vcpus: int = 2, max_agents: int = 1) -> None:
        self.home = folder / "home"
        self.config = folder / "runner.yaml"
        self.folder = folder
        self.config.write_text(
            f"home: {self.home}\n"
            f"engine: {engine}\n"
            f"agent: {{vcpus: {vcpus}, memory: 4GiB, lease: {LEASE}s, beat: 1s, drain: 1s, idle: 60s}}\n"
            f"supervisor: {{max_agents: {max_agents}, lease: 3s}}\n"
        )
        self._agents: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "RUNNER_CONFIG": str(self.config), "NO_COLOR": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A `runner-controller` command in a session of its own, so that it can be killed alone."""
        command = [sys.executable, "-m", "controller.cli.main", *arguments]
        return subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *arguments: str, expect: int | None = 0) -> str:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=100)
        assert expect is None or process.returncode == expect, (process.returncode, out, err)
        return out.decode()

    def agent(self, host: str = "local-1", *more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "runner.cli.agent", "--host", host, *more]
        with (self.folder / f"{host}.log").open("ab") as log:
            agent = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._agents.append(agent)
        return agent

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--output", "json"))

    def submit(self, *arguments: str) -> str:
        return self.run("submit", "--output", "quiet", "--detach", *arguments).strip()

    def tasks(self, job: str) -> list[dict[str, Any]]:
        found = self.json("tasks", job, "--limit", "1000000")
        assert isinstance(found, list)
        return found

    def agents(self) -> list[psutil.Process]:
        """Every agent and watchdog of this installation."""
        return _processes(
            lambda environment: environment.get("RUNNER_CONFIG") == str(self.config), "runner.cli."
        )

    def work(self) -> list[psutil.Process]:
        """Every process of this installation's tasks."""
        prefix = str(self.home)
        return _processes(lambda environment: environment.get("RUNNER_SCRATCH", "").startswith(prefix))

    def end(self) -> None:
        for process in [*self.agents(), *self.work()]:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        for agent in self._agents:
            agent.wait()


def _processes(wanted: Callable[[dict[str, str]], bool], argument: str = "") -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and wanted(process.environ()):
                command: Sequence[str] = process.cmdline()
                if any(part.startswith(argument) for part in command):
                    found.append(process)
        except psutil.Error:
            continue
    return found


def eventually(fact: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until it is so; fail when it never is."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.05)
