"""Tests marked `docker` need an engine that answers.

Where none does they are left out, and the end of the run says so on one screen. Where they must not be (in
continuous integration: CI or RUNNER_REQUIRE_DOCKER is set) they fail instead.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from runner.adapters.docker.engine import DockerEngine
from runner.errors import BadInput
from tests.images import busybox_archive

LEFT_OUT = "needs Docker"
HOW_TO_INCLUDE = """\
To include them: install Docker (Debian, Ubuntu: apt install docker.io busybox-static), start it, and
see that `docker version` shows a server for this user; DOCKER_HOST is respected. With RUNNER_REQUIRE_DOCKER=1
these tests fail instead of being left out."""


@cache
def docker_problem() -> str:
    """Why tests with Docker cannot run here; empty if they can."""

    async def ask() -> str:
        engine = DockerEngine("tests", 0, Path("unused"), None, time.time)
        try:
            return await engine.check()
        finally:
            await engine.close()

    try:
        return asyncio.run(ask()) or _busybox_problem()
    except BadInput as error:
        return str(error)


def _busybox_problem() -> str:
    try:
        busybox_archive()
    except RuntimeError as error:
        return str(error)
    return ""


def must_have_docker() -> bool:
    return any(
        os.environ.get(name, "").lower() not in ("", "0", "false") for name in ("CI", "RUNNER_REQUIRE_DOCKER")
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("docker")]
    if not marked or must_have_docker() or not docker_problem():
        return
    for item in marked:
        item.add_marker(pytest.mark.skip(reason=f"{LEFT_OUT}: {docker_problem()}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("docker") and must_have_docker() and docker_problem():
        pytest.fail(f"{LEFT_OUT}, and must not be left out here: {docker_problem()}", pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if LEFT_OUT in str(report.longrepr)
    ]
    if not skipped:
        return
    files = Counter(report.nodeid.partition("::")[0] for report in skipped)
    terminalreporter.section(f"left out: {len(skipped)} tests that need Docker")
    terminalreporter.line(docker_problem() or str(skipped[0].longrepr))
    for file, count in sorted(files.items()):
        terminalreporter.line(f"  {count:4}  {file}")
    terminalreporter.line(HOW_TO_INCLUDE)
