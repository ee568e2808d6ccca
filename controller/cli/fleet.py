"""`fleet`: the machines there are, and why there are as many."""

from __future__ import annotations

from collections.abc import Sequence

import click

from controller.cli.app import App, pass_app
from controller.cli.output import Format, duration, line, output_option, print_json, remark
from controller.cli.tables import Column, Table
from controller.fleet_report import (
    FleetView,
    cost,
    environment_objects,
    environment_status,
    host_status,
    hosts_of,
)
from controller.wiring import Parts
from runner.codec import DecodeError, decode_note
from runner.ports import Supervision
from runner.records import HostReport, Note
from runner.settings import BATCH
from runner.units import format_size

SHOWN_HOSTS = 50


@click.command(name="fleet")
@click.argument("action", type=click.Choice(["status"]), default="status")
@output_option
@pass_app
def command(app: App, action: str, output: Format) -> None:  # noqa: ARG001  # there is one so far
    """Show the machines of each compute environment, what was last decided of them and why, and what waits.

    \b
    Examples:
      runner-controller fleet
      runner-controller fleet status --output json
    """

    async def work(parts: Parts) -> None:
        if parts.settings.mode == BATCH:
            remark("in mode batch AWS Batch has the machines: `runner-controller doctor` looks at them")
            if output is Format.TABLE:
                return
        view = await look(parts)
        if output is Format.JSON:
            print_json(environment_objects(view))
        elif output is Format.QUIET:
            for name in view.capacity:
                line(name)
        else:
            show(view)

    app.run(work)


async def look(parts: Parts) -> FleetView:
    """Raises Unavailable."""
    supervision = await parts.ledger.supervision()
    return FleetView(
        capacity=await parts.fleet.capacity(),
        backlog=await parts.queue.backlog(),
        hosts=await parts.records.hosts(),
        note=_note(supervision),
        led=supervision.led,
        routes=parts.routes,
        now=parts.now(),
    )


def _note(supervision: Supervision) -> Note:
    try:
        return decode_note(supervision.note)
    except DecodeError:  # nothing was published yet, or by a newer program
        return Note()


def show(view: FleetView) -> None:
    """For people."""
    _print_environments(view)
    for name in view.capacity:
        line(f"{name}: {view.note.reasons.get(name) or 'nothing was decided yet'}")
    click.echo()
    _print_channels(view)
    hosts = [host for name in view.capacity for host in hosts_of(view, name)]
    if hosts:
        click.echo()
        _print_hosts(hosts, view.now)
    if not view.led:
        remark("nobody is supervising, so nothing is decided: start it with `runner-controller serve`")


def _print_environments(view: FleetView) -> None:
    numbers = (
        Column(title, right=True) for title in ("DESIRED", "RUNNING", "PENDING", "MIN", "MAX", "$/HOUR")
    )
    table = Table(Column("ENVIRONMENT"), Column("STATUS"), *numbers)
    for name, each in view.capacity.items():
        dollars = cost(view, name)
        table.add(
            name,
            environment_status(each, view.now),
            each.desired,
            each.running,
            each.pending,
            each.minimum,
            each.maximum,
            "-" if dollars is None else f"{dollars:.2f}",
        )
    table.end()


def _print_channels(view: FleetView) -> None:
    numbers = (Column(title, right=True) for title in ("DEMAND", "VISIBLE", "IN FLIGHT", "DELAYED"))
    table = Table(Column("CHANNEL"), *numbers)
    for channel, depth in sorted(view.backlog.items()):
        table.add(channel, view.note.demand.get(channel, 0), depth.visible, depth.in_flight, depth.delayed)
    table.end()


def _print_hosts(hosts: Sequence[HostReport], now: float) -> None:
    table = Table(
        Column("HOST"),
        Column("STATUS"),
        Column("TASKS", right=True),
        Column("FREE", right=True),
        Column("SEEN", right=True),
        Column("NOTE"),
    )
    for host in hosts[:SHOWN_HOSTS]:
        free = f"{host.free_vcpus:g} vCPUs, {format_size(host.free_memory)}"
        seen = f"{duration(max(0.0, now - host.seen_at))} ago"
        table.add(host.host, host_status(host, now), host.tasks, free, seen, host.note or "-")
    table.end()
    if len(hosts) > SHOWN_HOSTS:
        line(f"and {len(hosts) - SHOWN_HOSTS} more")
