"""`submit`: flags and files to a stored job, nothing on bad input, `--dry-run`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from controller.cli.submit import default_name
from tests.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_quiet_prints_nothing_but_the_id_and_does_not_wait(desk: Desk) -> None:
    result = desk.call("submit", "--output", "quiet", "--", "true")
    job = desk.json("jobs")[0]
    assert (result.stdout, result.stderr) == (f"{job['id']}\n", "")


def test_json_describes_the_job_and_does_not_wait(desk: Desk) -> None:
    job = json.loads(desk.out("submit", "--name", "n", "--array", "3", "--output", "json", "--", "true"))
    assert (job["name"], job["size"], job["status"], job["created"]) == ("n", 3, "RUNNABLE", True)


def test_detach_says_plainly_that_nobody_is_supervising(desk: Desk) -> None:
    result = desk.call("submit", "--name", "n", "--detach", "--", "true")
    assert result.exit_code == 0
    assert "nobody is supervising" in result.stderr


def test_without_an_array_there_is_one_task(desk: Desk) -> None:
    desk.submit("--name", "n")
    assert [task["index"] for task in desk.json("tasks", "n")] == [0]


@pytest.mark.parametrize(
    ("array", "indices"),
    [
        pytest.param("3", [0, 1, 2], id="a size"),
        pytest.param("5-7", [5, 6, 7], id="a range"),
        pytest.param("3,7,10-12", [3, 7, 10, 11, 12], id="a list"),
    ],
)
def test_an_array_is_written_as_size_range_or_list(desk: Desk, array: str, indices: list[int]) -> None:
    desk.submit("--name", "n", "--array", array)
    assert [task["index"] for task in desk.json("tasks", "n")] == indices


def test_everything_behind_the_dashes_is_the_command(desk: Desk) -> None:
    desk.submit("--name", "n", "--", "prog", "--name", "x", "--", "--output=quiet")
    assert desk.json("status", "n")[0]["command"] == ["prog", "--name", "x", "--", "--output=quiet"]


def test_a_command_without_dashes_is_refused_with_the_remedy(desk: Desk) -> None:
    result = desk.call("submit", "echo", "hello")
    assert result.exit_code == 2
    assert "goes behind --" in result.stderr


def test_flags_go_before_the_job_file(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("name: of-file\ncommand: [echo, file]\narray: 7\n")
    desk.out("submit", str(file), "--array", "2", "--output", "quiet")
    job = desk.json("status", "of-file")[0]
    assert (job["size"], job["command"]) == (2, ["echo", "file"])


def test_an_idempotency_key_finds_the_job_again(desk: Desk) -> None:
    flags = ["--name", "n", "--idempotency-key", "k", "--output", "quiet", "--", "true"]
    first = desk.call("submit", *flags)
    second = desk.call("submit", *flags)
    assert second.stdout == first.stdout
    assert "submitted before" in second.stderr
    assert len(desk.json("jobs")) == 1


def test_an_idempotency_key_of_another_job_is_refused(desk: Desk) -> None:
    desk.submit("--name", "n", "--idempotency-key", "k")
    result = desk.call(
        "submit", "--name", "other", "--idempotency-key", "k", "--output", "quiet", "--", "false"
    )
    assert result.exit_code == 2
    assert len(desk.json("jobs")) == 1


def test_after_takes_selectors_and_stores_ids(desk: Desk) -> None:
    first, second = desk.submit("--name", "one"), desk.submit("--name", "two")
    desk.submit("--name", "child", "--after", "one", "--after", second[:6], "--after", first)
    assert desk.json("status", "child")[0]["after"] == [first, second]


def test_a_child_waits_until_its_parent_has_succeeded(desk: Desk) -> None:
    desk.submit("--name", "parent")
    child = desk.submit("--name", "child", "--after", "last")
    assert desk.json("status", child)[0]["status"] == "PENDING"
    desk.work()
    desk.step()
    desk.work()
    assert desk.json("status", child)[0]["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        pytest.param(["--array", "0"], "--array", id="no shards"),
        pytest.param(["--array", "5-1"], "--array", id="a range upside down"),
        pytest.param(["--memory", "much"], "--memory", id="not a size"),
        pytest.param(["--memory", "900TiB"], "--memory", id="more than any machine has"),
        pytest.param(["--vcpus", "1000"], "--vcpus", id="more CPUs than there are"),
        pytest.param(["--timeout", "soon"], "--timeout", id="not a time"),
        pytest.param(["--retries", "-1"], "--retries", id="less than none"),
        pytest.param(["--queue", "nowhere"], "--queue", id="an unknown queue"),
        pytest.param(["--env", "NOVALUE"], "--env", id="no assignment"),
        pytest.param(["--env", "RUNNER_HOME=x"], "--env", id="a reserved name"),
        pytest.param(["--mount", "/nowhere/at/all:/in"], "--mount", id="a source that is not there"),
        pytest.param(["--secret", "TOKEN=file:/nowhere/at/all"], "--secret", id="a secret that is not there"),
        pytest.param(["--name", "../../etc"], "--name", id="a name that is a path"),
        pytest.param(["--each-line", "/nowhere/at/all"], "--each-line", id="lines that are not there"),
    ],
)
def test_bad_flags_are_refused_by_name_before_anything_is_written(
    desk: Desk, flags: list[str], named: str
) -> None:
    result = desk.call("submit", *flags, "--", "true")
    assert result.exit_code == 2
    assert named in result.stderr
    assert not desk.home.exists()


def test_a_secrets_value_is_not_repeated_when_it_stands_in_the_wrong_place(desk: Desk) -> None:
    result = desk.call("submit", "--secret", "TOKEN=hunter2", "--", "true")
    assert result.exit_code == 2
    assert "hunter2" not in result.stderr


def test_every_problem_of_a_file_is_told_with_its_line(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("name: n\ncommand: [x]\nmemry: 2GiB\ntimeout: soon\n")
    result = desk.call("submit", str(file))
    lines = result.stderr.splitlines()
    assert result.exit_code == 2
    assert [line.startswith(f"runner-controller: {file}:{n}") for line, n in zip(lines, (3, 4), strict=True)]
    assert "did you mean 'memory'" in lines[0]


@pytest.mark.parametrize("after", ["nothing", "last"])
def test_a_parent_that_does_not_exist_is_not_found(desk: Desk, after: str) -> None:
    result = desk.call("submit", "--after", after, "--output", "quiet", "--", "true")
    assert (result.exit_code, result.stdout) == (3, "")
    assert desk.json("jobs") == []


def test_an_image_without_a_docker_engine_is_refused_with_both_ways_out(desk: Desk) -> None:
    desk.environment |= {"RUNNER_ENGINE": "auto", "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    result = desk.call("submit", "--image", "busybox", "--output", "quiet", "--", "true")
    assert result.exit_code == 4
    assert "docs.docker.com" in result.stderr
    assert "RUNNER_ENGINE=process" in result.stderr
    assert desk.json("jobs") == []


def test_on_the_process_engine_an_image_needs_no_docker(desk: Desk) -> None:
    desk.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    desk.submit("--name", "n", "--image", "busybox")
    assert desk.json("status", "n")[0]["image"] == "busybox"


def test_a_dry_run_writes_nothing(desk: Desk, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("a\nb\n")
    desk.out("submit", "--each-line", str(lines), "--dry-run", "--", "true")
    assert not desk.home.exists()


def test_a_dry_run_shows_the_first_and_last_shards_with_their_items(desk: Desk, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("".join(f"line {number}\n" for number in range(10)))
    flags = ["--each-line", str(lines), "--dry-run", "--output", "json"]
    shown = json.loads(desk.out("submit", *flags, "--", "true"))
    assert [(task["index"], task["item"]) for task in shown["tasks"]] == [
        (index, f"line {index}") for index in (0, 1, 2, 7, 8, 9)
    ]
    assert (shown["size"], shown["environment"]["RUNNER_ITEM"]) == (10, "line 0")


def test_a_dry_run_of_few_shards_shows_each_once(desk: Desk) -> None:
    shown = json.loads(desk.out("submit", "--array", "4", "--dry-run", "--output", "json", "--", "true"))
    assert [task["index"] for task in shown["tasks"]] == [0, 1, 2, 3]


ARRAYS = (
    [],
    ["--array", "1"],
    ["--array", "7-7"],
    ["--array", "3,5-9"],
    ["--array", "0-100:10"],
    ["--each-line", "lines"],
    ["--each-line", "lines", "--array", "1,2"],
    ["--items", "items.json"],
)


@pytest.mark.parametrize("array", ARRAYS, ids=" ".join)
def test_a_dry_runs_job_is_a_job_file_that_means_the_same(
    desk: Desk, tmp_path: Path, array: list[str]
) -> None:
    (tmp_path / "lines").write_text("a\nb\nc\n")
    (tmp_path / "items.json").write_text('["x", {"y": 1}]')
    array = [str(tmp_path / word) if (tmp_path / word).is_file() else word for word in array]
    flags = ["--name", "n", *array, "--memory", "1GB", "--timeout", "90s", "--retries", "2", "--env", "A=b c"]
    file = tmp_path / "job.yaml"
    dry = ["--dry-run", "--output", "json"]
    shown = json.loads(desk.out("submit", *flags, *dry, "--", "sh", "-c", "echo $A"))
    file.write_text(json.dumps(shown["job"]))
    assert json.loads(desk.out("submit", str(file), *dry)) == shown


@pytest.mark.parametrize(
    ("tail", "name"),
    [
        (["/usr/bin/wc", "-l"], "wc"),
        (["./my script.sh"], "my-script.sh"),
        (["..."], "job"),
        ([], "job"),
    ],
)
def test_a_job_without_a_name_is_called_like_its_program(tail: list[str], name: str) -> None:
    assert default_name(tail) == name


def test_a_dry_run_shows_the_command_by_hand(desk: Desk) -> None:
    desk.environment["RUNNER_ENGINE"] = "auto"
    flags = ["--image", "busybox", "--secret", "TOKEN=env:X", "--dry-run", "--output", "json"]
    shown = json.loads(desk.out("submit", *flags, "--", "echo", "it's"))
    words = shlex.split(shown["command_line"])
    assert words[:3] == ["docker", "run", "--rm"]
    assert words[-3:] == ["busybox", "echo", "it's"]
