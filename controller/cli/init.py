"""`init`: a settings file for a fleet on AWS, to begin with."""

from __future__ import annotations

import os
from pathlib import Path

import click

from controller.cli.app import App, pass_app
from controller.cli.output import line

NAME = "shards"
REGION = "us-east-1"


@click.command(name="init")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--name", default=NAME, help=f"What the fleet and all that it has is named. Default: {NAME}.")
@click.option("--region", help=f"Default: $AWS_REGION, $AWS_DEFAULT_REGION, else {REGION}.")
@click.option(
    "--mode",
    type=click.Choice(["fleet", "batch"]),
    default="fleet",
    help="batch: AWS Batch has the machines and runs the tasks. Default: fleet.",
)
@pass_app
def command(app: App, file: Path | None, name: str, region: str | None, mode: str) -> None:
    """Write settings for a fleet on AWS, with comments, to FILE (runner.yaml). Overwrites nothing.

    \b
    Examples:
      runner-controller init
      runner-controller init --name genomes --region eu-west-1 genomes.yaml
      runner-controller init --mode batch
    """
    from controller.deployment.starter import starter, write_starter
    from runner.configuration import FILE, load_settings

    path = file or app.config or Path(FILE)
    environ = os.environ
    place = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or REGION
    write_starter(path, starter(name, place, mode))
    try:
        load_settings(path, {}, Path.cwd())
    except BaseException:  # a name or region that is not allowed: the file would be refused by every command
        path.unlink()
        raise
    line(f"wrote {path}: look it through, then `runner-controller deploy --dry-run`")
