"""Jobs on AWS Batch from submit to end, in both ledgers. Virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from controller.simulation.services.batch_job import Run
from runner.array import Array
from runner.aws import AwsError
from runner.model import Charge, Kind, Limits, Retry, Rule, Status
from tests.backends.stage import LEDGERS, leads
from tests.batch.stage import Stage, index_of, scene, seen

PROMPT = Retry(retries=3, backoff=1.0)
pytestmark = pytest.mark.parametrize("ledger", LEDGERS)


class Program:
    """What containers do, and which tasks were run, in order. `fails`: by index, how often first."""

    def __init__(
        self, fails: Mapping[int, int] | None = None, run: Run | None = None, good: Run | None = None
    ) -> None:
        self.ran: list[int] = []
        self._fails = Counter(fails or {})
        self._run = run or Run(exit_code=3)
        self._good = good or Run()

    def __call__(self, env: Mapping[str, str], command: Sequence[str]) -> Run:
        index = index_of(env, command)
        self.ran.append(index)
        if self._fails[index]:
            self._fails[index] -= 1
            return self._run
        return self._good


def test_an_array_succeeds_and_every_shard_runs_once(ledger: str) -> None:
    program = Program()

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=20)
        record = await stage.finish()
        assert record.counts.succeeded == 20
        assert sorted(program.ran) == list(range(20))
        assert len(stage.submitted()) == 1

    scene(play, program, ledger=ledger)


@pytest.mark.parametrize(
    "array",
    [Array.of_size(1), Array((range(5, 8),), 3), Array((range(2), range(7, 30, 4)), 40)],
)
def test_other_arrays_run_the_shards_they_name(ledger: str, array: Array) -> None:
    program = Program()

    async def play(stage: Stage) -> None:
        await stage.submit(array=array)
        record = await stage.finish()
        assert record.status is Status.SUCCEEDED
        assert sorted(program.ran) == list(array)

    scene(play, program, ledger=ledger)


def test_every_shard_is_given_its_item(ledger: str) -> None:
    given: dict[str, str] = {}

    def program(env: Mapping[str, str], command: Sequence[str]) -> Run:
        found = seen(env, command)
        given[found["RUNNER_TASK_INDEX"]] = found["RUNNER_ITEM"]
        return Run()

    async def play(stage: Stage) -> None:
        stage.items.kept["m"] = [f"item {number}" for number in range(5)]
        await stage.submit(array=Array.of_size(5, "m"))
        await stage.finish()
        assert given == {str(number): f"item {number}" for number in range(5)}

    scene(play, program, ledger=ledger)


def test_many_items_go_into_as_many_arrays_as_amazon_ecs_has_them_in(ledger: str) -> None:
    program = Program()

    async def play(stage: Stage) -> None:
        stage.items.kept["m"] = [f"s3://bucket/{number:0100}" for number in range(120)]
        await stage.submit(array=Array.of_size(120, "m"))
        record = await stage.finish()
        assert record.counts.succeeded == 120, (await stage.task(0)).reason
        assert sorted(program.ran) == list(range(120))

    scene(play, program, ledger=ledger)


def test_an_item_too_large_for_aws_batch_fails_its_shard_with_the_reason(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        stage.items.kept["m"] = ["small", "x" * 7_000]
        await stage.submit(array=Array.of_size(2, "m"))
        record = await stage.finish()
        assert (record.counts.succeeded, record.counts.failed) == (1, 1)
        assert "7,000" in (await stage.task(1)).reason

    scene(play, Program(), ledger=ledger)


def test_what_aws_batch_says_of_an_attempt_is_in_the_ledger_before_it_forgets(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=2)
        await stage.finish()
        await asyncio.sleep(8 * 86400)
        assert not stage.batch.answer("describe_jobs", {"jobs": list(stage.batch.jobs)})["jobs"]
        (attempt,) = await stage.attempts(1)
        outcome = attempt.outcome
        assert outcome.kind is Kind.SUCCEEDED
        assert outcome.duration == pytest.approx(10)
        assert outcome.log.startswith("cloudwatch:/aws/batch/job:inst-")
        assert outcome.machine_type == "m6i.4xlarge"
        assert outcome.metadata["instance"].startswith("i-")

    scene(play, Program(), ledger=ledger)


def test_a_failed_shard_is_tried_again_alone_after_its_backoff(ledger: str) -> None:
    program = Program({7: 1})

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=10, retry=Retry(retries=1, backoff=100.0))
        record = await stage.finish()
        assert record.counts.succeeded == 10
        assert sorted(program.ran) == sorted([*range(10), 7])
        first, second = await stage.attempts(7)
        assert (first.outcome.kind, first.outcome.exit_code) == (Kind.FAILED, 3)
        assert second.begun_at - (first.outcome.finished_at or 0) >= 75

    scene(play, program, ledger=ledger)


def test_failed_shards_that_are_due_together_are_handed_over_together(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=50, retry=PROMPT)
        record = await stage.finish()
        assert record.counts.succeeded == 50
        assert [each.get("arrayProperties") for each in stage.submitted()] == [{"size": 50}, {"size": 20}]

    scene(play, Program(dict.fromkeys(range(20, 40), 1)), ledger=ledger)


def test_a_failure_beyond_the_jobs_retries_is_final_and_keeps_its_last_lines(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3, retry=Retry(retries=1))
        record = await stage.finish()
        assert (record.counts.succeeded, record.counts.failed) == (2, 1)
        task = await stage.task(1)
        assert (task.attempt, task.user_failures) == (2, 2)
        assert task.outcome is not None
        assert task.outcome.tail == ("what went wrong",)

    scene(play, Program({1: 9}, Run(exit_code=3, lines=["what went wrong"])), ledger=ledger)


def test_attempts_are_numbered_for_the_task_over_submissions(ledger: str) -> None:
    seen_attempts: list[str] = []

    def program(env: Mapping[str, str], command: Sequence[str]) -> Run:
        seen_attempts.append(seen(env, command)["AWS_BATCH_JOB_ATTEMPT"])
        return Run(exit_code=1)

    async def play(stage: Stage) -> None:
        await stage.submit(retry=Retry(retries=2))
        await stage.finish()
        assert seen_attempts == ["1", "2", "3"]

    scene(play, program, ledger=ledger)


def test_without_pause_and_rules_aws_batch_tries_failures_again_by_itself(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=5, retry=Retry(retries=2, backoff=0.0))
        record = await stage.finish()
        assert record.counts.succeeded == 5
        assert len(stage.submitted()) == 1
        assert [each.outcome.kind for each in await stage.attempts(2)] == [
            Kind.FAILED,
            Kind.FAILED,
            Kind.SUCCEEDED,
        ]

    scene(play, Program({2: 2}), ledger=ledger)


def test_nor_does_aws_batch_try_again_then_what_could_not_be_started(ledger: str) -> None:
    program = Program({1: 1}, Run(exit_code=None, reason="ResourceInitializationError: no such secret"))

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=2, retry=Retry(retries=2, backoff=0.0))
        record = await stage.finish()
        assert (record.counts.succeeded, record.counts.failed) == (1, 1)
        assert program.ran.count(1) == 1

    scene(play, program, ledger=ledger)


def test_more_memory_after_a_failure_for_want_of_it_reaches_the_next_submission(ledger: str) -> None:
    starved = Run(exit_code=137, reason="OutOfMemoryError: Container killed due to memory usage")
    rules = (Rule(True, frozenset({Kind.OUT_OF_MEMORY}), memory_factor=2.0),)

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=4, retry=Retry(retries=1, rules=rules))
        record = await stage.finish()
        assert record.counts.succeeded == 4
        (second,) = stage.submitted()[1:]
        asked = second["containerOverrides"]["resourceRequirements"]
        assert {each["type"]: each["value"] for each in asked} == {"VCPU": "1", "MEMORY": "1024"}

    scene(play, Program({3: 1}, starved), ledger=ledger)


def test_a_lost_host_is_not_charged_to_the_user(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=4, retry=Retry(retries=0))
        await stage.running(4)
        stage.batch.lose(stage.batch.hosts()[0])
        record = await stage.finish()
        assert record.counts.succeeded == 4
        first, second = await stage.attempts(0)
        assert first.outcome.kind is Kind.LOST
        assert first.outcome.reason.startswith("Host EC2 (instance i-")
        task = await stage.task(0)
        assert (task.user_failures, task.infra_failures) == (0, 1)
        assert (
            second.owner.partition("#")[0] == first.owner.partition("#")[0]
        )  # tried again by AWS Batch itself

    scene(play, Program(good=Run(seconds=60)), ledger=ledger)


def test_losses_beyond_the_infrastructures_bound_end_the_task(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(retry=Retry(infra_retries=1))
        for _ in range(2):
            await stage.running()
            stage.batch.lose(stage.batch.hosts()[0])
            await stage.steps(20)
        record = await stage.finish()
        assert record.status is Status.FAILED
        assert "bound is 1" in (await stage.task()).reason

    scene(play, Program(good=Run(seconds=600)), ledger=ledger)


def test_what_ran_into_its_time_limit_is_tried_again_by_us(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3, limits=Limits(timeout=60), retry=Retry(retries=1))
        record = await stage.finish()
        assert record.counts.succeeded == 3
        first, second = await stage.attempts(1)
        assert first.outcome.kind is Kind.TIMED_OUT
        assert first.outcome.charge is None or first.outcome.charge is Charge.USER
        assert second.outcome.kind is Kind.SUCCEEDED
        assert len(stage.submitted()) == 2

    scene(play, Program({1: 1}, Run(seconds=600)), ledger=ledger)


def test_a_time_limit_counts_from_the_attempts_start_and_not_while_it_waits(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        (environment,) = stage.batch.environments
        environment.boot = 3600
        await stage.submit(tasks=2, limits=Limits(timeout=60))
        record = await stage.finish()
        assert record.counts.succeeded == 2
        assert record.last_finished_at is not None
        assert record.last_finished_at - record.job.created_at > 3600

    scene(play, Program(good=Run(seconds=55)), ledger=ledger)


def test_a_program_that_ends_well_after_its_time_limit_has_timed_out(ledger: str) -> None:
    def program(_env: Mapping[str, str], _command: Sequence[str]) -> Run:
        return Run(seconds=600, deaf=True)

    async def play(stage: Stage) -> None:
        await stage.submit(limits=Limits(timeout=60))
        await stage.finish()
        task = await stage.task()
        assert task.outcome is not None
        assert task.outcome.kind is Kind.TIMED_OUT
        assert task.outcome.exit_code == 137

    scene(play, program, ledger=ledger)


def test_a_missing_image_is_not_tried_again(ledger: str) -> None:
    missing = Run(exit_code=None, reason="CannotPullContainerError: Error: image not found")

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=2, retry=Retry(retries=3))
        record = await stage.finish()
        assert (record.counts.succeeded, record.counts.failed) == (1, 1)
        task = await stage.task(1)
        assert task.attempt == 1
        assert task.outcome is not None
        assert task.outcome.kind is Kind.IMAGE_ERROR

    scene(play, Program({1: 9}, missing), ledger=ledger)


def test_a_running_job_is_cancelled_by_terminating_it_by_its_id(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.running(3)
        await stage.cancel()
        record = await stage.finish(within=120)
        assert record.status is Status.CANCELLED
        assert not stage.live()
        (asked,) = stage.batch.called("terminate_job")
        assert asked["jobId"] in stage.batch.jobs
        assert not stage.batch.called("cancel_job")
        (attempt,) = await stage.attempts(1)
        assert attempt.outcome.kind is Kind.CANCELLED

    scene(play, Program(good=Run(seconds=7200)), ledger=ledger)


def test_a_cancelled_job_of_which_nothing_ran_is_stopped_though_it_is_over_at_once(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.steps(20)
        await stage.cancel()
        assert (await stage.job()).status is Status.CANCELLED
        await stage.steps(60)
        assert not stage.live()
        assert not stage.batch.running.started

    scene(play, Program(), ledger=ledger)


def test_retry_hands_over_the_failed_shards_alone(ledger: str) -> None:
    program = Program({3: 1, 5: 1, 6: 1})

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=10)
        assert (await stage.finish()).status is Status.FAILED
        program.ran.clear()
        await stage.retry()
        record = await stage.finish()
        assert record.status is Status.SUCCEEDED
        assert sorted(program.ran) == [3, 5, 6]
        assert stage.submitted()[1]["parameters"]["runner_shards"] == "3,5-6"

    scene(play, program, ledger=ledger)


def test_a_job_cancelled_before_it_ran_runs_whole_when_it_is_retried(ledger: str) -> None:
    program = Program()

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=5)
        await stage.steps(20)
        await stage.cancel()
        await stage.steps(20)
        await stage.retry()
        record = await stage.finish()
        assert record.status is Status.SUCCEEDED
        assert sorted(program.ran) == list(range(5))

    scene(play, program, ledger=ledger)


def test_a_cancel_that_is_lifted_at_once_loses_nothing(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=5)
        await stage.running(5)
        await stage.cancel()
        await stage.retry()
        assert (await stage.finish()).status is Status.SUCCEEDED
        assert not stage.live()

    scene(play, Program(good=Run(seconds=60)), ledger=ledger)


def test_a_cancel_that_is_lifted_once_it_took_hold_runs_what_was_stopped_anew(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=5)
        await stage.running(5)
        await stage.cancel()
        await stage.step()
        await stage.retry()
        record = await stage.finish()
        assert record.status is Status.SUCCEEDED
        assert (await stage.task(2)).user_failures == 0
        assert not stage.live()

    scene(play, Program(good=Run(seconds=60)), ledger=ledger)


def test_a_job_waits_for_the_jobs_it_comes_after(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a", tasks=2)
        await stage.submit("b", tasks=2, after=("a",))
        await stage.finish("b")
        a, b = await stage.job("a"), await stage.job("b")
        assert a.last_finished_at is not None
        assert b.first_started_at is not None
        assert a.last_finished_at <= b.first_started_at
        assert not any("dependsOn" in each for each in stage.submitted())

    scene(play, ledger=ledger)


def test_no_more_than_max_parallel_run_at_a_time(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=9, max_parallel=2)
        most = 0
        while not (await stage.job()).status.terminal:
            await stage.step()
            await asyncio.sleep(1)
            most = max(most, sum(job.status in ("STARTING", "RUNNING") for job in stage.live()))
        assert most == 2
        assert (await stage.job()).counts.succeeded == 9

    scene(play, Program(), ledger=ledger)


def test_a_job_that_somebody_terminated_by_hand_failed_as_killed(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=2)
        await stage.running(2)
        child = f"{next(iter(stage.batch.jobs))}:1"
        stage.batch.answer("terminate_job", {"jobId": child, "reason": "too expensive"})
        record = await stage.finish()
        assert (record.counts.succeeded, record.counts.failed) == (1, 1)
        outcome = (await stage.task(1)).outcome
        assert outcome is not None
        assert outcome.kind is Kind.KILLED
        assert "too expensive" in outcome.reason

    scene(play, Program(good=Run(seconds=60)), ledger=ledger)


def test_a_passing_misconfiguration_ends_nothing(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        stage.batch.running.hesitant = True
        (environment,) = stage.batch.environments
        environment.boot = 1200
        await stage.submit(tasks=2)
        await stage.steps(600)
        assert any(job.status_reason.startswith("MISCONFIGURATION") for job in stage.live())
        record = await stage.finish()
        assert record.counts.succeeded == 2
        assert not stage.batch.called("terminate_job")

    scene(play, Program(), ledger=ledger)


def test_a_definition_is_registered_once_for_all_jobs_of_its_content(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a", tasks=2)
        await stage.submit("b", tasks=5, env={"OTHER": "value"})
        await stage.finish("a")
        await stage.finish("b")
        await stage.submit("c", tasks=3)
        stage.backend = stage.another()
        await stage.finish("c")
        assert len(stage.batch.called("register_job_definition")) == 1

    scene(play, ledger=ledger)


def test_a_definition_that_somebody_removed_is_registered_again(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("a", tasks=2)
        await stage.finish("a")
        stage.batch.definitions.clear()
        await stage.submit("b", tasks=2)
        with pytest.raises(AwsError):
            await stage.step()
        assert (await stage.finish("b")).status is Status.SUCCEEDED

    scene(play, ledger=ledger)


def test_in_an_array_without_help_too_a_task_can_tell_which_it_is(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3, env={"COLOUR": "red"})
        await stage.finish()
        seen = stage.batch.running.started
        assert {(each["RUNNER_JOB_ID"], each["AWS_BATCH_JOB_ARRAY_INDEX"]) for each in seen} == {
            ("a", "0"),
            ("a", "1"),
            ("a", "2"),
        }
        assert {each["COLOUR"] for each in seen} == {"red"}

    scene(play, ledger=ledger)


def test_an_empty_variable_is_set_in_a_whole_array_too(ledger: str) -> None:
    found: list[Mapping[str, str]] = []

    def program(env: Mapping[str, str], command: Sequence[str]) -> Run:
        found.append(seen(env, command))
        return Run()

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3, env={"EMPTY": ""})
        await stage.finish()
        assert [each["EMPTY"] for each in found] == [""] * 3

    scene(play, program, ledger=ledger)


def test_a_job_whose_queue_is_gone_keeps_no_other_from_going_on(ledger: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.submit("good", tasks=2)
        await stage.submit("bad", tasks=2, queue="gone")
        for _ in range(60):
            for record in await stage.records.tidy():
                if record.released_at is None:
                    await stage.records.release(record.job.id, 0.0)
            for work in (
                stage.backend.start(await stage.job("good"), leads),
                stage.backend.start(await stage.job("bad"), leads),
                stage.backend.refresh(await stage.records.jobs(unfinished=True), leads),
            ):
                await work
            await asyncio.sleep(5)
        assert (await stage.job("good")).status is Status.SUCCEEDED
        assert (await stage.job("bad")).status is Status.RUNNABLE

    scene(play, ledger=ledger)


def test_who_does_not_lead_any_more_stops_in_the_middle(ledger: str) -> None:
    class SupersededError(Exception):
        pass

    async def no_longer() -> None:
        raise SupersededError

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.steps(5)
        await asyncio.sleep(40)
        record = await stage.submit("b", tasks=3)
        await stage.records.release("b", 0.0)
        with pytest.raises(SupersededError):
            await stage.backend.start(await stage.job(record.job.id), no_longer)
        assert len(stage.submitted()) == 1

    scene(play, ledger=ledger)


def test_nor_does_it_hand_over_what_is_left_of_many_items(ledger: str) -> None:
    class SupersededError(Exception):
        pass

    async def play(stage: Stage) -> None:
        stage.items.kept["m"] = ["x" * 1000] * 40
        record = await stage.submit(array=Array.of_size(40, "m"))
        await stage.records.release("a", 0.0)

        async def for_three() -> None:
            if len(stage.submitted()) == 3:
                raise SupersededError

        with pytest.raises(SupersededError):
            await stage.backend.start(await stage.job(record.job.id), for_three)
        assert len(stage.submitted()) == 3

    scene(play, ledger=ledger)
