"""`init`: a settings file to begin with."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from runner.errors import BadInput, Place
from runner.settings import BATCH


def starter(name: str, region: str, mode: str) -> str:
    """On AWS Batch all output goes to a log group: there it is given."""
    text = resources.files("controller.deployment").joinpath("starter.yaml").read_text()
    given = {"name": name, "region": region, "mode": mode, "log_group": "" if mode == BATCH else "# "}
    for key, value in given.items():
        text = text.replace(f"{{{key}}}", value)
    return text


def write_starter(path: Path, text: str) -> None:
    """Raises BadInput if there is something already: never overwrites."""
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        problem = "is there already, and is left as it is: move it away, or name another file"
        raise BadInput(problem, Place(file=str(path))) from None
