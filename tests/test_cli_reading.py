"""The commands that only read: `jobs`, `status`, `tasks`, `explain`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from runner.model import Kind
from tests.desk import Desk, by_index, ended

HOSTILE = "\x1b[31mred\x07 [bold]not markup[/bold] \u202eleft"
SHOWN = "\\x1b[31mred\\x07 [bold]not markup[/bold] \\u202eleft"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def failed(desk: Desk) -> str:
    """A job of five tasks of which 1 and 3 failed."""
    job = desk.submit("--name", "bad", "--array", "5")
    desk.work(by_index({1: ended(Kind.FAILED, tail=("boom",)), 3: ended(Kind.TIMED_OUT, reason="too long")}))
    return job


def test_a_new_installation_has_no_jobs(desk: Desk) -> None:
    assert desk.json("jobs") == []


def test_jobs_are_listed_newest_first(desk: Desk) -> None:
    first, second = desk.submit("--name", "one"), desk.submit("--name", "two")
    assert desk.out("jobs", "--output", "quiet").split() == [second, first]


def test_jobs_can_be_limited(desk: Desk) -> None:
    desk.submit("--name", "one")
    second = desk.submit("--name", "two")
    assert [job["id"] for job in desk.json("jobs", "--limit", "1")] == [second]


def test_jobs_can_be_chosen_by_name(desk: Desk) -> None:
    first = desk.submit("--name", "one")
    desk.submit("--name", "two")
    assert [job["id"] for job in desk.json("jobs", "--name", "one")] == [first]


def test_status_without_a_selector_shows_what_has_not_ended(desk: Desk, failed: str) -> None:
    open_job = desk.submit("--name", "open")
    assert [job["id"] for job in desk.json("status")] == [open_job]


def test_status_without_a_selector_shows_the_last_job_when_all_have_ended(desk: Desk, failed: str) -> None:
    assert [job["id"] for job in desk.json("status")] == [failed]


@pytest.mark.parametrize("selector", ["last", "bad", "{id}", "{prefix}"])
def test_status_finds_a_job_by_every_kind_of_selector(desk: Desk, failed: str, selector: str) -> None:
    chosen = selector.format(id=failed, prefix=failed[:5])
    assert desk.json("status", chosen)[0]["id"] == failed


def test_status_of_all_shows_all(desk: Desk, failed: str) -> None:
    desk.submit("--name", "two")
    assert len(desk.json("status", "all")) == 2


def test_status_for_people_says_why_a_job_waits(desk: Desk) -> None:
    desk.submit("--name", "open")
    assert "Nobody is supervising" in desk.out("status", "open")


def test_tasks_are_listed_begun_or_not(desk: Desk) -> None:
    job = desk.submit("--name", "half", "--array", "0-9", "--max-parallel", "4")
    desk.work()
    assert [(task["index"], task["status"]) for task in desk.json("tasks", job)] == [
        (index, "SUCCEEDED" if index < 4 else "RUNNABLE") for index in range(10)
    ]


def test_tasks_can_be_filtered_by_several_statuses(desk: Desk, failed: str) -> None:
    filters = ["--filter", "failed", "--filter", "running"]
    assert [task["index"] for task in desk.json("tasks", failed, *filters)] == [1, 3]


def test_tasks_in_quiet_are_names_that_other_commands_take(desk: Desk, failed: str) -> None:
    shown = desk.out("tasks", failed, "--filter", "failed", "--output", "quiet").split()
    assert shown == [f"{failed}/1", f"{failed}/3"]


def test_a_tasks_json_has_its_outcome(desk: Desk, failed: str) -> None:
    task = desk.json("tasks", failed, "--filter", "failed", "--limit", "1")[0]
    outcome = task["outcome"]
    assert (outcome["kind"], outcome["exit_code"], outcome["tail"]) == ("failed", 3, ["boom"])


def test_an_empty_listing_is_an_empty_array(desk: Desk, failed: str) -> None:
    assert desk.json("tasks", failed, "--filter", "running") == []


def test_tasks_show_their_items(desk: Desk, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("alpha\nbeta\n")
    desk.submit("--name", "lines", "--each-line", str(lines))
    assert [task["item"] for task in desk.json("tasks", "lines")] == ["alpha", "beta"]
    assert "beta" in desk.out("tasks", "lines")


def test_a_succeeded_task_shows_what_it_reported_of_itself(desk: Desk) -> None:
    desk.submit("--name", "score")
    desk.work(lambda _: ended(metadata={"r2": "0.9"}))
    assert "r2=0.9" in desk.out("tasks", "score")


def test_explain_says_why_a_task_failed(desk: Desk, failed: str) -> None:
    text = desk.out("explain", f"{failed}/1")
    assert "Attempt 1 on local-1 failed after 2s." in text
    assert "    boom" in text


def test_explain_in_json_has_codes_for_programs(desk: Desk, failed: str) -> None:
    explained = desk.json("explain", f"{failed}/3")
    assert explained["id"] == f"{failed}/3"
    assert explained["reasons"][0]["code"] == "timed_out"
    assert explained["past_attempts"][0]["outcome"]["reason"] == "too long"


def test_explain_of_a_waiting_child_names_its_parent(desk: Desk) -> None:
    parent = desk.submit("--name", "parent")
    desk.submit("--name", "child", "--after", "parent")
    explained = desk.json("explain", "child")
    assert parent in explained["reasons"][0]["text"]
    assert explained["reasons"][0]["code"] == "waits_for_job"


@pytest.mark.parametrize(
    "command", [["status", "bad"], ["tasks", "bad"], ["explain", "bad/0"], ["explain", "bad"]]
)
def test_hostile_text_cannot_steer_the_terminal(desk: Desk, command: list[str]) -> None:
    desk.submit("--name", "bad", "--", "echo", HOSTILE)
    desk.work(lambda _: ended(Kind.FAILED, reason=HOSTILE, tail=(HOSTILE,), metadata={"k": HOSTILE}))
    shown = desk.out(*command)
    assert SHOWN in shown
    assert all(char.isprintable() or char == "\n" for char in shown)


def test_hostile_text_survives_in_json(desk: Desk) -> None:
    desk.submit("--name", "bad", "--", "echo", HOSTILE)
    assert desk.json("status", "bad")[0]["command"] == ["echo", HOSTILE]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param(["status", "nothing"], 3, id="no such job"),
        pytest.param(["tasks", "last"], 3, id="no job at all"),
        pytest.param(["jobs", "--limit", "0"], 2, id="a limit out of bounds"),
        pytest.param(["jobs", "--output", "xml"], 2, id="an unknown format"),
        pytest.param(["tasks"], 2, id="a missing argument"),
        pytest.param(["nonsense"], 2, id="an unknown command"),
    ],
)
def test_what_cannot_be_done_has_its_exit_status(desk: Desk, command: list[str], code: int) -> None:
    result = desk.call(*command)
    assert (result.exit_code, result.stdout) == (code, "")


def test_an_error_is_one_line_on_stderr(desk: Desk) -> None:
    result = desk.call("status", "nothing\x1b[0m")
    assert result.stderr.startswith("runner-controller: no job with the id")
    assert result.stderr.count("\n") == 1
    assert "\x1b" not in result.stderr


def test_a_database_that_cannot_be_opened_is_out_of_reach(desk: Desk) -> None:
    desk.home.mkdir()
    (desk.home / "runner.db").write_bytes(b"not a database, but long enough to be one" * 100)
    result = desk.call("jobs")
    assert result.exit_code == 4
    assert str(desk.home) in result.stderr


def test_listing_failures_of_a_huge_job_takes_no_longer_than_of_a_small_one(desk: Desk) -> None:
    for name, size in (("small", "1000"), ("huge", "1000000")):
        desk.submit("--name", name, "--array", size)
        desk.work(by_index({5: ended(Kind.FAILED)}))
    times: dict[str, float] = {}
    for name in ("small", "huge", "small", "huge"):
        start = time.perf_counter()
        assert len(json.loads(desk.out("tasks", name, "--filter", "failed", "--output", "json"))) == 1
        times[name] = min(times.get(name, 1e9), time.perf_counter() - start)
    assert times["huge"] < 2 * times["small"] + 0.1
