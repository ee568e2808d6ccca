"""Where settings come from: `runner.yaml` and the environment. Imports little, for every command comes by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.errors import BadInput, Place
from runner.settings import ENGINES, Settings
from runner.wording import choices, shown

FILE = "runner.yaml"


def load_settings(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Settings:
    """The file's, over the defaults; RUNNER_HOME, RUNNER_ENGINE and DOCKER_HOST go before both.

    The file is `path` (`--config`), else RUNNER_CONFIG, else `./runner.yaml` if it exists. An empty variable
    is not set. Raises BadInput.
    """
    file = _file(path, environ, cwd)
    given = {**(_from_file(file, cwd) if file else {}), **_from_environment(environ, cwd)}
    try:
        return Settings(**given)
    except RuntimeError:  # the default home: a user id without an entry, and no HOME
        problem = "must be set: this user has no home directory"
        raise BadInput(problem, Place(key="RUNNER_HOME")) from None


def _file(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    if path is not None:
        return path
    if named := environ.get("RUNNER_CONFIG"):
        return Path(named)
    return Path(FILE) if (cwd / FILE).exists() else None


def _from_file(file: Path, cwd: Path) -> dict[str, Any]:
    # Imported here: YAML and pydantic cost a tenth of a second, which a command without a file need not pay.
    from runner.settings_file import read_settings

    return read_settings(file, cwd)


def _from_environment(environ: Mapping[str, str], cwd: Path) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if home := environ.get("RUNNER_HOME"):
        given["home"] = _home(home, cwd)
    if engine := environ.get("RUNNER_ENGINE"):
        given["engine"] = _engine(engine)
    if docker_host := environ.get("DOCKER_HOST"):
        given["docker_host"] = docker_host
    return given


def _home(text: str, cwd: Path) -> Path:
    return Path.home() / text[2:] if text.startswith("~/") else cwd / text


def _engine(text: str) -> str:
    if text not in ENGINES:
        problem = f"unknown engine {shown(text)}; {choices(text, ENGINES)}"
        raise BadInput(problem, Place(key="RUNNER_ENGINE"))
    return text
