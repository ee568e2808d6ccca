"""Tests on AWS itself, at the cost of whoever runs them: docs/deploy.md, "Trying it for real".

`RUNNER_LIVE_CONFIG` names the settings of a fleet that is deployed. Without it nothing here is even collected.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from runner.configuration import load_settings
from runner.settings import FleetSettings

CONFIG = os.environ.get("RUNNER_LIVE_CONFIG", "")
IMAGE = os.environ.get("RUNNER_LIVE_IMAGE", "docker.io/library/alpine:3")

collect_ignore_glob = [] if CONFIG else ["test_*.py"]

# A machine is asked for, starts, installs what it needs and takes its first task: minutes. It goes as slowly.
PATIENCE = 1800.0
LOOK = 10.0


class Person:
    """Somebody at a terminal, with the fleet's settings."""

    def types(self, *arguments: str, may_fail: bool = False) -> str:
        command = [sys.executable, "-m", "controller.cli.main", "--config", CONFIG, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert may_fail or done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def reads(self, *arguments: str, may_fail: bool = False) -> Any:
        return json.loads(self.types(*arguments, "--output", "json", may_fail=may_fail))

    def submits(self, name: str, tasks: int, script: str, *, retries: int = 0) -> str:
        """The job's id, as soon as it has one."""
        needs = ["--image", IMAGE, "--vcpus", "0.5", "--memory", "256MiB", "--timeout", "30m"]
        how = ["--name", name, "--array", str(tasks), "--retries", str(retries), *needs]
        return self.types("submit", *how, "--detach", "--output", "quiet", "--", "sh", "-c", script).strip()

    def job(self, job: str) -> Any:
        return self.reads("status", job)[0]

    def sees_it_end(self, job: str) -> Any:
        return until(
            lambda: (found := self.job(job))["status"] in ("SUCCEEDED", "FAILED", "CANCELLED") and found
        )


def until(met: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := met()):
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(LOOK)
    return found


@pytest.fixture(scope="session")
def fleet() -> FleetSettings:
    found = load_settings(Path(CONFIG), {}, Path.cwd()).fleet
    assert found is not None, f"{CONFIG} has no fleet"
    return found


@pytest.fixture(scope="session")
def person() -> Person:
    return Person()


@pytest.fixture(scope="session")
def clients(fleet: FleetSettings) -> Callable[[str], Any]:
    """AWS's own, by service."""
    return lambda service: boto3.client(service, fleet.region)


@pytest.fixture(scope="session")
def name() -> str:
    """One that nobody else has."""
    return f"runner-live-{secrets.token_hex(6)}"


@pytest.fixture(scope="session")
def table(name: str, clients: Callable[[str], Any]) -> Iterator[str]:
    """As a deployment makes it, and gone at the end."""
    dynamodb = clients("dynamodb")
    keys = {"pk": "HASH", "sk": "RANGE"}
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
    )
    try:
        dynamodb.get_waiter("table_exists").wait(TableName=name)
        yield name
    finally:
        dynamodb.delete_table(TableName=name)
