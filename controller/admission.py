"""Whether this installation can take a job: its queue exists, an engine runs it, and a machine holds its tasks."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from controller.draft import JobDraft
from runner.model import Job
from runner.ports import Capacity
from runner.units import format_size
from runner.validation import Problem, refusal
from runner.wording import choices, shown


def check_against(
    draft: JobDraft, *, queues: Collection[str], capacity: Capacity | None, processes: bool = True
) -> None:
    """`capacity` is the largest machine's, None if not known. `processes`: commands may run outside containers.
    Raises BadInput."""
    problems = [
        *_queue_problems(draft.job, queues),
        *(_process_problems(draft.job, allowed=processes) if draft.job.engine == "process" else ()),
        *(_capacity_problems(draft.job, capacity) if capacity else ()),
    ]
    if problems:
        raise refusal(problems, lambda loc: draft.place(*loc))


def _queue_problems(job: Job, queues: Collection[str]) -> Iterator[Problem]:
    if job.queue not in queues:
        yield ("queue",), f"unknown queue {shown(job.queue)}; {choices(job.queue, queues)}"


def _process_problems(job: Job, *, allowed: bool) -> Iterator[Problem]:
    """What a plain process cannot have. Better now than as a failure of every task."""
    if not allowed:
        yield ("image",), "missing: here everything runs in containers (engine: docker)"
        return
    for number, mount in enumerate(job.mounts):
        if mount.source != mount.target:
            elsewhere = f"{shown(mount.source)} at another path, {shown(mount.target)}"
            yield ("mounts", number), f"{elsewhere}: only containers have mounts; give the same path twice"
    for number, sidecar in enumerate(job.sidecars):
        if not sidecar.command:
            yield ("sidecars", number, "command"), "missing: without its image a sidecar needs a command"


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
