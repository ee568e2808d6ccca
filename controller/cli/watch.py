"""`watch`: wait for jobs that were submitted before, and do their work meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import click

from controller.cli.app import App, pass_app
from controller.cli.output import Format, output_option, remark
from controller.cli.summary import print_summaries
from controller.cli.supervision import say_what_is_left
from controller.cli.wait import exit_status, wait_for
from controller.selectors import select_one
from controller.wiring import Parts


@click.command(name="watch")
@click.argument("selector", required=False, default="all")
@output_option
@pass_app
def command(app: App, selector: str, output: Format) -> None:
    """Show a job's progress until it has ended; without SELECTOR, that of all jobs that have not.

    Where nobody supervises, this command does, and starts the agents that do the work. Ctrl-C stops them;
    nothing is lost, and the next `watch` goes on.

    \b
    Examples:
      runner-controller watch
      runner-controller watch transform
    """

    async def work(parts: Parts) -> int:
        job_ids = await _chosen(parts, selector)
        if not job_ids:
            remark("every job has ended")
        records = await wait_for(parts, job_ids) if job_ids else []
        if records is not None:
            await print_summaries(parts, records, output)
            await say_what_is_left(parts)
        return exit_status(records)

    app.run(work)


async def _chosen(parts: Parts, selector: str) -> Sequence[str]:
    if selector == "all":
        return [record.job.id for record in await parts.records.jobs(unfinished=True)]
    return [(await select_one(parts.records, selector)).job.id]
