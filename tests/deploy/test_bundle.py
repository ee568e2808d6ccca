"""What machines install."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from controller.deployment.bundle import (
    CONSTRAINTS,
    DISTRIBUTION,
    LISTING,
    SETTINGS,
    bundle,
    prefix,
    read_settings_file,
    wheel,
)
from runner.errors import NotFound

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    name, content = wheel(metadata.distribution(DISTRIBUTION))
    path = tmp_path_factory.mktemp("wheel") / name
    path.write_bytes(content)
    return path


def test_the_wheel_holds_every_file_of_the_packages(made: Path) -> None:
    inside = {name for name in zipfile.ZipFile(made).namelist() if ".dist-info/" not in name}
    sources = {
        str(path.relative_to(ROOT))
        for package in ("runner", "controller")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == sources


def test_pip_installs_the_wheel_and_its_command_runs(made: Path, tmp_path: Path) -> None:
    install = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(tmp_path), str(made)]
    done = subprocess.run([sys.executable, "-m", *install], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = subprocess.run(
        [tmp_path / "bin" / "runner-agent", "--help"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert told.stdout.startswith("Usage: runner-agent")


def test_the_same_program_makes_the_same_bytes() -> None:
    assert prefix(bundle(b"mode: fleet")) == prefix(bundle(b"mode: fleet"))


def test_other_settings_are_stored_elsewhere() -> None:
    assert prefix(bundle(b"mode: fleet")) != prefix(bundle(b"mode: fleet "))


def test_the_listing_names_every_file() -> None:
    files = bundle(b"x")
    assert set(files[LISTING].decode().split()) == set(files) - {LISTING}
    assert {CONSTRAINTS, SETTINGS} < set(files)


def test_constraints_name_what_is_needed_and_what_that_needs_but_no_tools() -> None:
    pinned = bundle(b"x")[CONSTRAINTS].decode().splitlines()
    names = {line.partition("==")[0] for line in pinned}
    assert {"boto3", "botocore", "aiohttp"} <= names
    assert not names & {"pytest", "moto", "mypy"}


def test_without_a_settings_file_the_next_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="runner-controller init"):
        read_settings_file(str(tmp_path / "none.yaml"))
