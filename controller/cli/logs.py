"""`logs`: what tasks wrote."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable

import click

from controller.cli.app import App, pass_app
from controller.cli.output import on_terminal, remark
from controller.cli.supervision import say_if_unsupervised
from controller.listing import find_task, no_attempt
from controller.logs import Line, Merged, read_task
from controller.selectors import select_one, select_task
from controller.wiring import Parts
from runner.errors import BadInput
from runner.model import TaskId
from runner.records import JobRecord

MISSING_SHOWN = 5
PREFIX_COLOURS = (
    "cyan",
    "green",
    "yellow",
    "blue",
    "magenta",
    "bright_cyan",
    "bright_green",
    "bright_yellow",
)


@click.command(name="logs")
@click.argument("selector", metavar="JOB[/INDEX]")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written, until the job has ended.")
@click.option("--tail", type=click.IntRange(min=0), help="Only the last so many lines (of each task).")
@click.option("--attempt", type=click.IntRange(min=1), help="That attempt at the task. Default: the latest.")
@pass_app
def command(app: App, selector: str, follow: bool, tail: int | None, attempt: int | None) -> None:
    """Print what one task wrote, or all tasks of a job with each line behind its task's index.

    To a pipe the bytes go as they were written; on a terminal control characters are shown escaped.

    \b
    Examples:
      runner-controller logs last/3
      runner-controller logs last -f
      runner-controller logs transform/17 --tail 50 --attempt 1
    """

    async def work(parts: Parts) -> None:
        record = await select_one(parts.records, selector.rpartition("/")[0] or selector)
        if follow and not record.status.terminal:
            await say_if_unsupervised(parts, record.job.id)
            if not (record.job.backend or parts.logs.live):
                remark(
                    "what a task writes is shown when its attempt has ended: for live output set fleet.log_group"
                )
        if "/" in selector or record.job.array.size == 1:
            record, task = await select_task(parts.records, selector)
            await _print_task(parts, record, task, follow=follow, tail=tail, attempt=attempt)
        elif attempt is not None:
            problem = f"--attempt needs one task: {selector}/INDEX"
            raise BadInput(problem)
        else:
            await _print_job(parts, record, follow=follow, tail=tail)

    app.run(work)


async def _print_task(
    parts: Parts, record: JobRecord, task: TaskId, *, follow: bool, tail: int | None, attempt: int | None
) -> None:
    found = await find_task(parts.records, record, task)
    if not follow and not found.begun:
        remark(f"{task} is {found.status} and has not begun; see `runner-controller explain {task}`")
        return
    if attempt is not None and attempt > found.attempt:
        problem = no_attempt(found, attempt)
        if not follow or found.status.terminal:
            raise problem
        remark(f"{problem} yet")
    write, current = _raw_writer(), 0
    async for number, data in read_task(
        parts.records, parts.logs, task, attempt=attempt, tail=tail, follow=follow, missing=remark
    ):
        if current and number != current:
            remark(f"attempt {number}")
        current = number
        write(data)
    await _say_what_is_missing(parts, record, task)


async def _say_what_is_missing(parts: Parts, record: JobRecord, task: TaskId) -> None:
    outcome = (await find_task(parts.records, record, task)).outcome
    if outcome is not None and outcome.log_dropped:
        remark(f"{outcome.log_dropped} of {outcome.log_bytes} bytes were not kept")


async def _print_job(parts: Parts, record: JobRecord, *, follow: bool, tail: int | None) -> None:
    write = _line_writer()
    width = len(str(record.job.array.spans[-1][-1]))
    missing = _Missing()
    async for each in Merged(parts.records, parts.logs, record, tail, missing).lines(follow=follow):
        write(each, f"{each.task.index:>{width}} | ")
    missing.say_the_rest()


class _Missing:
    """Says of the first logs that are gone, and counts the others: a lost host may have had those of thousands."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, problem: str) -> None:
        self._count += 1
        if self._count <= MISSING_SHOWN:
            remark(problem)

    def say_the_rest(self) -> None:
        if self._count > MISSING_SHOWN:
            remark(f"{self._count - MISSING_SHOWN} more logs are gone")


def _raw_writer() -> Callable[[bytes], None]:
    if not on_terminal():
        return _write_bytes
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda data: click.echo(calm(decoder.decode(data)), nl=False)


def _line_writer() -> Callable[[Line, str], None]:
    if not on_terminal():
        return lambda each, prefix: _write_bytes(prefix.encode() + each.data + b"\n")

    def write(each: Line, prefix: str) -> None:
        colour = PREFIX_COLOURS[each.task.index % len(PREFIX_COLOURS)]
        click.echo(click.style(prefix, fg=colour) + calm(each.data.decode("utf-8", "replace").rstrip("\r")))

    return write


def _write_bytes(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def calm(text: str) -> str:
    """`text` with its lines and tabs, and everything else escaped that could steer a terminal."""
    text = text.replace("\r\n", "\n")
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)
