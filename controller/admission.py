"""Whether this installation can take a job: its queue exists, and some machine can hold one of its tasks."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from controller.draft import JobDraft
from runner.model import Job
from runner.ports import Capacity
from runner.units import format_size
from runner.validation import Problem, refusal
from runner.wording import choices, shown

ABSURD = 2.0**60  # bytes: more than any machine has, and keeps the sum finite


def check_against(draft: JobDraft, *, queues: Collection[str], capacity: Capacity | None) -> None:
    """`capacity` is the largest machine's, None if not known. Raises BadInput."""
    problems = [
        *_queue_problems(draft.job, queues),
        *(_capacity_problems(draft.job, capacity) if capacity else ()),
    ]
    if problems:
        raise refusal(problems, lambda loc: draft.place(*loc))


def _queue_problems(job: Job, queues: Collection[str]) -> Iterator[Problem]:
    if job.queue not in queues:
        yield ("queue",), f"unknown queue {shown(job.queue)}; {choices(job.queue, queues)}"


def _capacity_problems(job: Job, capacity: Capacity) -> Iterator[Problem]:
    if job.limits.vcpus > capacity.vcpus:
        yield (
            ("vcpus",),
            f"a task needs {job.limits.vcpus:g} vCPUs; the largest machine has {capacity.vcpus:g}",
        )
    sidecars = sum(sidecar.memory for sidecar in job.sidecars)
    task = "a task with its sidecars" if sidecars else "a task"
    there_is = f"the largest machine has {format_size(capacity.memory)}"
    needed, most = job.limits.memory + sidecars, _most_memory(job) + sidecars
    if needed > capacity.memory:
        yield ("memory",), f"{task} needs {format_size(needed)}; {there_is}"
    elif most > capacity.memory:
        yield ("retries", "max_memory"), f"{task} may come to need {format_size(most)}; {there_is}"


def _most_memory(job: Job) -> int:
    """What the last attempt may ask for, every earlier one having been raised by the strongest rule."""
    factor = max((rule.memory_factor for rule in job.retry.rules if rule.retry), default=1.0)
    memory = float(job.limits.memory)
    for _ in range(job.retry.retries):
        memory = min(memory * factor, job.retry.max_memory or ABSURD)
    return int(memory)
