"""The tests on AWS itself cannot run here. That they can still be read is all that can be said of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def collected(**variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "RUNNER_LIVE_CONFIG"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q", "tests/live"]
    done = subprocess.run(command, cwd=ROOT, env={**environment, **variables}, capture_output=True, text=True)
    return done.stdout


def test_nothing_of_them_is_seen_unless_a_fleet_is_named() -> None:
    assert "no tests collected" in collected()


def test_they_can_be_read() -> None:
    found = collected(RUNNER_LIVE_CONFIG="runner.yaml")
    assert "error" not in found
    for file in ("test_fleet.py", "test_ledger.py", "test_queue.py"):
        assert f"tests/live/{file}" in found
