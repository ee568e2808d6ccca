"""The command line, the Python API and the errors are documented in full, and in no word that is not so."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import controller
from controller.api import Job, JobFailed, JobKeys
from controller.cli.main import COMMANDS, cli
from controller.fleet_report import FleetView, environment_objects
from controller.model import EnvironmentCapacity
from controller.report import attempt_object, job_object, outcome_object, task_object
from runner.array import Array
from runner.errors import RunnerError
from runner.model import Job as JobModel
from runner.model import Kind, Outcome, Status, TaskId
from runner.records import AttemptRecord, Counts, JobRecord, Note, TaskRecord
from runner.routing import LOCAL, Routes
from runner.settings import Settings

DOCS = Path(__file__).parent.parent / "docs"
CLI, API, ERRORS = ((DOCS / name).read_text() for name in ("cli.md", "api.md", "errors.md"))


def section(text: str, title: str) -> str:
    return re.split(r"^## ", text.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def option_names(name: str) -> Iterator[str]:
    for parameter in command(name).params:
        if isinstance(parameter, click.Option):
            yield from (*parameter.opts, *parameter.secondary_opts)


every_command = pytest.mark.parametrize("name", COMMANDS)


@every_command
def test_every_command_has_a_section_with_examples(name: str) -> None:
    assert f"runner-controller {name}" in section(CLI, name)


@every_command
def test_every_option_is_documented_with_its_command(name: str) -> None:
    text = section(CLI, name)
    assert [option for option in option_names(name) if f"`{option}`" not in text] == []


@every_command
def test_every_command_teaches_by_examples(name: str) -> None:
    assert f"runner-controller {name}" in (command(name).help or "")


@every_command
def test_every_option_has_a_help_text(name: str) -> None:
    options = [parameter for parameter in command(name).params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


RECORDS = {
    "job": job_object(JobRecord(JobModel("j", "j", ("x",), Array.of_size(1)), Counts()), 0.0),
    "task": task_object(TaskRecord(TaskId("j", 0), Status.RUNNABLE), "j"),
    "outcome": outcome_object(Outcome(Kind.SUCCEEDED)),
    "environment": environment_objects(
        FleetView(
            capacity={LOCAL: EnvironmentCapacity(LOCAL, 1, 1, 0, 0, 1)},
            backlog={},
            hosts=(),
            note=Note(),
            led=True,
            routes=Routes.of(Settings()),
        )
    )[0],
    "attempt": attempt_object(AttemptRecord(TaskId("j", 0), 1, 1, "h#1", 0.0, Outcome(Kind.SUCCEEDED))),
}


@pytest.mark.parametrize("subject", RECORDS)
def test_every_json_key_is_documented(subject: str) -> None:
    assert [key for key in RECORDS[subject] if f"`{key}`" not in section(CLI, "JSON")] == []


@pytest.mark.parametrize("subject", ["job", "task", "environment"])
def test_what_is_listed_has_an_id_and_a_status(subject: str) -> None:
    assert {"id", "status"} <= RECORDS[subject].keys()


@pytest.mark.parametrize("word", [*Kind, *Status])
def test_every_status_and_outcome_is_documented(word: str) -> None:
    assert f"`{word}`" in section(CLI, "JSON")


def reason_codes() -> set[str]:
    """Every code that an explanation's source names, and those that are outcomes and statuses."""
    written = set[str]()
    for module in ("explain", "story", "obstacles"):
        source = (DOCS.parent / "controller" / f"{module}.py").read_text()
        written |= set(re.findall(r'Reason\(\s*"(\w+)"', source))
        written |= set(re.findall(r'code = "(\w+)" if', source)) | set(re.findall(r' else "(\w+)"\n', source))
    return written


def test_every_reasons_code_is_documented() -> None:
    assert "nobody_supervises" in reason_codes()
    assert [code for code in reason_codes() if f"`{code}`" not in section(CLI, "JSON")] == []


def errors(base: type[RunnerError] = RunnerError) -> Iterator[type[RunnerError]]:
    yield base
    for kind in base.__subclasses__():
        yield from errors(kind)


# One class may be reached on several ways.
ALL_ERRORS = list(dict.fromkeys([*errors(), JobFailed]))


@pytest.mark.parametrize("error", ALL_ERRORS)
def test_every_error_is_documented_with_its_exit_status(error: type[RunnerError]) -> None:
    assert f"| `{error.__name__}` | {error.exit_code} |" in ERRORS


@pytest.mark.parametrize("key", JobKeys.__annotations__)
def test_every_key_that_submit_takes_is_the_job_files_or_told_apart(key: str) -> None:
    assert f"| `{key}` |" in (DOCS / "jobfile.md").read_text() + section(API, "submit")


@pytest.mark.parametrize("name", controller.__all__)
def test_every_exported_name_is_documented(name: str) -> None:
    assert f"`{name}" in API


@pytest.mark.parametrize(
    "name", [name for name, _ in inspect.getmembers(Job, inspect.isfunction) if name[0] != "_"]
)
def test_every_method_of_a_job_is_documented(name: str) -> None:
    assert f"`{name}(" in section(API, "Job")


@pytest.mark.parametrize("name", ["submit", "job"])
def test_every_function_has_a_section(name: str) -> None:
    assert f"`{name}(" in section(API, name)


def test_the_python_examples_use_what_there_is() -> None:
    examples = re.findall(r"^```python\n(.*?)^```$", API, re.MULTILINE | re.DOTALL)
    imported = [
        alias.name
        for example in examples
        for node in ast.walk(ast.parse(example))
        if isinstance(node, ast.ImportFrom) and node.module == "controller"
        for alias in node.names
    ]
    assert imported
    assert set(imported) <= set(controller.__all__)
