"""What happened to one task, and why it stands where it does. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from controller.advice import advice, ended
from controller.model import Reason
from controller.obstacles import (
    Situation,
    ago,
    host,
    obstacles,
    told_elsewhere,
    unled,
    waiting_for_parents,
)
from controller.report import host_of, task_reason
from runner.model import Kind, Outcome, Retry, Status
from runner.records import AttemptRecord, TaskRecord
from runner.units import format_duration
from runner.wording import counted

SHOWN_LINES = 5


def task_story(situation: Situation, task: TaskRecord) -> Iterator[Reason]:
    if task.status.terminal:
        yield from _ended_task(situation, task)
    elif task.status is Status.RUNNING:
        yield from _running_task(situation, task)
    elif task.status is Status.PENDING:
        yield from waiting_for_parents(situation)
        yield from unled(situation)
    else:
        yield from _waiting_task(situation, task)
    yield from _history(situation, task)


def _ended_task(situation: Situation, task: TaskRecord) -> Iterator[Reason]:
    outcome = task.outcome
    if outcome is None or (task.status is Status.CANCELLED and outcome.kind is not Kind.CANCELLED):
        why = task_reason(task) or "no attempt at it began"
        yield Reason(str(task.status).lower(), f"It is {task.status}: {why}.")
    if outcome is None:
        return
    yield Reason(
        str(outcome.kind), f"Attempt {task.attempt} on {host(situation, task.owner)} {ended(outcome)}."
    )
    if task.status is Status.FAILED:
        yield Reason("final", _why_final(situation.job.job.retry, task))
        yield from advised(situation, outcome, task.memory)
        yield from _last_lines(outcome)
        yield Reason("next", _next_commands(task))


def _next_commands(task: TaskRecord) -> str:
    return (
        f"See `runner-controller logs {task.task}`, try it alone with "
        f"`runner-controller reproduce {task.task}`, run all that failed again with "
        f"`runner-controller retry {task.task.job_id}`."
    )


def _why_final(retry: Retry, task: TaskRecord) -> str:
    if task.reason and task.outcome and task.reason != task.outcome.reason:
        return f"It is not tried again: {task.reason}."
    if task.user_failures > retry.retries:
        allowed = "no retry" if retry.retries == 0 else counted(retry.retries, "retry", "retries")
        return (
            f"It is not tried again: {counted(task.user_failures, 'failure')}, and the job allows {allowed}."
        )
    return "It is not tried again: another try cannot help."


def _running_task(situation: Situation, task: TaskRecord) -> Iterator[Reason]:
    since = f", begun {ago(situation, task.begun_at)}" if task.begun_at is not None else ""
    yield Reason("running", f"Attempt {task.attempt} runs on {host(situation, task.owner)}{since}.")
    if situation.job.ending is not None:
        yield stopping(situation, "It is")
    if situation.elsewhere is not None:
        yield from unled(situation)
        yield from told_elsewhere(situation)
    elif not any(agent.host == host_of(task.owner) for agent in situation.live):
        yield Reason(
            "agent_silent",
            "Its agent has fallen silent: unless it comes back, another takes over when the lease ends.",
        )
        yield from unled(situation)
    timeout = situation.job.job.limits.timeout
    if timeout is not None and task.begun_at is not None:
        left = max(0.0, task.begun_at + timeout - situation.now)
        yield Reason("time_limit", f"Its time limit leaves it about {format_duration(left)}.")


def _waiting_task(situation: Situation, task: TaskRecord) -> Iterator[Reason]:
    if task.not_before is not None and task.not_before > situation.now:
        left = format_duration(task.not_before - situation.now)
        yield Reason(
            "backoff",
            f"Its next attempt is held back for {left} more, after {counted(_failures(task), 'failure')}.",
        )
        yield from unled(situation)
        return
    position = situation.job.job.array.rank(task.task.index)
    if not task.begun and position >= situation.job.sent:
        before = position - situation.job.counts.finished
        place = "on the queue" if situation.elsewhere is None else "handed over"
        yield Reason(
            "not_enqueued", f"It is not {place} yet: about {before} tasks of its job come before it."
        )
    yield from obstacles(situation)


def _history(situation: Situation, task: TaskRecord) -> Iterator[Reason]:
    """The attempts before the one that the first sentence is about."""
    earlier = [
        attempt
        for attempt in situation.attempts
        if not (task.status.terminal and attempt.number == task.attempt)
    ]
    for _, alike in groupby(reversed(earlier), _how):
        newest, *others = alike
        text = _attempt_text(situation, newest)
        same = f" So did {counted(len(others), 'attempt')} before it." if others else ""
        yield Reason("earlier_attempt", text + same)
    if earlier and not task.status.terminal and earlier[-1].outcome.kind is not Kind.SUCCEEDED:
        yield from advised(situation, earlier[-1].outcome, task.memory)
        yield from _last_lines(earlier[-1].outcome)


def _how(attempt: AttemptRecord) -> tuple[object, ...]:
    """Attempts that are equal in this are told as one."""
    return attempt.outcome.kind, attempt.outcome.reason, host_of(attempt.owner)


def _attempt_text(situation: Situation, attempt: AttemptRecord) -> str:
    charged = f" (charged to {attempt.outcome.charge})" if attempt.outcome.charge else ""
    who = f"Attempt {attempt.number} on {host(situation, attempt.owner)}"
    return f"{who}, begun {ago(situation, attempt.begun_at)}, {ended(attempt.outcome)}{charged}."


def _last_lines(outcome: Outcome) -> Iterator[Reason]:
    lines: Sequence[str] = [line for line in outcome.tail if line.strip()][-SHOWN_LINES:]
    if lines:
        yield Reason("last_output", "Its last output:\n" + "\n".join(f"    {line}" for line in lines))


def _failures(task: TaskRecord) -> int:
    return task.user_failures + task.infra_failures


def stopping(situation: Situation, who: str) -> Reason:
    reason = situation.job.ending.reason if situation.job.ending else ""
    how = ", at the agent's next beat" if situation.elsewhere is None else ""
    return Reason("stopping", f"{who} being stopped{how}: {reason}.")


def advised(situation: Situation, outcome: Outcome, memory: int | None) -> Iterator[Reason]:
    text = advice(situation.job.job, outcome, memory)
    if text:
        yield Reason("advice", text)
