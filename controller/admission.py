"""Whether this installation can take a job: its queue exists, an engine runs it, and a machine holds its tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from controller.draft import JobDraft
from runner.model import Job
from runner.ports import Capacity
from runner.units import format_size
from runner.validation import Problem, refusal
from runner.wording import choices, shown

Offers = Mapping[str, Sequence[Capacity]]
"""By queue, what each kind of its machines offers to tasks."""


def check_against(
    draft: JobDraft, offers: Offers, *, roles: bool = True, processes: bool = True, here: bool = False
) -> None:
    """`roles`: whether tasks can be given one. `processes`: commands may run outside containers. `here`: they run on
    this machine. Raises BadInput."""
    job = draft.job
    every = [each for offered in offers.values() for each in offered]
    problems = [
        *_queue_problems(job.queue, offers),
        *(_process_problems(job, allowed=processes) if job.engine == "process" else ()),
        *capacity_problems(job, offers.get(job.queue, every)),
        *(_absent_mounts(job) if here else ()),
    ]
    if job.role is not None and not roles:
        problems.append((("role",), "tasks can act in a role in mode fleet only: leave it out here"))
    if problems:
        raise refusal(problems, lambda loc: draft.place(*loc))


def _queue_problems(queue: str, offers: Offers) -> Iterator[Problem]:
    if queue not in offers:
        yield ("queue",), f"unknown queue {shown(queue)}; {choices(queue, offers)}"


def _process_problems(job: Job, *, allowed: bool) -> Iterator[Problem]:
    """What a plain process cannot have. Better now than as a failure of every task."""
    if not allowed:
        yield ("image",), "missing: here everything runs in containers"
        return
    for number, mount in enumerate(job.mounts):
        if mount.source != mount.target:
            elsewhere = f"{shown(mount.source)} at another path, {shown(mount.target)}"
            yield ("mounts", number), f"{elsewhere}: only containers have mounts; give the same path twice"
    for number, sidecar in enumerate(job.sidecars):
        if not sidecar.command:
            yield ("sidecars", number, "command"), "missing: without its image a sidecar needs a command"


def _absent_mounts(job: Job) -> Iterator[Problem]:
    for position, mount in enumerate(job.mounts):
        if not os.path.exists(mount.source):
            yield ("mounts", position), f"{shown(mount.source)} does not exist"


def capacity_problems(job: Job, offered: Sequence[Capacity]) -> Iterator[Problem]:
    """Whether none of the machines holds a task."""
    vcpus, memory = job.limits.vcpus, job.limits.memory + job.sidecar_memory
    if any(vcpus <= each.vcpus and memory <= each.memory for each in offered):
        return
    most_vcpus, most_memory = max(each.vcpus for each in offered), max(each.memory for each in offered)
    if vcpus > most_vcpus:
        yield ("vcpus",), f"a task needs {vcpus:g} vCPUs; the largest machine has {most_vcpus:g}"
    if memory > most_memory:
        task = "a task with its sidecars" if job.sidecars else "a task"
        there_is = f"the largest machine has {format_size(most_memory)}"
        yield ("memory",), f"{task} needs {format_size(memory)}; {there_is}"
    if vcpus <= most_vcpus and memory <= most_memory:
        kinds = ", ".join(f"{each.vcpus:g} vCPUs with {format_size(each.memory)}" for each in offered)
        yield (
            ("memory",),
            f"no machine has {vcpus:g} vCPUs and {format_size(memory)} together; there are {kinds}",
        )
