"""Tests marked `docker` need an engine that answers.

Where none does they are left out, and the end of the run says so on one screen. Where they must not be (in
continuous integration: CI or RUNNER_REQUIRE_DOCKER is set) they fail instead.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog

from runner.adapters.docker.engine import DockerEngine
from runner.errors import BadInput
from tests.images import busybox_archive

LEFT_OUT = pytest.StashKey[dict[str, Any]]()
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("docker")]
    if not marked or must_have_docker() or not docker_problem():
        return
    items[:] = [item for item in items if item not in marked]
    config.hook.pytest_deselected(items=marked)
    files = Counter(item.nodeid.partition("::")[0] for item in marked)
    config.stash[LEFT_OUT] = {"why": docker_problem(), "files": dict(files)}


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("docker") and must_have_docker() and docker_problem():
        pytest.fail(f"needs Docker, and must not be left out here: {docker_problem()}", pytrace=False)


@pytest.fixture(autouse=True)
def _no_log_of_another_test() -> Iterator[None]:
    """A command that ran in this process set up its log on a standard error that is closed by now."""
    yield
    structlog.reset_defaults()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of a parallel run tells the process that prints the summary."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, None)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if left_out := getattr(node, "workeroutput", {}).get("left_out"):
        node.config.stash[LEFT_OUT] = left_out


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash.get(LEFT_OUT, None)
    if left_out is None:
        return
    terminalreporter.section(f"left out: {sum(left_out['files'].values())} tests that need Docker")
    terminalreporter.line(left_out["why"])
    for file, count in sorted(left_out["files"].items()):
        terminalreporter.line(f"  {count:4}  {file}")
    terminalreporter.line(HOW_TO_INCLUDE)
