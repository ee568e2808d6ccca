"""Commands with real agents on the process engine: what a user at a terminal sees happen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.installation import Installation, eventually

pytestmark = pytest.mark.processes


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    made.end()


def finished(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=100)
    return process.returncode, out.decode(), err.decode()


def test_submit_runs_the_job_and_prints_its_numbers(installation: Installation) -> None:
    out = installation.run(
        "submit", "--name", "n", "--array", "5", "--", "sh", "-c", "echo $RUNNER_TASK_INDEX"
    )
    assert "SUCCEEDED" in out
    assert "5: 5 succeeded" in out
    assert installation.run("logs", "n") == "".join(f"{index} | {index}\n" for index in range(5))


def test_a_failed_job_exits_1_and_names_the_next_commands(installation: Installation) -> None:
    script = "echo boom; exit $RUNNER_TASK_INDEX"
    out = installation.run("submit", "--name", "n", "--array", "2", "--", "sh", "-c", script, expect=1)
    job = installation.json("jobs")[0]["id"]
    assert "exit code 1" in out
    assert "boom" in out
    for command in ("explain", "logs"):
        assert f"runner-controller {command} {job}/1" in out
    assert f"runner-controller retry {job}" in out


def test_a_script_can_chain_jobs_by_their_ids(installation: Installation, tmp_path: Path) -> None:
    made = tmp_path / "made"
    script = f"""
        set -e
        run() {{ {sys.executable} -m controller.cli.main "$@"; }}
        first=$(run submit --name first --output quiet -- sh -c 'sleep 0.5; touch {made}')
        run submit --name second --after $first --wait -- test -e {made}
    """
    done = subprocess.run(
        ["sh", "-c", script], env=installation.environment, capture_output=True, timeout=100
    )
    assert done.returncode == 0, done.stderr


def test_a_job_whose_parent_failed_fails_with_the_reason(installation: Installation) -> None:
    installation.submit("--name", "first", "--", "false")
    out = installation.run("submit", "--name", "second", "--after", "first", "--wait", "--", "true", expect=1)
    assert "first (" in out
    assert "1 of 1 tasks did" in out


def test_watch_runs_what_was_submitted_detached(installation: Installation) -> None:
    job = installation.submit("--name", "n", "--array", "3", "--", "true")
    installation.run("watch", job)
    assert installation.json("status", job)[0]["status"] == "SUCCEEDED"


def test_a_second_watch_of_the_same_job_ends_with_the_first(installation: Installation) -> None:
    job = installation.submit("--name", "n", "--", "sleep", "2")
    both = [installation.start("watch", job) for _ in range(2)]
    assert [finished(process)[0] for process in both] == [0, 0]


def test_retry_waits_for_what_it_opened(installation: Installation, tmp_path: Path) -> None:
    script = f"test -e {tmp_path}/mended"
    installation.run("submit", "--name", "n", "--", "sh", "-c", script, expect=1)
    (tmp_path / "mended").touch()
    installation.run("retry", "n")
    assert installation.json("status", "n")[0]["status"] == "SUCCEEDED"


def test_a_running_task_is_cancelled_from_elsewhere(installation: Installation) -> None:
    waiting = installation.start("submit", "--name", "n", "--wait", "--", "sleep", "600")
    eventually(lambda: len(installation.work()) > 0)
    installation.run("cancel", "n")
    code, out, _ = finished(waiting)
    assert (code, "CANCELLED" in out) == (1, True)


def test_following_ends_when_the_job_has(installation: Installation) -> None:
    script = "for n in 1 2 3; do echo $n; sleep 0.5; done"
    waiting = installation.start("submit", "--name", "n", "--array", "2", "--wait", "--", "sh", "-c", script)
    eventually(lambda: len(installation.work()) > 0)
    lines = installation.run("logs", "n", "-f").splitlines()
    assert sorted(lines) == [f"{index} | {n}" for index in (0, 1) for n in (1, 2, 3)]
    assert finished(waiting)[0] == 0


def test_waiting_ends_soon_after_the_job(installation: Installation) -> None:
    installation.run("submit", "--name", "warm", "--wait", "--", "true")
    installation.run("submit", "--name", "n", "--wait", "--", "sleep", "1")
    returned = time.time()
    assert returned - installation.json("status", "n")[0]["finished_at"] < 2.0


def test_an_interrupted_second_time_stops_at_once(installation: Installation) -> None:
    waiting = installation.start("submit", "--name", "n", "--wait", "--", "sleep", "600")
    eventually(lambda: len(installation.work()) > 0)
    waiting.send_signal(signal.SIGINT)
    time.sleep(0.5)
    waiting.send_signal(signal.SIGINT)
    code, _, err = finished(waiting)
    assert code == 130
    assert "runner-controller watch" in err
    assert not installation.work()


def test_serve_does_the_work_until_told_to_stop(installation: Installation) -> None:
    serving = installation.start("serve")
    job = installation.submit("--name", "n", "--array", "3", "--", "true")
    eventually(lambda: installation.json("status", job)[0]["status"] == "SUCCEEDED")
    detached = installation.start("submit", "--name", "m", "--detach", "--", "true")
    assert "nobody is supervising" not in finished(detached)[2]
    serving.send_signal(signal.SIGTERM)
    code, _, err = finished(serving)
    assert (code, "Traceback" in err) == (0, False)
    eventually(lambda: not installation.agents(), seconds=20)


def test_a_reader_that_has_had_enough_is_no_error(installation: Installation) -> None:
    installation.submit("--name", "n", "--array", "20000", "--", "true")
    command = f"{sys.executable} -m controller.cli.main tasks n | head -n 2"
    done = subprocess.run(
        ["sh", "-c", command], env=installation.environment, capture_output=True, timeout=100
    )
    assert (done.stdout.count(b"\n"), done.stderr) == (2, b"")


def test_a_reading_command_starts_without_what_it_does_not_need(installation: Installation) -> None:
    installation.submit("--name", "n", "--", "true")
    dear = ("rich", "structlog", "psutil", "aiohttp", "yaml", "pydantic")
    code = (
        "import sys; from click.testing import CliRunner; from controller.cli.main import cli; "
        "CliRunner().invoke(cli, ['status', 'n'], catch_exceptions=False); "
        f"print([name for name in {dear} if name in sys.modules])"
    )
    environment = {**os.environ, "RUNNER_HOME": str(installation.home), "RUNNER_CONFIG": ""}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=installation.folder / "home",
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]", done.stderr
