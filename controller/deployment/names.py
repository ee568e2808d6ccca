"""How what belongs to a fleet is named and tagged. Queues, table, bucket and groups: `runner.settings`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from runner.settings import FleetSettings

# What is tagged with the fleet's name is the fleet's, whatever its name looks like.
TAG = "runner-fleet"

STORAGE = "storage"


def fleet_stack(fleet: FleetSettings) -> str:
    return fleet.name


def storage_stack(fleet: FleetSettings) -> str:
    return f"{fleet.name}-{STORAGE}"


def controller_group(fleet: FleetSettings) -> str:
    """No environment's: their names have no dots."""
    return f"{fleet.name}.controller"


def groups(fleet: FleetSettings) -> Mapping[str, str]:
    """Every Auto Scaling group, with the name of its environment, `controller` for the supervisor's."""
    return {
        controller_group(fleet): "controller",
        **{fleet.group(environment): environment for environment in fleet.environments},
    }


def tags(fleet: FleetSettings, **more: str) -> list[Mapping[str, str]]:
    return [{"Key": TAG, "Value": fleet.name}, *({"Key": key, "Value": value} for key, value in more.items())]


def logical_id(kind: str, name: str) -> str:
    """A resource's name within its template, of letters and digits: different ones for different names."""
    plain = re.sub(r"[^A-Za-z0-9]", "", name)
    mark = "" if plain == name else hashlib.sha256(name.encode()).hexdigest()[:4]
    return f"{kind}{plain}{mark}"
