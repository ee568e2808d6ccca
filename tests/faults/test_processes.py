"""Faults with real agents, killed, frozen and restarted, on the process engine. Nothing is emulated."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.installation import LEASE, Installation, eventually

pytestmark = pytest.mark.processes


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    made.end()


def test_an_agent_killed_in_the_middle_leaves_no_process_and_its_task_runs_again(
    installation: Installation,
) -> None:
    job = installation.submit("--name", "n", "--", "sh", "-c", "test $RUNNER_ATTEMPT = 2 || sleep 600")
    killed = installation.agent()
    eventually(lambda: len(installation.work()) > 0)
    first = {process.pid for process in installation.work()}
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    installation.agent()
    eventually(lambda: installation.json("status", job)[0]["status"] == "SUCCEEDED")
    assert not first & {process.pid for process in installation.work()}
    assert installation.tasks(job)[0]["infra_failures"] == 1


def test_the_watchdog_stops_the_processes_of_an_agent_that_is_never_restarted(
    installation: Installation,
) -> None:
    installation.submit("--name", "n", "--", "sleep", "600")
    agent = installation.agent()
    eventually(lambda: len(installation.work()) > 0)
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    eventually(lambda: not installation.work(), seconds=LEASE + 10)
    eventually(lambda: not installation.agents(), seconds=10)


def test_a_frozen_agents_late_result_does_not_stand(installation: Installation) -> None:
    job = installation.submit(
        "--name", "n", "--", "sh", "-c", "test $RUNNER_ATTEMPT = 2 && echo second || sleep 600"
    )
    frozen = installation.agent("local-1")
    eventually(lambda: len(installation.work()) > 0)
    frozen.send_signal(signal.SIGSTOP)
    installation.agent("other-host")
    eventually(lambda: installation.json("status", job)[0]["status"] == "SUCCEEDED", seconds=90)
    before = installation.tasks(job)
    frozen.send_signal(signal.SIGCONT)
    eventually(lambda: not installation.work(), seconds=LEASE + 10)
    frozen.send_signal(signal.SIGTERM)
    frozen.wait(30)
    assert installation.tasks(job) == before
    assert before[0]["infra_failures"] == 1


def test_a_second_agent_on_the_same_host_is_refused(installation: Installation) -> None:
    installation.agent()
    eventually((installation.home / "hosts" / "local-1" / "pulse").exists)
    assert installation.agent().wait(20) == 4


def test_everything_killed_in_the_middle_of_ten_thousand_tasks_loses_and_doubles_nothing(
    installation: Installation,
) -> None:
    marks = installation.folder / "marks"
    script = f'echo "$RUNNER_TASK_INDEX" >> {marks}'
    command = installation.start(
        "submit", "--name", "n", "--array", "10000", "--wait", "--", "sh", "-c", script
    )
    for goal in (1000, 4000):
        eventually(lambda goal=goal: marks.exists() and len(marks.read_text().split()) > goal, seconds=100)
        os.killpg(command.pid, signal.SIGKILL)
        command.wait()
        for process in installation.agents():
            process.kill()
        command = installation.start("watch", "all")
    command.communicate(timeout=200)
    status = installation.json("status", "last")[0]
    assert status["counts"]["succeeded"] == 10_000
    ran = marks.read_text().split()
    assert set(ran) == {str(index) for index in range(10_000)}
    # Executed at least once, recorded exactly once: what ran twice is what was running at a kill.
    assert len(ran) - 10_000 <= 2 * 200


def test_two_submits_at_once_both_end(installation: Installation) -> None:
    both = [
        installation.start("submit", "--name", name, "--array", "50", "--wait", "--", "true")
        for name in ("one", "two")
    ]
    for process in both:
        process.communicate(timeout=100)
    assert [process.returncode for process in both] == [0, 0]


def test_the_next_command_carries_on_what_an_interrupted_one_left(installation: Installation) -> None:
    command = installation.start("submit", "--name", "n", "--array", "4", "--wait", "--", "sleep", "2")
    eventually(lambda: len(installation.work()) > 0)
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=60)
    assert command.returncode == 130
    eventually(lambda: not installation.work(), seconds=20)
    installation.run("watch", "n")
    record = installation.json("status", "n")[0]
    assert (record["status"], record["counts"]["succeeded"]) == ("SUCCEEDED", 4)


def test_agents_nobody_supervises_finish_what_they_have_and_end(installation: Installation) -> None:
    command = installation.start("submit", "--name", "n", "--array", "100", "--wait", "--", "sleep", "1")
    eventually(lambda: len(installation.work()) > 0)
    os.killpg(command.pid, signal.SIGKILL)
    command.wait()
    eventually(lambda: not installation.agents(), seconds=40)
    assert not installation.work()
    record = installation.json("status", "n")[0]
    assert record["counts"]["failed"] == 0
    assert record["counts"]["runnable"] > 50
