"""`cancel`: end jobs before their tasks have."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from controller import submission
from controller.cli.app import App, pass_app
from controller.cli.output import Format, line, output_option, print_json, remark
from controller.dependencies import describe
from controller.intake import stop_elsewhere
from controller.report import job_object
from controller.selectors import select_one
from controller.wiring import Parts
from runner.records import JobRecord


@click.command(name="cancel")
@click.argument("selector")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before cancelling all.")
@output_option
@pass_app
def command(app: App, selector: str, yes: bool, output: Format) -> None:
    """Cancel a job, or `all` that have not ended.

    Waiting tasks never start; running ones are stopped (SIGTERM, then SIGKILL after the job's grace).
    What has succeeded stays.

    \b
    Examples:
      runner-controller cancel last
      runner-controller cancel all --yes
    """

    async def work(parts: Parts) -> None:
        chosen = await _choose(parts, selector)
        if selector == "all" and chosen and not yes and sys.stdin.isatty():
            click.confirm(f"Cancel {len(chosen)} jobs?", abort=True, err=True)
        cancelled = [record for record in chosen if await _cancel(parts, record)]
        await _print(parts, cancelled, output)
        await _say_when(parts, cancelled)

    app.run(work)


async def _choose(parts: Parts, selector: str) -> Sequence[JobRecord]:
    if selector == "all":
        return await parts.records.jobs(unfinished=True)
    return [await select_one(parts.records, selector)]


async def _cancel(parts: Parts, record: JobRecord) -> bool:
    if await submission.cancel(parts.records, record, parts.now):
        return True
    latest = await parts.records.job(record.job.id)
    remark(f"{describe(record)} has ended already: {(latest or record).status}")
    return False


async def _print(parts: Parts, cancelled: Sequence[JobRecord], output: Format) -> None:
    if output is Format.JSON:
        latest = [await parts.records.job(record.job.id) or record for record in cancelled]
        print_json([job_object(record, parts.now()) for record in latest])
        return
    for record in cancelled:
        line(record.job.id if output is Format.QUIET else f"cancelled {describe(record)}")


async def _say_when(parts: Parts, cancelled: Sequence[JobRecord]) -> None:
    for record in cancelled:
        if trouble := await stop_elsewhere(parts, record):
            remark(f"{describe(record)} goes on elsewhere until somebody supervises: {trouble}")
    running = sum(record.counts.running for record in cancelled if not record.job.backend)
    if running:
        within = f"within about {parts.settings.agent.beat:g} s, when their agent next asks"
        remark(f"{running} running tasks learn of it {within}.")
