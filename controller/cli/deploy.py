"""`deploy`: makes and changes what the fleet has on AWS."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controller.cli.app import App, pass_app
from controller.cli.cloud import in_cloud
from controller.cli.output import line, remark
from controller.cli.tables import Column, Table

if TYPE_CHECKING:
    from controller.deployment.installing import Planned
    from controller.deployment.stacks import Stack
    from runner.aws import Aws
    from runner.settings import FleetSettings, Settings


@click.command(name="deploy")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--templates",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write the CloudFormation templates into this directory.",
)
@pass_app
def command(app: App, dry_run: bool, templates: Path | None) -> None:
    """Make on AWS what the settings ask for, or bring it up to date: two CloudFormation stacks.

    Repeat it after every change of settings or version; what is right already stays. Machines that run go on as they
    are, new ones start from what was deployed last. A change that would end machines or lose messages or jobs is
    refused.

    \b
    Examples:
      runner-controller deploy --dry-run
      runner-controller deploy
    """

    async def work(aws: Aws, settings: Settings, fleet: FleetSettings) -> None:
        from controller.deployment.installing import Installation
        from controller.deployment.installing import templates as texts

        installation = Installation(aws, settings, fleet, remark)
        site = await installation.survey()
        if templates is not None:
            await asyncio.to_thread(_write, templates, texts(settings, fleet, site))
        if dry_run:
            _show(await installation.preview(site))
        else:
            _print(await installation.deploy(site))

    in_cloud(app, work)


def _write(folder: Path, texts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


def _show(planned: Sequence[Planned]) -> None:
    for each in planned:
        if each.new:
            line(f"{each.stack}: would be made")
        elif not each.changes:
            line(f"{each.stack}: nothing to change")
        else:
            line(f"{each.stack}:")
            _print_changes(each)


def _print_changes(planned: Planned) -> None:
    table = Table(Column("ACTION"), Column("RESOURCE"), Column("KIND"), Column("NOW"))
    for change in planned.changes:
        action = "Replace" if change.replaced else change.action
        table.add(action, change.name, change.kind, change.id or "-")
    table.end()


def _print(stack: Stack) -> None:
    for name, value in stack.outputs.items():
        line(f"{name}: {value}")
    remark("deployed; `runner-controller doctor` looks whether all is well")
