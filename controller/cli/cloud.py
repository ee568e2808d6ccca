"""What the commands about AWS itself begin with: a fleet in the settings, and the services within reach."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from controller.cli.app import App, leave
from runner.errors import BadInput, Place

if TYPE_CHECKING:
    from runner.aws import Aws
    from runner.settings import FleetSettings, Settings

Work = Callable[["Aws", "Settings", "FleetSettings"], Awaitable[int | None]]


def fleet_settings(app: App) -> tuple[Settings, FleetSettings]:
    """Raises BadInput where the settings are of no fleet."""
    settings = app.settings()
    if settings.fleet is None:
        problem = (
            "is embedded, and this is about a fleet on AWS: `runner-controller init` writes settings for one"
        )
        raise BadInput(problem, Place(file=settings.source, key="mode"))
    return settings, settings.fleet


def in_cloud(app: App, work: Work) -> None:
    """Run `work`. What it returns, if anything, is the exit status."""
    import asyncio

    from runner.wiring import open_aws

    settings, fleet = fleet_settings(app)

    async def opened() -> int | None:
        async with open_aws(fleet.region) as aws:
            return await work(aws, settings, fleet)

    leave(asyncio.run(opened()))
