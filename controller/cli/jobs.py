"""`jobs`: what was submitted, newest first."""

from __future__ import annotations

from collections.abc import Sequence

import click

from controller.cli.app import App, pass_app
from controller.cli.output import Format, clock_time, duration, output_option, print_json
from controller.cli.tables import Column, Table
from controller.report import job_duration, job_object
from controller.wiring import Parts
from runner.records import JobRecord


@click.command(name="jobs")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@click.option("--name", help="Only jobs of this name.")
@output_option
@pass_app
def command(app: App, limit: int, name: str | None, output: Format) -> None:
    """List jobs, newest first.

    \b
    Examples:
      runner-controller jobs
      runner-controller jobs --name transform --limit 5
      runner-controller jobs --output json
    """

    async def work(parts: Parts) -> None:
        print_jobs(await parts.records.jobs(name=name, limit=limit), output, parts.now())

    app.run(work)


def print_jobs(records: Sequence[JobRecord], output: Format, now: float) -> None:
    if output is Format.JSON:
        print_json([job_object(record, now) for record in records])
    elif output is Format.QUIET:
        for record in records:
            click.echo(record.job.id)
    elif records:
        _print_table(records, now)
    else:
        click.echo("No jobs. Submit one: runner-controller submit --help", err=True)


def _print_table(records: Sequence[JobRecord], now: float) -> None:
    counts = (Column(title, right=True) for title in ("TASKS", "DONE", "FAILED", "RUNNING"))
    table = Table(
        Column("ID"),
        Column("NAME"),
        Column("STATUS"),
        *counts,
        Column("DURATION", right=True),
        Column("USER"),
        Column("SUBMITTED"),
    )
    for record in records:
        table.add(
            record.job.id,
            record.job.name,
            record.status,
            record.job.array.size,
            record.counts.succeeded,
            record.counts.failed,
            record.counts.running,
            duration(job_duration(record, now)),
            record.job.user or None,
            clock_time(record.job.created_at),
        )
    table.end()
