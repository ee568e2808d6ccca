"""The commands that change what was submitted: `cancel`, `retry`; and `reproduce`, which runs it once more."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runner.model import Attempt, Kind
from tests.desk import Desk, by_index, ended


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def status(desk: Desk, job: str) -> str:
    found: str = desk.json("status", job)[0]["status"]
    return found


def test_cancelling_says_what_was_cancelled(desk: Desk) -> None:
    job = desk.submit("--name", "n")
    assert desk.out("cancel", "n") == f"cancelled n ({job})\n"
    assert status(desk, job) == "CANCELLED"


def test_cancelling_all_spares_what_has_ended(desk: Desk) -> None:
    ended_job = desk.submit("--name", "ended")
    desk.work()
    open_jobs = [desk.submit("--name", name) for name in ("one", "two")]
    assert sorted(desk.out("cancel", "all", "--yes", "--output", "quiet").split()) == sorted(open_jobs)
    assert status(desk, ended_job) == "SUCCEEDED"


def test_cancelling_what_has_ended_changes_nothing_and_says_so(desk: Desk) -> None:
    job = desk.submit("--name", "n")
    desk.work()
    result = desk.call("cancel", "n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "ended already: SUCCEEDED" in result.stderr
    assert status(desk, job) == "SUCCEEDED"


def test_cancelling_running_tasks_says_when_they_learn_of_it(desk: Desk) -> None:
    desk.submit("--name", "n", "--array", "2")
    desk.work(lambda _: None)
    assert "2 running tasks learn of it within about 2 s" in desk.call("cancel", "n").stderr


def test_cancelled_jobs_in_json_are_shown_as_they_are_now(desk: Desk) -> None:
    desk.submit("--name", "n")
    assert [job["status"] for job in desk.json("cancel", "n")] == ["CANCELLED"]


def test_retrying_opens_only_what_failed(desk: Desk) -> None:
    job = desk.submit("--name", "n", "--array", "4")
    desk.work(by_index({1: ended(Kind.FAILED), 2: ended(Kind.FAILED)}))
    result = desk.call("retry", "n", "--detach")
    assert result.exit_code == 0
    assert "2 tasks will run again" in result.stderr
    runnable = desk.json("tasks", job, "--filter", "runnable")
    assert [task["index"] for task in runnable] == [1, 2]


def test_a_retried_job_can_succeed(desk: Desk) -> None:
    job = desk.submit("--name", "n", "--array", "4")
    desk.work(by_index({1: ended(Kind.FAILED)}))
    desk.out("retry", "n", "--output", "quiet")
    desk.step()
    desk.work()
    assert status(desk, job) == "SUCCEEDED"


def test_retrying_what_succeeded_says_that_there_is_nothing_to_do(desk: Desk) -> None:
    desk.submit("--name", "n")
    desk.work()
    result = desk.call("retry", "n")
    assert result.exit_code == 0
    assert "nothing to retry" in result.stderr


def test_retrying_downstream_opens_the_jobs_that_ended_because_of_it(desk: Desk) -> None:
    parent = desk.submit("--name", "parent")
    child = desk.submit("--name", "child", "--after", "parent")
    desk.work(lambda _: ended(Kind.FAILED))
    desk.step()
    assert status(desk, child) == "FAILED"
    opened = desk.out("retry", "parent", "--downstream", "--output", "quiet").split()
    assert opened == [parent, child]
    assert status(desk, child) == "PENDING"


def test_a_childs_record_says_which_parent_failed(desk: Desk) -> None:
    desk.submit("--name", "parent")
    child = desk.submit("--name", "child", "--after", "parent")
    desk.work(lambda _: ended(Kind.FAILED))
    desk.step()
    assert desk.json("status", child)[0]["reason"].startswith("parent (")


def test_reproducing_runs_the_task_with_its_own_environment(
    desk: Desk, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("alpha\nbeta\n")
    desk.submit(
        "--name", "n", "--each-line", str(lines), "--", "sh", "-c", 'echo "$RUNNER_ITEM:$RUNNER_TASK_INDEX"'
    )
    assert desk.call("reproduce", "n/1").exit_code == 0
    assert capfd.readouterr().out == "beta:1\n"


@pytest.mark.parametrize(
    ("script", "code"), [("exit 7", 7), ("kill -TERM $$", 143)], ids=["its exit code", "its signal"]
)
def test_reproducing_exits_as_the_program_does(desk: Desk, script: str, code: int) -> None:
    desk.submit("--name", "n", "--", "sh", "-c", script)
    assert desk.call("reproduce", "n").exit_code == code


def test_reproducing_a_missing_program_exits_as_a_shell_would(desk: Desk) -> None:
    desk.submit("--name", "n", "--", "no-such-program")
    assert desk.call("reproduce", "n").exit_code == 127


def test_reproducing_leaves_nothing_behind(desk: Desk, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    desk.submit("--name", "n", "--", "sh", "-c", f'pwd > {seen}; touch "$RUNNER_SCRATCH/rest"')
    before = desk.json("tasks", "n")
    desk.call("reproduce", "n")
    assert not Path(seen.read_text().strip()).exists()
    assert desk.json("tasks", "n") == before


def test_reproducing_reads_secrets_anew(
    desk: Desk, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "token"
    secret.write_text("hunter2\n")
    desk.submit("--name", "n", "--secret", f"TOKEN=file:{secret}", "--", "sh", "-c", 'echo "$TOKEN"')
    desk.call("reproduce", "n")
    assert capfd.readouterr().out == "hunter2\n"


def test_printing_a_reproduction_never_shows_a_secret(desk: Desk, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("hunter2\n")
    desk.submit("--name", "n", "--secret", f"TOKEN=file:{secret}", "--", "sh", "-c", 'echo "$TOKEN"')
    result = desk.call("reproduce", "n", "--print")
    assert "hunter2" not in result.stdout + result.stderr
    assert "needs in its environment: TOKEN" in result.stderr


def test_a_printed_reproduction_can_be_run_by_hand(desk: Desk, tmp_path: Path) -> None:
    desk.submit(
        "--name", "n", "--env", "X=it's", "--array", "3", "--", "sh", "-c", 'echo "$X $RUNNER_TASK_INDEX"'
    )
    line = desk.out("reproduce", "n/2", "--print")
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert done.stdout == "it's 2\n"


def test_a_container_is_printed_as_a_docker_line_with_its_digest(desk: Desk) -> None:
    desk.submit("--name", "n", "--image", "busybox")
    desk.work(lambda _: ended(image_digest="sha256:" + "a" * 64))
    words = shlex.split(desk.out("reproduce", "n", "--print"))
    assert words[:3] == ["docker", "run", "--rm"]
    assert words[-2:] == ["sha256:" + "a" * 64, "true"]


def test_an_earlier_attempt_can_be_reproduced(desk: Desk) -> None:
    desk.submit("--name", "n", "--retries", "1")

    def fail_once(attempt: Attempt) -> object:
        return ended(Kind.FAILED if attempt.number == 1 else Kind.SUCCEEDED)

    desk.work(fail_once)  # type: ignore[arg-type]
    assert "RUNNER_ATTEMPT=1 " in desk.out("reproduce", "n", "--print", "--attempt", "1")
    assert desk.call("reproduce", "n", "--print", "--attempt", "9").exit_code == 3


def on_a_terminal(desk: Desk, *arguments: str, typed: bytes = b"") -> tuple[str, int]:
    """What a command shows on a terminal, and its exit status."""
    leader, follower = pty.openpty()
    environment = {
        **os.environ,
        "TERM": "xterm",
        **{name: value for name, value in desk.environment.items() if value},
    }
    command = [sys.executable, "-m", "controller.cli.main", *arguments]
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True
    )
    os.close(follower)
    os.write(leader, typed)
    shown = b""
    try:
        while data := os.read(leader, 65536):
            shown += data
    except OSError:
        pass  # how Linux says that the other side is closed
    os.close(leader)
    return shown.decode(), process.wait()


def test_cancelling_all_asks_on_a_terminal(desk: Desk) -> None:
    job = desk.submit("--name", "n")
    shown, code = on_a_terminal(desk, "cancel", "all", typed=b"n\n")
    assert "Cancel 1 jobs?" in shown
    assert (code, status(desk, job)) == (130, "RUNNABLE")


def test_logs_on_a_terminal_cannot_steer_it(desk: Desk) -> None:
    desk.submit("--name", "n", "--array", "2")
    desk.work(output=lambda _: b"\x1b]0;owned\x07\tline\r\n")
    shown, code = on_a_terminal(desk, "logs", "n/1")
    assert (shown, code) == ("\\x1b]0;owned\\x07\tline\r\n", 0)


def test_a_status_has_its_colour_on_a_terminal_only(desk: Desk) -> None:
    desk.submit("--name", "n")
    assert "\x1b[36mRUNNABLE\x1b[0m" in on_a_terminal(desk, "jobs")[0]
    assert "\x1b" not in desk.out("jobs")


def test_colour_can_be_refused(desk: Desk) -> None:
    desk.submit("--name", "n")
    desk.environment["NO_COLOR"] = "1"
    assert "\x1b" not in on_a_terminal(desk, "jobs")[0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_behind_the_output_is_one_line(desk: Desk) -> None:
    desk.submit("--name", "n")
    given = {**os.environ, **{name: value for name, value in desk.environment.items() if value}}
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "controller.cli.main", "jobs"]
        done = subprocess.run(command, env=given, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 4
    assert done.stderr.startswith(b"runner-controller: ")
    assert done.stderr.count(b"\n") == 1
