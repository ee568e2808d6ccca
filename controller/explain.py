"""Why is it not running, why did it fail, what happened: sentences, the most important first. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from controller.advice import ended
from controller.model import Reason
from controller.obstacles import Situation, ago, obstacles, told_elsewhere, unled, waiting_for_parents
from controller.report import finished_at, job_duration, last_line, task_reason
from controller.story import advised, stopping, task_story
from runner.model import Status
from runner.units import format_duration

SHOWN_FAILURES = 5


def explain(situation: Situation) -> list[Reason]:
    """About the situation's task if it has one, else about the job."""
    return list(_job(situation) if situation.task is None else task_story(situation, situation.task))


def _job(situation: Situation) -> Iterator[Reason]:
    record = situation.job
    if record.status.terminal:
        yield from _ended_job(situation)
    elif record.status is Status.PENDING:
        yield from waiting_for_parents(situation)
        yield from unled(situation)
    else:
        yield from _open_job(situation)
    yield from _failed_tasks(situation)


def _ended_job(situation: Situation) -> Iterator[Reason]:
    record, counts = situation.job, situation.job.counts
    at = finished_at(record)
    when = f", {ago(situation, at)}" if at is not None else ""
    if record.status is Status.SUCCEEDED:
        took = job_duration(record, situation.now)
        in_time = "" if took is None else f" in {format_duration(took)}"
        tasks = "Its one task" if counts.succeeded == 1 else f"All of its {counts.succeeded} tasks"
        yield Reason("succeeded", f"{tasks} succeeded{in_time}{when}.")
    elif record.ending is not None:
        code = "cancelled" if record.status is Status.CANCELLED else "ended_early"
        yield Reason(code, f"It ended as a whole{when}: {record.ending.reason}.")
        yield from _cause_in_parents(situation)
    else:
        done = f"{counts.succeeded} succeeded, {counts.cancelled} were cancelled"
        yield Reason(
            "tasks_failed", f"{counts.failed} of its {record.job.array.size} tasks failed ({done}){when}."
        )


def _cause_in_parents(situation: Situation) -> Iterator[Reason]:
    for parent_id, parent in situation.parents.items():
        if parent is not None and parent.status in (Status.FAILED, Status.CANCELLED):
            yield Reason(
                "parent_ended",
                f"See `runner-controller explain {parent_id}`; once that is mended, "
                f"`runner-controller retry --downstream {parent_id}` opens both again.",
            )


def _open_job(situation: Situation) -> Iterator[Reason]:
    counts = situation.job.counts
    if situation.job.ending is not None:
        yield stopping(situation, f"{counts.running} tasks are")
        return
    if counts.running:
        yield Reason("running", f"{counts.running} of its tasks run, {counts.runnable} wait for their turn.")
        yield from unled(situation)
        yield from told_elsewhere(situation) if not counts.runnable else ()
    if counts.runnable:
        seen = {reason.code for reason in unled(situation)} if counts.running else set()
        yield from (reason for reason in obstacles(situation) if reason.code not in seen)


def _failed_tasks(situation: Situation) -> Iterator[Reason]:
    for task in situation.failures[:SHOWN_FAILURES]:
        text = last_line(task.outcome.tail) if task.outcome else ""
        last = f": {text}" if text else ""
        how = ended(task.outcome) if task.outcome else task_reason(task)
        yield Reason("task_failed", f"Task {task.task.index} {how}{last}")
    if situation.failures:
        first = situation.failures[0]
        if first.outcome is not None:
            yield from advised(situation, first.outcome, first.memory)
        yield Reason("next", f"See `runner-controller explain {first.task}` for more of one task.")
