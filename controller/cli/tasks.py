"""`tasks`: the shards of one job."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import click

from controller.cli.app import App, pass_app
from controller.cli.output import Format, duration, output_option, print_json_array
from controller.cli.tables import Column, Table
from controller.listing import list_tasks
from controller.report import host_of, task_object, task_reason
from controller.selectors import select_one
from controller.wiring import Parts
from runner.errors import NotFound
from runner.model import Status
from runner.records import JobRecord, TaskRecord
from runner.units import format_size

FILTERS = [str(status).lower() for status in Status]


@click.command(name="tasks")
@click.argument("job")
@click.option(
    "--filter", "filters", type=click.Choice(FILTERS), multiple=True, help="Only these; may be repeated."
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@output_option
@pass_app
def command(app: App, job: str, filters: Sequence[str], limit: int | None, output: Format) -> None:
    """List the tasks of JOB by index, also those that have not begun.

    \b
    Examples:
      runner-controller tasks last
      runner-controller tasks transform --filter failed
      runner-controller tasks last --filter running --output quiet
    """

    async def work(parts: Parts) -> None:
        record = await select_one(parts.records, job)
        statuses = [Status(each.upper()) for each in filters]
        found = list_tasks(parts.records, record, statuses, limit)
        if output is Format.JSON:
            await print_json_array(_objects(parts, record, found))
        elif output is Format.QUIET:
            async for task in found:
                click.echo(str(task.task))
        else:
            await _print_table(parts, record, found)

    app.run(work)


async def _objects(
    parts: Parts, record: JobRecord, found: AsyncIterator[TaskRecord]
) -> AsyncIterator[dict[str, object]]:
    async for task in found:
        yield task_object(task, record.job.name, await item_of(parts, record, task.task.index))


async def item_of(parts: Parts, record: JobRecord, index: int) -> str | None:
    manifest = record.job.array.manifest
    if manifest is None:
        return None
    try:
        return await parts.manifests.get(manifest, index)
    except NotFound:
        return None  # a listing must go on without it


async def _print_table(parts: Parts, record: JobRecord, found: AsyncIterator[TaskRecord]) -> None:
    titles = [
        Column("INDEX", right=True),
        Column("STATUS"),
        Column("ATTEMPTS", right=True),
        Column("OUTCOME"),
    ]
    titles += [Column(title, right=True) for title in ("EXIT", "DURATION", "MEMORY")] + [Column("HOST")]
    has_items = record.job.array.manifest is not None
    table = Table(*titles, *([Column("ITEM")] if has_items else []), Column("NOTE"))
    async for task in found:
        items = [await item_of(parts, record, task.task.index)] if has_items else []
        table.add(*_cells(task), *items, _note(task))
    table.end()


def _cells(task: TaskRecord) -> Sequence[object]:
    outcome = task.outcome
    known = [task.task.index, task.status, task.attempt]
    if outcome is None:
        return [*known, None, None, None, None, host_of(task.owner)]
    peak = outcome.usage.peak_memory
    return [
        *known,
        outcome.kind,
        outcome.exit_code,
        duration(outcome.duration),
        None if peak is None else format_size(peak),
        host_of(task.owner),
    ]


def _note(task: TaskRecord) -> str:
    """Why it stands where it does; for one that does well, what it says of itself."""
    reported = " ".join(f"{key}={value}" for key, value in task.metadata.items())
    return reported if task.status in (Status.SUCCEEDED, Status.RUNNING) and reported else task_reason(task)
