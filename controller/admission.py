"""Whether this installation can take a job: its queue exists, and some machine can hold one of its tasks."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from controller.draft import JobDraft
from runner.model import Job
from runner.ports import Capacity
from runner.units import format_size
from runner.validation import Problem, refusal
from runner.wording import choices, shown


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
    needed = job.limits.memory + job.sidecar_memory
    if needed > capacity.memory:
        task = "a task with its sidecars" if job.sidecars else "a task"
        there_is = f"the largest machine has {format_size(capacity.memory)}"
        yield ("memory",), f"{task} needs {format_size(needed)}; {there_is}"
