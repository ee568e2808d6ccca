"""What is printed when jobs have ended."""

from __future__ import annotations

from collections.abc import Sequence

import click

from controller.advice import ended
from controller.cli.jobs import print_jobs
from controller.cli.output import Format, duration, line
from controller.cli.status import counts_text
from controller.cli.tables import Column, Table, print_pairs
from controller.dependencies import describe
from controller.report import job_duration, last_line, task_reason
from controller.wiring import Parts
from runner.model import Status
from runner.records import JobRecord
from runner.units import format_size

SHOWN_FAILURES = 5


async def print_summaries(parts: Parts, records: Sequence[JobRecord], output: Format) -> None:
    if output is not Format.TABLE:
        print_jobs(records, output, parts.now())
        return
    if len(records) > 1:
        print_jobs(records, output, parts.now())
        records = [record for record in records if record.status is Status.FAILED]
    for record in records:
        _print_numbers(record, parts.now())
        await _print_failures(parts, record)


def _print_numbers(record: JobRecord, now: float) -> None:
    peak = record.peak_memory
    pairs: list[tuple[str, object]] = [
        ("Job", describe(record)),
        ("Status", record.status),
        ("Tasks", f"{record.job.array.size}: {counts_text(record.counts)}"),
        ("Duration", duration(job_duration(record, now))),
        ("Task time", f"{duration(record.task_seconds)}, CPU {duration(record.cpu_seconds)}"),
        ("Peak memory", "-" if peak is None else format_size(peak)),
    ]
    if record.ending is not None:
        pairs.insert(2, ("Reason", record.ending.reason))
    print_pairs(pairs)


async def _print_failures(parts: Parts, record: JobRecord) -> None:
    failed = await parts.records.tasks(record.job.id, statuses={Status.FAILED}, limit=SHOWN_FAILURES)
    if not failed:
        return
    click.echo()
    table = Table(Column("FAILED", right=True), Column("REASON"), Column("LAST LINE"))
    for task in failed:
        outcome = task.outcome
        table.add(
            task.task.index,
            ended(outcome) if outcome else task_reason(task),
            last_line(outcome.tail) if outcome else "",
        )
    table.end()
    first = failed[0].task
    more = record.counts.failed - len(failed)
    if more > 0:
        line(f"… and {more} more: runner-controller tasks {record.job.id} --filter failed")
    click.echo()
    line(f"Why:       runner-controller explain {first}")
    line(f"Output:    runner-controller logs {first}")
    line(f"Once more: runner-controller retry {record.job.id}")
