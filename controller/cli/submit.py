"""`submit`: a job from a file, from flags, or from both."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from controller import intake
from controller.cli.app import App, pass_app
from controller.cli.output import Format, line, output_option, print_json, remark
from controller.cli.summary import print_summaries
from controller.cli.supervision import say_if_unsupervised, say_what_is_left
from controller.cli.wait import exit_status, wait_for, wait_option, waits
from controller.dependencies import describe
from controller.draft import JobDraft
from controller.report import job_object
from controller.submission import Submission
from controller.wiring import Parts
from runner.records import JobRecord
from runner.settings import Settings
from runner.wording import counted

SEPARATOR = "--"


class SubmitCommand(click.Command):
    """What stands behind `--` is the job's command, whatever it looks like."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index(SEPARATOR) if SEPARATOR in args else len(args)
        try:
            rest = super().parse_args(ctx, args[:at])
        except click.UsageError as error:
            if "extra argument" not in error.message:
                raise
            message = f"{error.message.rstrip('.')}: the job's command goes behind {SEPARATOR}"
            raise click.UsageError(message, ctx) from None
        ctx.params["tail"] = args[at + 1 :]
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


@click.command(cls=SubmitCommand, name="submit")
@click.argument("jobfile", required=False, type=click.Path(path_type=Path))
@click.option("--name", help="The job's name. Default: the program's.")
@click.option("--image", help="Container image. Without one the command runs on this machine itself.")
@click.option(
    "--array", metavar="N|A-B|LIST", help="So many tasks, or these indices: 100, 0-99, 3,7,10-12, 0-90:10."
)
@click.option(
    "--each-line", metavar="FILE", help="One task a line, which it finds in $RUNNER_ITEM. - reads stdin."
)
@click.option("--items", metavar="FILE", help="One task an item of a JSON list, or of JSON lines.")
@click.option("--allow-duplicates", is_flag=True, default=None, help="Equal lines or items are meant.")
@click.option(
    "--env", "-e", metavar="NAME=VALUE", multiple=True, help="Environment variable; may be repeated."
)
@click.option("--vcpus", metavar="N", help="CPUs per task. Default: 1.")
@click.option("--memory", metavar="SIZE", help="Memory per task, such as 2GiB. Default: 512MiB.")
@click.option("--timeout", metavar="TIME", help="Time limit per attempt, such as 10m. Default: none.")
@click.option("--grace", metavar="TIME", help="Time between SIGTERM and SIGKILL. Default: 10s.")
@click.option("--retries", metavar="N", help="Tries after a failure. Default: 0.")
@click.option("--queue", help="The queue's name. Default: default.")
@click.option("--backend", help="Where it runs, if not on the installation's own machines: batch.")
@click.option(
    "--after", metavar="JOB", multiple=True, help="Start when that job has succeeded; may be repeated."
)
@click.option("--max-parallel", metavar="N", help="At most so many tasks at a time.")
@click.option("--mount", "mounts", metavar="SOURCE:TARGET[:rw]", multiple=True, help="May be repeated.")
@click.option(
    "--secret",
    "secrets",
    metavar="NAME=file:PATH|env:VAR|ARN",
    multiple=True,
    help="A variable whose value is read at the start and written nowhere; may be repeated.",
)
@click.option(
    "--idempotency-key", metavar="KEY", help="Submit once, however often this is called with this key."
)
@click.option("--dry-run", is_flag=True, help="Show what would run. Writes nothing.")
@wait_option
@output_option
@pass_app
def command(
    app: App,
    /,
    jobfile: Path | None,
    dry_run: bool,
    wait: bool | None,
    output: Format,
    tail: list[str],
    **flags: Any,
) -> None:
    """Submit a job: one command, run once for each shard.

    From JOBFILE (YAML), from flags, or from both: flags go before the file. The command stands behind `--`.

    On a machine where no `serve` runs, this command does the work while it waits. With `--output quiet` or
    `json` it returns at once, so that a shell script can chain jobs; a later `submit --wait` or `watch` then
    runs them all.

    \b
    Examples:
      runner-controller submit --name hello --array 5 -- sh -c 'echo shard $RUNNER_TASK_INDEX'
      runner-controller submit --image busybox --each-line files.txt --retries 2 -- sh -c 'wc "$RUNNER_ITEM"'
      runner-controller submit job.yaml --array 0-9 --dry-run

    \b
      first=$(runner-controller submit first.yaml --output quiet)
      runner-controller submit --after "$first" second.yaml --wait
    """
    settings = app.settings()
    draft = _draft(settings, jobfile, flags, tail)
    if dry_run:
        _dry_run(settings, draft, output)
        return

    async def work(parts: Parts) -> int:
        await intake.check_engine(settings, draft.job)
        return await _submit(parts, draft, wait, output)

    app.run(work)


def _draft(
    settings: Settings, jobfile: Path | None, flags: Mapping[str, object], tail: list[str]
) -> JobDraft:
    given = {**flags, "command": tail}
    if jobfile is None and not flags["name"]:
        given["name"] = default_name(tail)
    return intake.checked_draft(settings, jobfile, given)


def _dry_run(settings: Settings, draft: JobDraft, output: Format) -> None:
    from controller.cli.dry_run import print_dry_run  # few ask for it

    asyncio.run(print_dry_run(draft, output, settings))


def default_name(tail: list[str]) -> str:
    """The program's name, as far as a job's may be like it."""
    program = Path(tail[0]).name if tail else ""
    return re.sub("[^A-Za-z0-9._-]", "-", program).lstrip("._-")[:100] or "job"


async def _submit(parts: Parts, draft: JobDraft, wait: bool | None, output: Format) -> int:
    submitted = await intake.submit_draft(parts, draft)
    record = submitted.record
    if not submitted.created:
        remark(f"submitted before with this idempotency key: {describe(record)} is {record.status}")
    if output is Format.QUIET:
        line(record.job.id)
    if waits(wait, output):
        remark(f"{describe(record)}: {_tasks(record)}")
        records = await wait_for(parts, [record.job.id])
        await _print_ended(parts, records or [], submitted.created, output)
        return exit_status(records)
    _print_detached(parts, submitted, output)
    if wait is False or output is Format.TABLE:
        await say_if_unsupervised(parts, record.job.id)
    return 0


async def _print_ended(parts: Parts, records: Sequence[JobRecord], created: bool, output: Format) -> None:
    for record in records:
        if output is Format.JSON:
            print_json({**job_object(record, parts.now()), "created": created})
        elif output is Format.TABLE:
            await print_summaries(parts, [record], output)
        await say_what_is_left(parts)


def _print_detached(parts: Parts, submitted: Submission, output: Format) -> None:
    record = submitted.record
    if output is Format.JSON:
        print_json({**job_object(record, parts.now()), "created": submitted.created})
    elif output is Format.TABLE:
        line(f"{describe(record)}: {_tasks(record)}, {record.status}")


def _tasks(record: JobRecord) -> str:
    return counted(record.job.array.size, "task")
