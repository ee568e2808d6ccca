"""`doctor`: what an installation needs, looked at one by one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from controller.cli.app import App, leave, pass_app
from controller.cli.cloud import in_cloud
from controller.cli.output import Format, line, output_option, print_json

if TYPE_CHECKING:
    from controller.deployment.findings import Finding, Findings
    from runner.aws import Aws
    from runner.settings import FleetSettings, Settings

COLOURS = {"ok": "green", "problem": "red", "unknown": "yellow"}


@click.command(name="doctor")
@output_option
@pass_app
def command(app: App, output: Format) -> None:
    """Look whether everything is there that jobs need, and say what to do where it is not.

    Of a fleet on AWS: credentials, clock, stacks, table, bucket, queues, groups, AWS Batch, permissions and quotas. Of
    this machine: Docker. Nothing is changed. Exit status 1 if there is a problem.

    \b
    Examples:
      runner-controller doctor
      runner-controller doctor --output json
    """
    from controller.deployment.findings import Findings

    findings = Findings(_line if output is Format.TABLE else _nothing)
    if app.settings().fleet is None:
        _examine_here(app, findings)
    else:
        _examine_fleet(app, findings)
    if output is Format.JSON:
        print_json([_object(each) for each in findings.all])
    elif output is Format.QUIET:
        for each in findings.all:
            if each.status == "problem":
                line(each.subject)
    leave(1 if findings.problems else None)


def _examine_here(app: App, findings: Findings) -> None:
    import asyncio

    from controller.wiring import open_parts
    from runner.wiring import docker_trouble

    async def work() -> None:
        settings = app.settings()
        async with findings.about(f"home {settings.home}"), open_parts(settings):
            findings.ok(f"home {settings.home}")
        _tell_docker(findings, await docker_trouble(settings), needed=settings.engine == "docker")
        await _examine_backends(settings, findings)

    asyncio.run(work())


async def _examine_backends(settings: Settings, findings: Findings) -> None:
    """In each region that one of them is in."""
    from dataclasses import replace

    from controller.deployment.diagnosis import examine_backends
    from runner.wiring import open_aws, wall_clock

    batch, emr = settings.batch, settings.emr
    for region in dict.fromkeys(each.region for each in (batch, emr) if each is not None):
        there = replace(
            settings,
            batch=batch if batch is not None and batch.region == region else None,
            emr=emr if emr is not None and emr.region == region else None,
        )
        async with open_aws(region) as aws:
            await examine_backends(aws, there, findings, wall_clock)


def _examine_fleet(app: App, findings: Findings) -> None:
    async def work(aws: Aws, settings: Settings, fleet: FleetSettings) -> None:
        from controller.deployment.diagnosis import examine
        from runner.wiring import docker_trouble, wall_clock

        await examine(aws, settings, fleet, findings, wall_clock, os.environ)
        _tell_docker(findings, await docker_trouble(settings), needed=False)

    in_cloud(app, work)


def _tell_docker(findings: Findings, trouble: str, *, needed: bool) -> None:
    if not trouble:
        findings.ok("Docker on this machine")
    elif needed:
        findings.problem("Docker on this machine", trouble, "start it, or set engine: auto")
    else:
        findings.unknown(
            "Docker on this machine", trouble, "only needed to run tasks here, as `reproduce` does"
        )


def _line(finding: Finding) -> None:
    status = click.style(f"{finding.status:8}", fg=COLOURS[finding.status])
    detail = f": {finding.detail}" if finding.detail else ""
    click.echo(status, nl=False)
    line(f"{finding.subject}{detail}")
    if finding.step:
        line(f"         → {finding.step}")


def _nothing(finding: Finding) -> None:
    pass


def _object(finding: Finding) -> dict[str, object]:
    return {
        "id": finding.subject,
        "status": finding.status,
        "detail": finding.detail,
        "next_step": finding.step,
    }
