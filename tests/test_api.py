"""`from controller import submit, job`."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import controller
from controller import Job, JobFailed, job, submit
from runner.errors import BadInput, Conflict, NotFound
from runner.model import Kind, Status
from tests.desk import Desk, by_index, ended
from tests.faults.installation import Installation


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path)
    for name, value in desk.environment.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return desk


def test_a_submitted_job_is_a_handle(desk: Desk) -> None:
    made = submit(name="n", command=["true"], array=3)
    assert (made.name, made.size, made.status()) == ("n", 3, Status.RUNNABLE)
    assert desk.json("status", "n")[0]["id"] == made.id


def test_a_command_that_is_one_text_is_a_shells(desk: Desk) -> None:
    submit(name="n", command="echo $X", env={"X": "1"})
    assert desk.json("status", "n")[0]["command"] == ["sh", "-c", "echo $X"]


def test_items_are_given_as_they_are(desk: Desk) -> None:
    submit(name="n", command=["true"], items=["a", {"b": 1}])
    assert [task["item"] for task in desk.json("tasks", "n")] == ["a", '{"b":1}']


def test_a_job_file_can_be_changed_by_arguments(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("name: n\ncommand: [x]\narray: 7\n")
    assert submit(file="job.yaml", array=2).size == 2


def test_after_takes_jobs_and_selectors(desk: Desk) -> None:
    first = submit(name="first", command=["true"])
    second = submit(name="second", command=["true"], after=first)
    third = submit(name="third", command=["true"], after=[first, "second"])
    assert desk.json("status", third.id)[0]["after"] == [first.id, second.id]
    assert second.status() is Status.PENDING


@pytest.mark.parametrize("selector", ["n", "last", "{id}", "{prefix}"])
def test_a_job_is_found_by_every_kind_of_selector(desk: Desk, selector: str) -> None:
    made = submit(name="n", command=["true"])
    assert job(selector.format(id=made.id, prefix=made.id[:6])) == made


def test_a_job_that_is_not_there_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound):
        job("nothing")


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"memory": "much"}, "memory"),
        ({"memroy": "1GiB"}, "did you mean 'memory'"),
        ({"array": 0}, "array"),
        ({"retries": {"count": 1, "backof": 2}}, "retries.backof"),
    ],
)
def test_bad_arguments_are_named_as_they_were_given(desk: Desk, keys: dict[str, object], named: str) -> None:
    with pytest.raises(BadInput, match=named) as refused:
        submit(name="n", command=["true"], **keys)  # type: ignore[arg-type]
    assert "--" not in str(refused.value)
    assert not desk.home.exists()


def test_an_idempotency_key_finds_the_job_again(desk: Desk) -> None:
    first = submit(name="n", command=["true"], idempotency_key="k")
    assert submit(name="n", command=["true"], idempotency_key="k") == first
    with pytest.raises(Conflict):
        submit(name="other", command=["true"], idempotency_key="k")


def test_counts_and_tasks_follow_the_work(desk: Desk) -> None:
    made = submit(name="n", command=["true"], array=4)
    desk.work(by_index({2: ended(Kind.FAILED)}))
    assert (made.counts().succeeded, made.counts().failed) == (3, 1)
    assert [task.task.index for task in made.tasks(Status.FAILED)] == [2]
    assert [task.task.index for task in made.tasks()] == [0, 1, 2, 3]


def test_tasks_are_read_page_by_page(desk: Desk) -> None:
    made = submit(name="n", command=["true"], array=2500)
    assert sum(1 for _ in made.tasks()) == 2500


def test_logs_are_the_bytes_a_task_wrote(desk: Desk) -> None:
    made = submit(name="n", command=["true"], array=2)
    assert made.logs(1) == b""
    desk.work(output=lambda attempt: b"\xff%d" % attempt.task.index)
    assert made.logs(1) == b"\xff1"


def test_logs_of_a_task_that_the_job_does_not_have_are_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound):
        submit(name="n", command=["true"]).logs(5)


def test_cancelling_ends_it_once(desk: Desk) -> None:
    made = submit(name="n", command=["true"])
    assert (made.cancel(), made.cancel(), made.status()) == (True, False, Status.CANCELLED)


def test_retrying_says_how_many_tasks_it_opened(desk: Desk) -> None:
    made = submit(name="n", command=["true"], array=3)
    desk.work(by_index({1: ended(Kind.FAILED)}))
    assert (made.retry(), made.status()) == (1, Status.RUNNING)


def test_a_failed_job_raises_its_reason(desk: Desk) -> None:
    made = submit(name="n", command=["true"], array=3)
    made.raise_for_status()
    desk.work(by_index({1: ended(Kind.FAILED)}))
    with pytest.raises(JobFailed, match=r"FAILED: 1 of 3 tasks failed"):
        made.raise_for_status()


def test_waiting_for_what_has_ended_returns_at_once(desk: Desk) -> None:
    made = submit(name="n", command=["true"])
    desk.work()
    assert made.wait(timeout=5) is Status.SUCCEEDED


def test_it_works_where_an_event_loop_runs_already(desk: Desk) -> None:
    async def notebook() -> Status:
        return submit(name="n", command=["true"]).status()

    assert asyncio.run(notebook()) is Status.RUNNABLE


def test_importing_the_package_loads_none_of_it() -> None:
    code = "import sys, controller; print([name for name in sys.modules if name.startswith('controller.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_the_package_does_not_have_is_missing_as_usual() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = controller.nonsense


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    made.end()


@pytest.mark.processes
def test_waiting_does_the_work(installation: Installation) -> None:
    made = submit(name="n", command="echo $RUNNER_TASK_INDEX", array=3, config=installation.config)
    assert made.wait(timeout=60) is Status.SUCCEEDED
    assert made.logs(2) == b"2\n"


@pytest.mark.processes
def test_waiting_no_longer_than_told(installation: Installation) -> None:
    made: Job = submit(name="n", command=["sleep", "600"], config=installation.config)
    with pytest.raises(TimeoutError):
        made.wait(timeout=1)
    assert not made.status().terminal


def test_waiting_inside_a_running_loop_ends_when_it_is_interrupted(desk: Desk) -> None:
    """As in a notebook, whose loop leaves Ctrl-C to Python."""
    made = submit(name="n", command=["sleep", "5"])
    main = threading.get_ident()

    async def cell() -> None:
        threading.Timer(1.0, signal.pthread_kill, [main, signal.SIGINT]).start()
        made.wait()

    loop = asyncio.new_event_loop()
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored, where tests run in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(cell())
    finally:
        signal.signal(signal.SIGINT, before)
        loop.close()
    assert [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")] == []
