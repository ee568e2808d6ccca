"""`retry`: the tasks that ended without success, once more."""

from __future__ import annotations

from collections.abc import Sequence

import click

from controller import submission
from controller.cli.app import App, pass_app
from controller.cli.jobs import print_jobs
from controller.cli.output import Format, output_option, remark
from controller.cli.summary import print_summaries
from controller.cli.supervision import say_if_unsupervised, say_what_is_left
from controller.cli.wait import exit_status, wait_for, wait_option, waits
from controller.dependencies import describe
from controller.selectors import select_one
from controller.submission import Reopened
from controller.wiring import Parts


@click.command(name="retry")
@click.argument("job")
@click.option("--downstream", is_flag=True, help="Also the jobs that ended only because this one failed.")
@wait_option
@output_option
@pass_app
def command(app: App, job: str, downstream: bool, wait: bool | None, output: Format) -> None:
    """Run the tasks of JOB again that failed or were cancelled.

    They get a new round, with all their retries. What has succeeded is not run again.

    \b
    Examples:
      runner-controller retry last
      runner-controller retry transform --downstream --detach
    """

    async def work(parts: Parts) -> int:
        record = await select_one(parts.records, job)
        reopened = await submission.retry(parts.records, record, parts.now, downstream=downstream)
        if not reopened:
            remark(f"nothing to retry: {describe(record)} has no task that failed or was cancelled")
        for each in reopened:
            remark(f"{describe(each.record)}: {each.tasks} tasks will run again")
        return await _wait_or_leave(parts, reopened, wait, output)

    app.run(work)


async def _wait_or_leave(
    parts: Parts, reopened: Sequence[Reopened], wait: bool | None, output: Format
) -> int:
    job_ids = [each.record.job.id for each in reopened]
    if job_ids and waits(wait, output):
        records = await wait_for(parts, job_ids)
        if records is not None:
            await print_summaries(parts, records, output)
            await say_what_is_left(parts)
        return exit_status(records)
    if output is not Format.TABLE:
        print_jobs([each.record for each in reopened], output, parts.now())
    if job_ids:
        await say_if_unsupervised(parts, job_ids[0])
    return 0
