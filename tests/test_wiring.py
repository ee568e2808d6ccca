"""Which engines an agent has, from settings; none of them is asked anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import BadInput
from runner.settings import Settings
from runner.wiring import docker_trouble, open_engines

UNUSABLE = "ssh://somewhere"


@pytest.mark.parametrize(
    ("engine", "names"),
    [("auto", ["process", "docker"]), ("process", ["process"]), ("docker", ["docker"])],
)
async def test_an_agent_has_the_engines_of_its_settings(
    tmp_path: Path, engine: str, names: list[str]
) -> None:
    settings = Settings(home=tmp_path, engine=engine, docker_host="unix:///run/no.sock")
    assert list(open_engines(settings, "here", 1)) == names


async def test_with_a_docker_address_that_cannot_be_used_processes_still_run(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, docker_host=UNUSABLE)
    assert list(open_engines(settings, "here", 1)) == ["process"]


async def test_an_address_that_cannot_be_used_is_refused_where_all_runs_in_containers(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, docker_host=UNUSABLE, engine="docker")
    with pytest.raises(BadInput, match="ssh://somewhere cannot be used"):
        open_engines(settings, "here", 1)


async def test_an_address_that_cannot_be_used_is_told_like_an_engine_that_does_not_answer(
    tmp_path: Path,
) -> None:
    settings = Settings(home=tmp_path)
    assert "ssh://somewhere cannot be used" in await docker_trouble(replace(settings, docker_host=UNUSABLE))
