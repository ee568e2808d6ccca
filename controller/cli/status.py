"""`status`: how jobs stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from controller.cli.app import App, pass_app
from controller.cli.explain import look_into
from controller.cli.jobs import print_jobs
from controller.cli.output import Format, clock_time, duration, line, output_option, speed
from controller.cli.tables import print_pairs
from controller.explain import explain
from controller.progress import overall_rate, time_left
from controller.report import finished_at, job_duration
from controller.selectors import select
from controller.wiring import Parts
from runner.model import Status
from runner.records import Counts, JobRecord
from runner.units import format_size

SHOWN_REASONS = 3


@click.command(name="status")
@click.argument("selector", required=False)
@output_option
@pass_app
def command(app: App, selector: str | None, output: Format) -> None:
    """Show how one job stands, or all of them.

    Without SELECTOR: the jobs that have not ended, or the last one if all have.

    \b
    Examples:
      runner-controller status
      runner-controller status last
      runner-controller status all --output json
    """

    async def work(parts: Parts) -> None:
        if selector is None:
            records = await _current(parts)
        else:
            records = await select(parts.records, selector)
        if output is Format.TABLE and len(records) == 1:
            await _print_details(parts, records[0])
        else:
            print_jobs(records, output, parts.now())

    app.run(work)


async def _current(parts: Parts) -> Sequence[JobRecord]:
    return await parts.records.jobs(unfinished=True) or await parts.records.jobs(limit=1)


async def _print_details(parts: Parts, record: JobRecord) -> None:
    parents = [await parts.records.job(parent) for parent in record.job.after]
    print_pairs(_details(record, [parent for parent in parents if parent], parts.now()))
    if not record.status.terminal:
        for reason in explain(await look_into(parts, record))[:SHOWN_REASONS]:
            line(reason.text)


def _details(record: JobRecord, parents: Sequence[JobRecord], now: float) -> Iterator[tuple[str, object]]:
    job = record.job
    yield "Job", job.id
    yield "Name", job.name
    yield "Status", record.status
    if record.ending is not None:
        yield "Reason", record.ending.reason
    yield "Tasks", f"{job.array.size}: {counts_text(record.counts)}"
    yield "Command", " ".join(job.command)
    if job.image:
        yield "Image", job.image
    yield "Queue", job.queue
    if job.backend:
        yield "Backend", job.backend
    if job.user:
        yield "User", job.user
    for parent in parents:
        yield "After", f"{parent.job.name} ({parent.job.id}), {parent.status}"
    yield "Submitted", clock_time(job.created_at)
    yield from _times(record, now)


def _times(record: JobRecord, now: float) -> Iterator[tuple[str, object]]:
    if record.first_started_at is not None:
        yield "Started", clock_time(record.first_started_at)
        yield "Duration", duration(job_duration(record, now))
    if record.status.terminal:
        yield "Ended", clock_time(finished_at(record))
    rate = overall_rate(record, now)
    if rate is not None:
        yield "Rate", f"{speed(rate)} tasks/s"
        if record.status is Status.RUNNING:
            yield "Time left", duration(time_left(record, rate))
    if record.first_started_at is not None:
        yield "Task time", duration(record.task_seconds)
        yield "CPU time", duration(record.cpu_seconds)
    if record.peak_memory is not None:
        yield "Peak memory", format_size(record.peak_memory)


def counts_text(counts: Counts) -> str:
    """Those that are not nil, in words."""
    known = {
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
        "running": counts.running,
        "waiting": counts.pending + counts.runnable,
    }
    return ", ".join(f"{count} {name}" for name, count in known.items() if count) or "none"
