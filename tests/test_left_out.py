"""Without Docker the tests that need it are left out, and the run says so; where they must run, it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FILE = "tests/engines/test_usage_contract.py"


def run_without_docker(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", FILE]
    inherited = {
        key: value for key, value in os.environ.items() if key not in ("CI", "RUNNER_REQUIRE_DOCKER")
    }
    env = {**inherited, "DOCKER_HOST": "unix:///nowhere/docker.sock", **environment}
    root = Path(__file__).parent.parent
    return subprocess.run(command, check=False, capture_output=True, text=True, env=env, cwd=root)


def test_what_needs_docker_is_left_out_and_named_where_none_answers() -> None:
    result = run_without_docker()
    assert result.returncode == 0
    assert FILE in result.stdout
    assert "RUNNER_REQUIRE_DOCKER=1" in result.stdout
    assert "nowhere" in result.stdout


def test_it_fails_instead_where_it_must_not_be_left_out() -> None:
    result = run_without_docker(RUNNER_REQUIRE_DOCKER="1")
    assert result.returncode == 1
    assert "must not be left out here" in result.stdout
