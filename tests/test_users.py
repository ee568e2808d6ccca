"""In whose name a job is submitted."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from controller.users import submitter
from runner.codec import USER
from runner.errors import BadInput
from tests.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_who_is_named_goes_first_then_the_variable_then_the_processs_user() -> None:
    assert submitter("ann", {"RUNNER_USER": "ben"}) == "ann"
    assert submitter(None, {"RUNNER_USER": "ben"}) == "ben"
    assert submitter(None, {"RUNNER_USER": ""}) == submitter(None, {}) == getpass.getuser()


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "\x1b[31m", "ann\n", "ä", "x" * 65])
def test_a_name_that_could_do_harm_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="not a user"):
        submitter(name, {})


def test_a_mistaken_variable_is_named() -> None:
    with pytest.raises(BadInput, match="RUNNER_USER"):
        submitter(None, {"RUNNER_USER": "a b"})


def test_names_as_systems_have_them_are_legal() -> None:
    assert all(USER.fullmatch(name) for name in ("ann", "ann.b-c_d", "ann@example.org", "x" * 64))


def test_a_job_says_who_submitted_it(desk: Desk) -> None:
    desk.environment["RUNNER_USER"] = "ann"
    job = desk.submit("--name", "a")
    assert desk.json("jobs")[0]["user"] == "ann"
    assert "ann" in desk.out("jobs")
    assert "User" in desk.out("status", job)


def test_a_mistaken_variable_is_refused_before_anything_is_written(desk: Desk) -> None:
    desk.environment["RUNNER_USER"] = "a b"
    result = desk.call("submit", "--detach", "--", "true")
    assert result.exit_code == 2
    assert desk.json("jobs") == []
