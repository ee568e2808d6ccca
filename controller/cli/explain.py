"""`explain`: why is it not running, why did it fail, what happened."""

from __future__ import annotations

import click

from controller import explain as explaining
from controller.cli.app import App, pass_app
from controller.cli.output import Format, line, output_option, print_json
from controller.cli.tables import coloured
from controller.inspection import inspect
from controller.obstacles import Situation
from controller.report import attempt_object, job_object, task_object
from controller.selectors import select_one, select_task
from controller.wiring import Parts
from runner.model import TaskId
from runner.records import JobRecord
from runner.wording import printable


@click.command(name="explain")
@click.argument("selector", metavar="JOB[/INDEX]")
@output_option
@pass_app
def command(app: App, selector: str, output: Format) -> None:
    """Say why a job or task is not running, why it failed, or what happened to it.

    \b
    Examples:
      runner-controller explain last
      runner-controller explain transform/17
    """

    async def work(parts: Parts) -> None:
        if "/" in selector:
            record, task = await select_task(parts.records, selector)
        else:
            record, task = await select_one(parts.records, selector), None
        _print(await look_into(parts, record, task), output)

    app.run(work)


async def look_into(parts: Parts, record: JobRecord, task: TaskId | None = None) -> Situation:
    supervision = await parts.ledger.supervision()
    return await inspect(
        parts.records,
        parts.queue,
        parts.settings,
        record,
        task,
        supervision=supervision,
        now=parts.now(),
        backends=parts.backends if record.job.backend else {},
    )


def _print(situation: Situation, output: Format) -> None:
    reasons = explaining.explain(situation)
    job, task = situation.job, situation.task
    if output is Format.JSON:
        subject = task_object(task, job.job.name) if task else job_object(job, situation.now)
        attempts = [attempt_object(attempt) for attempt in situation.attempts]
        told = [{"code": reason.code, "text": reason.text} for reason in reasons]
        print_json({**subject, "reasons": told, **({"past_attempts": attempts} if task else {})})
    elif output is Format.QUIET:
        line(str(task.task) if task else job.job.id)
    else:
        subject_id = str(task.task) if task else job.job.id
        click.echo(f"{printable(job.job.name)} ({subject_id}) {coloured(str((task or job).status))}")
        for reason in reasons:
            for text in reason.text.split("\n"):
                line(text)
