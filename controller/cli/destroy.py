"""`destroy`: removes everything that a fleet has on AWS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from controller.cli.app import App, pass_app
from controller.cli.cloud import in_cloud
from controller.cli.output import line, remark
from runner.errors import BadInput, Place

if TYPE_CHECKING:
    from controller.deployment.remains import Remnant
    from runner.aws import Aws
    from runner.settings import FleetSettings, Settings

BUCKET = "bucket"


@click.command(name="destroy")
@click.option("--yes", is_flag=True, help="Do not ask for the fleet's name first.")
@click.option("--delete-logs", is_flag=True, help="Empty the bucket and remove it too.")
@pass_app
def command(app: App, yes: bool, delete_logs: bool) -> None:
    """Remove the fleet: machines, queues, table with all its history, stacks. Running tasks get `agent.drain` to end,
    those on AWS Batch half a minute; clusters that were started for jobs end at once.

    Asks for the fleet's name. Logs stay in their bucket, unless --delete-logs is given. Afterwards every service is
    asked whether anything is left that costs money; exit status 1 if there is.

    \b
    Examples:
      runner-controller destroy
      runner-controller destroy --yes --delete-logs
    """

    async def work(aws: Aws, settings: Settings, fleet: FleetSettings) -> int:
        from controller.deployment.removal import Removal

        removal = Removal(aws, settings, fleet, remark)
        found = await removal.present()
        _list(f"The fleet {fleet.name} in {fleet.region} has:", found)
        if found and not yes:
            _confirm(fleet.name)
        await removal.destroy(delete_logs=delete_logs)
        return _left(await removal.present(), delete_logs)

    in_cloud(app, work)


def _confirm(name: str) -> None:
    typed = click.prompt("To remove all of it, type the fleet's name", default="", show_default=False)
    if typed != name:
        problem = f"that is not its name, so nothing was removed; it is {name}"
        raise BadInput(problem, Place(key="destroy"))


def _left(found: Sequence[Remnant], delete_logs: bool) -> int:
    kept = [each for each in found if each.kind == BUCKET and not delete_logs]
    left = [each for each in found if each not in kept]
    for each in kept:
        line(f"kept: {each.kind} {each.name}, which costs what its logs take")
    if left:
        _list("Left, and may cost money:", left)
        return 1
    line("nothing else is left that costs money" if kept else "nothing is left that costs money")
    return 0


def _list(title: str, found: Sequence[Remnant]) -> None:
    if not found:
        return
    line(title)
    for each in found:
        line(f"  {each.kind} {each.name}")
