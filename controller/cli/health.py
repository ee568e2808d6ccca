"""`python -m controller.cli.health`: what a timer on the controller's machine runs, beside `serve`."""

from __future__ import annotations

import asyncio
import os
import sys
import urllib.request
from http.client import HTTPException
from pathlib import Path

import click

from controller.cli.app import App
from controller.cli.cloud import fleet_settings
from controller.deployment.attendance import attend
from controller.wiring import instance_id
from runner.errors import RunnerError
from runner.wiring import open_aws

TIMEOUT = 10.0


@click.command(
    help="Look whether `serve` is healthy on this machine, tell CloudWatch, replace the machine if need be."
)
@click.option("--config", type=click.Path(path_type=Path), help="Settings file.")
def main(config: Path | None) -> None:
    try:
        well = asyncio.run(_look(App(config)))
    except RunnerError as error:
        click.echo(f"health: {error}", err=True)
        sys.exit(error.exit_code)
    click.echo("healthy" if well else "not healthy")


async def _look(app: App) -> bool:
    settings, fleet = fleet_settings(app)
    folder = Path(os.environ.get("STATE_DIRECTORY", settings.home))
    async with open_aws(fleet.region) as aws:
        return await attend(
            aws,
            fleet.name,
            lambda: asyncio.to_thread(_healthy, settings.supervisor.listen),
            instance_id,
            folder / "failures",
        )


def _healthy(listen: str | None) -> bool:
    try:
        with urllib.request.urlopen(f"http://{listen}/healthz", timeout=TIMEOUT) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False


if __name__ == "__main__":
    main()
