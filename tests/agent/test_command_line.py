"""What `runner-agent` refuses before it does anything, and what its watchdog's sweep says."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog
from click.testing import CliRunner

from runner.cli.agent import configure_log, main
from runner.cli.watchdog import sweep


@pytest.mark.parametrize("host", ["../elsewhere", "a/b", ".hidden", "-x", "a b", "a\n", "ä", "."])
def test_a_host_with_a_name_that_could_lead_elsewhere_is_refused(host: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    # An engine that is away: an agent that did start would end at once.
    environ = {
        "RUNNER_HOME": str(home),
        "RUNNER_ENGINE": "docker",
        "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock",
    }
    ran = CliRunner().invoke(main, [f"--host={host}"], env=environ)
    assert ran.exit_code == 2
    assert "--host" in ran.stderr
    assert not home.exists()


FLEET = """\
mode: fleet
fleet:
  name: shards
  region: us-east-1
  environments:
    small: {instance_types: [m6i.large]}
"""


@pytest.mark.parametrize("option", ["--host=h", "--local"])
def test_what_says_nothing_in_mode_fleet_is_refused_there(option: str, tmp_path: Path) -> None:
    config = tmp_path / "runner.yaml"
    config.write_text(FLEET)
    ran = CliRunner().invoke(main, [f"--config={config}", option], env={"RUNNER_HOME": str(tmp_path)})
    assert ran.exit_code == 2
    assert option.partition("=")[0] in ran.stderr


def test_a_logger_follows_the_log_that_was_set_up_last() -> None:
    log = structlog.get_logger()
    configure_log()
    log.info("to the first")
    heard: list[str] = []

    def keep(_logger: object, _method: str, event: MutableMapping[str, Any]) -> NoReturn:
        heard.append(event["event"])
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    log.info("to the second")
    assert heard == ["to the second"]


@pytest.mark.parametrize(("engine", "gone"), [("process", True), ("docker", False), ("auto", False)])
def test_a_sweep_says_whether_every_engine_was_swept(tmp_path: Path, engine: str, gone: bool) -> None:
    environ = {
        "RUNNER_HOME": str(tmp_path),
        "RUNNER_ENGINE": engine,
        "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock",
    }
    assert asyncio.run(sweep("a-host", environ, lambda: True)) is gone
