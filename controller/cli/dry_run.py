"""`submit --dry-run`: prints what would run."""

from __future__ import annotations

import os
from dataclasses import replace

import click
import yaml

from controller.cli.output import Format, line, print_json, remark
from controller.draft import JobDraft
from controller.dry_run import Shard, job_keys, shards
from controller.reproduce import HERE, Again, again, docker_line, process_line
from controller.wiring import process_environment
from runner.batch_settings import BatchSettings
from runner.model import BATCH, Job, Status, TaskId
from runner.records import TaskRecord
from runner.settings import Settings
from runner.wording import counted

# There is no id before there is a job.
ID = "JOBID"


async def print_dry_run(draft: JobDraft, output: Format, settings: Settings) -> None:
    found = await shards(draft)
    first = _first_attempt(draft.job, found[0])
    if draft.job.backend == BATCH and settings.batch is not None:
        first = _on_batch(first, settings.batch, found[0])
    if output is Format.JSON:
        print_json(_object(draft, found, first, settings.docker_host))
    elif output is Format.TABLE:
        _print_text(draft, found, first, settings.docker_host)


def _object(draft: JobDraft, found: list[Shard], first: Again, docker_host: str | None) -> dict[str, object]:
    return {
        "job": job_keys(draft),
        "size": draft.job.array.size,
        "tasks": [{"index": shard.index, "item": shard.item} for shard in found],
        "environment": dict(first.environment),
        "command_line": _command_line(first, docker_host),
    }


def _print_text(draft: JobDraft, found: list[Shard], first: Again, docker_host: str | None) -> None:
    _heading("The job, with every key:")
    for text in yaml.safe_dump(
        job_keys(draft), sort_keys=False, allow_unicode=True, width=1_000_000
    ).splitlines():
        line(f"  {text}")
    size = draft.job.array.size
    _heading(f"{counted(size, 'task')}:")
    for shard in found:
        line(f"  {shard.index}" + ("" if shard.item is None else f"  {shard.item}"))
    if size > len(found):
        line(f"  (and {size - len(found)} between them)")
    _heading(f"What task {found[0].index} finds in its environment, beside what its image or machine brings:")
    for name, value in first.environment.items():
        line(f"  {name}={value}")
    for name in first.secrets:
        line(f"  {name} (a secret, read when it starts)")
    if (by_hand := _command_line(first, docker_host)) is not None:
        _heading("The same by hand:")
        line(f"  {by_hand}")
    for text in first.remarks:
        remark(text)
    click.echo("Nothing was written.", err=True)


def _heading(text: str) -> None:
    click.secho(text, bold=True)


def _first_attempt(job: Job, shard: Shard) -> Again:
    task = TaskRecord(TaskId(ID, shard.index), Status.RUNNABLE)
    return replace(again(replace(job, id=ID), task, (), shard.item), remarks=())


def _on_batch(first: Again, settings: BatchSettings, shard: Shard) -> Again:
    """As AWS Batch's containers have it, and not ours."""
    from controller.adapters.batch.preview import differences, environment

    return replace(
        first,
        environment=environment(first.job, settings, shard.index, shard.item),
        remarks=tuple(differences(first.job, settings)),
    )


def _command_line(first: Again, docker_host: str | None) -> str | None:
    """None: it takes a cluster."""
    if first.job.emr is not None:
        return None
    if first.image is None:
        return process_line(first, process_environment(first.environment, HERE))
    return docker_line(first, cpus=float(os.cpu_count() or 1), host=docker_host)
