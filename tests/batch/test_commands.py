"""The commands, on one machine whose settings have a section `batch`: real but for AWS Batch itself, which is simulated
behind HTTP, and for its time, which passes faster. A task's command is run by a real shell."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from controller.cli.supervision import say_what_still_runs
from controller.simulation.services.batch_job import Job as BatchJob
from controller.simulation.services.service import denied
from controller.waiting import until_ended
from controller.wiring import open_parts
from runner.aws import AwsError
from tests.batch.endpoint import Endpoint, serving
from tests.batch.worlds import on_batch
from tests.desk import Desk, idle_supervisor

SETTINGS = """\
batch:
  name: laptop
  region: eu-west-1
  interval: 1s
  queues: {default: {job_queue: default}}
"""
MINUTE = 60.0
BOOTED = 110.0


class BatchDesk(Desk):
    """`step` is one of a supervisor that was just started, and then ends."""

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        super().__init__(folder)
        self.endpoint = endpoint
        (folder / "runner.yaml").write_text(SETTINGS)
        self.environment |= {**endpoint.environment, "RUNNER_CONFIG": str(folder / "runner.yaml")}

    def step(self, *, resign: bool = True) -> None:
        async def once() -> None:
            async with open_parts(self.settings) as parts:
                supervisor = idle_supervisor(parts)
                await supervisor.step()
                if resign:
                    await supervisor.resign()

        asyncio.run(once())

    def to_batch(self, *arguments: str) -> str:
        return self.submit("--backend", "batch", "--image", "busybox", *arguments)

    def live(self) -> list[BatchJob]:
        return [job for job in self.endpoint.batch.jobs.values() if not job.over]

    @contextmanager
    def led(self) -> Iterator[None]:
        """As if somebody went on supervising."""

        async def tell(lead: bool) -> None:
            async with open_parts(self.settings) as parts:
                if lead:
                    await parts.records.lead("test", 60.0)
                else:
                    await parts.records.resign("test")

        asyncio.run(tell(True))
        yield
        asyncio.run(tell(False))

    def steps(self, count: int, seconds: float = MINUTE) -> None:
        for _ in range(count):
            self.step()
            self.endpoint.pass_time(seconds)
        self.step()

    def codes(self, selector: str) -> list[str]:
        return [reason["code"] for reason in self.json("explain", selector)["reasons"]]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchDesk]:
    """Time passes there only when it is told to."""
    with serving(on_batch, speed=0) as endpoint:
        for name, value in endpoint.environment.items():
            monkeypatch.setenv(name, value)
        yield BatchDesk(tmp_path, endpoint)


def shell(text: str) -> tuple[str, ...]:
    return "--", "sh", "-c", text


def job_of(desk: Desk, job_id: str) -> Any:
    (found,) = desk.json("status", job_id)
    return found


@pytest.mark.processes
def test_who_waits_supervises_and_sees_the_job_end(tmp_path: Path) -> None:
    with serving(on_batch, speed=60) as endpoint:
        wait_for_a_job(BatchDesk(tmp_path, endpoint))


def wait_for_a_job(desk: BatchDesk) -> None:
    words = shell('echo "shard $RUNNER_TASK_INDEX"; exit $((AWS_BATCH_JOB_ARRAY_INDEX == 3))')
    arguments = ("--backend", "batch", "--image", "busybox", "--array", "3-4", "--wait")
    result = desk.call("submit", "--name", "waited", *arguments, *words)
    assert result.exit_code == 1, result.stderr
    assert "1 of its 2 tasks failed" in desk.out("explain", "waited")
    assert desk.out("logs", "waited/4") == "shard 4\n"


def test_until_somebody_supervises_nothing_is_handed_over(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "2")
    assert desk.codes(job_id) == ["nobody_supervises"]
    assert not desk.endpoint.batch.jobs


def test_what_is_submitted_shows_where_it_runs(desk: BatchDesk) -> None:
    job_id = desk.to_batch()
    assert job_of(desk, job_id)["backend"] == "batch"
    assert ["Backend", "batch"] in [line.split() for line in desk.out("status", job_id).splitlines()]


def test_explain_tells_what_aws_batch_says_of_a_job_that_waits(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "2")
    desk.endpoint.batch.running.hesitant = True
    desk.step()
    desk.endpoint.pass_time(5)
    with desk.led():
        assert desk.codes(job_id) == ["batch_reason"]
        assert "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE" in desk.out("explain", job_id)


def test_explain_tells_of_a_queue_that_is_disabled(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "2")
    desk.step()
    desk.endpoint.batch.queues["default"].state = "DISABLED"
    with desk.led():
        assert desk.codes(job_id)[0] == "batch_queue"


def test_explain_says_so_where_aws_does_not_answer(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "2")
    desk.step()
    desk.endpoint.batch.down = denied()
    with desk.led():
        assert desk.codes(job_id) == ["backend_silent"]


def test_explain_says_when_the_settings_have_lost_the_section(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "2")
    (desk.home.parent / "runner.yaml").write_text("mode: embedded\n")
    with desk.led():
        (reason,) = desk.json("explain", job_id)["reasons"]
    assert reason["code"] == "unknown_backend"
    assert "write it again" in reason["text"]


def test_who_waits_for_a_job_that_runs_nowhere_any_more_is_told(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "2")
    (desk.home.parent / "runner.yaml").write_text("mode: embedded\n")
    seen: list[str] = []

    async def wait() -> None:
        async with open_parts(desk.settings) as parts:
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await until_ended(parts, [job_id], lambda view: seen.append(view.trouble))

    asyncio.run(wait())
    assert f"runner-controller explain {job_id}" in seen[-1]


def test_explain_tells_what_keeps_whoever_supervises_from_handing_it_over(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "2")
    desk.endpoint.batch.failing["register_job_definition"] = deque([denied()] * 10)
    with pytest.raises(AwsError):
        desk.step(resign=False)
    assert desk.codes(job_id) == ["supervisor_trouble"]
    assert "batch:RegisterJobDefinition failed: AccessDenied" in desk.out("explain", job_id)


def test_explain_is_silent_about_trouble_that_is_over(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "2")
    desk.endpoint.batch.failing["register_job_definition"] = deque([denied()])
    with pytest.raises(AwsError):
        desk.step(resign=False)
    desk.step(resign=False)
    assert desk.codes(job_id) == ["batch_waits"]


def test_a_running_task_is_told_by_its_batch_job_and_no_agent_is_missed(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "2")
    desk.step()
    desk.endpoint.pass_time(BOOTED)
    desk.step()
    with desk.led():
        assert desk.codes(f"{job_id}/1") == ["running"]
        batch_id = next(iter(desk.endpoint.batch.jobs))
        assert f"AWS Batch job {batch_id}:1" in desk.out("explain", f"{job_id}/1")


def test_logs_are_read_from_cloudwatch_while_a_task_runs_and_after(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "3-4", *shell('echo "shard $RUNNER_TASK_INDEX"'))
    desk.step()
    desk.endpoint.pass_time(BOOTED)
    desk.step()
    assert job_of(desk, job_id)["counts"]["running"] == 2
    assert desk.out("logs", job_id) == "3 | shard 3\n4 | shard 4\n"
    desk.steps(3)
    assert job_of(desk, job_id)["status"] == "SUCCEEDED"
    assert desk.out("logs", f"{job_id}/4") == "shard 4\n"


def test_cancel_terminates_what_aws_batch_runs(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "3")
    desk.step()
    desk.endpoint.pass_time(BOOTED)
    desk.step()
    desk.out("cancel", job_id)
    desk.endpoint.pass_time(5)
    assert not desk.live()
    desk.steps(2)
    assert job_of(desk, job_id)["status"] == "CANCELLED"


def test_what_could_not_be_stopped_is_stopped_by_whoever_supervises_next(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "3")
    desk.step()
    desk.endpoint.batch.down = denied()
    assert "goes on elsewhere until somebody supervises" in desk.call("cancel", job_id).stderr
    desk.endpoint.batch.down = None
    assert (job_of(desk, job_id)["status"], len(desk.live())) == ("CANCELLED", 1)
    desk.steps(2)
    assert not desk.live()


def test_where_somebody_supervises_the_command_leaves_it_to_that_one(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "3")
    desk.step()
    with desk.led():
        desk.out("cancel", job_id)
    assert not desk.endpoint.batch.called("terminate_job")


def test_retry_submits_the_failed_shards_alone(desk: BatchDesk) -> None:
    job_id = desk.to_batch("--array", "4", *shell("exit $((AWS_BATCH_JOB_ARRAY_INDEX / 2))"))
    desk.steps(4)
    assert job_of(desk, job_id)["counts"]["failed"] == 2
    desk.call("retry", job_id, "--detach")
    desk.step()
    (latest,) = desk.live()
    assert latest.size == 2
    desk.steps(3)
    assert job_of(desk, job_id)["round"] == 2
    codes = [each["outcome"]["exit_code"] for each in desk.json("tasks", job_id)]
    assert codes == [0, 0, 1, 1]


def test_a_chain_goes_from_this_machine_to_aws_batch_and_back(desk: BatchDesk) -> None:
    first = desk.submit("--array", "2")
    second = desk.to_batch("--array", "2", "--after", first)
    third = desk.submit("--after", second)
    desk.step()
    assert not desk.endpoint.batch.jobs
    desk.work()
    desk.steps(4)
    assert job_of(desk, second)["status"] == "SUCCEEDED"
    desk.work()
    assert job_of(desk, third)["status"] == "SUCCEEDED"


def test_a_failure_there_ends_what_comes_after_here_and_retry_opens_both(desk: BatchDesk) -> None:
    mark = desk.home.parent / "mended"
    first = desk.to_batch(*shell(f"test -e {mark}"))
    second = desk.submit("--after", first)
    desk.steps(4)
    assert [job_of(desk, each)["status"] for each in (first, second)] == ["FAILED", "FAILED"]
    mark.touch()
    desk.call("retry", "--downstream", first, "--detach")
    desk.steps(4)
    desk.work()
    assert [job_of(desk, each)["status"] for each in (first, second)] == ["SUCCEEDED", "SUCCEEDED"]


def test_without_the_section_it_is_refused_before_anything_is_written(desk: BatchDesk) -> None:
    (desk.home.parent / "runner.yaml").write_text("mode: embedded\n")
    result = desk.call("submit", "--backend", "batch", "--image", "busybox", "--", "true")
    assert (result.exit_code, desk.json("jobs")) == (2, [])
    assert "--backend: the settings have no section batch" in result.stderr


def test_what_is_submitted_needs_no_aws(desk: BatchDesk) -> None:
    desk.to_batch("--array", "2")
    desk.out("jobs")
    assert not desk.endpoint.batch.calls


def test_the_programs_own_jobs_need_no_aws(desk: BatchDesk) -> None:
    desk.submit()
    desk.step()
    assert not desk.endpoint.batch.calls


def test_a_dry_run_shows_where_it_would_run(desk: BatchDesk) -> None:
    assert "backend: batch" in desk.out(
        "submit", "--dry-run", "--backend", "batch", "--image", "busybox", "--", "true"
    )


def test_who_stops_waiting_is_told_that_it_goes_on_there(
    desk: BatchDesk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.to_batch("--array", "3")
    desk.step()

    async def leave() -> None:
        async with open_parts(desk.settings) as parts:
            await say_what_still_runs(parts)

    asyncio.run(leave())
    assert "3 tasks go on elsewhere" in capsys.readouterr().err


def test_one_is_counted_as_one(desk: BatchDesk) -> None:
    assert ": 1 task, RUNNABLE" in desk.out(
        "submit", "--backend", "batch", "--image", "busybox", "--detach", "--", "true"
    )
