"""How what belongs to a fleet is named and tagged. Queues, table, bucket and groups: `runner.settings`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from runner.batch_settings import LOG_GROUP, BatchSettings
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


def batch_environment(fleet: FleetSettings, environment: str, *, steady: bool = False) -> str:
    """The compute environment's name in AWS Batch. `steady`: that of a mixed one's machines that are not spot, which no
    environment of ours could have: their names begin with a letter or a digit."""
    return f"{fleet.name}--steady-{environment}" if steady else f"{fleet.name}-{environment}"


def batch_template(fleet: FleetSettings, environment: str) -> str:
    """The launch template's name. No group has such a one: no environment's name has dots."""
    return f"{fleet.name}.batch-{environment}"


def batch_clusters(fleet: str) -> str:
    """What AWS Batch calls the Amazon ECS clusters of the fleet's compute environments, as a pattern."""
    return f"AWSBatch-{fleet}-*"


def log_groups(fleet: FleetSettings, batch: BatchSettings | None) -> Mapping[str, str]:
    """Those of CloudWatch Logs that `deploy` makes, with the key that names each. AWS Batch's own is everybody's."""
    found = {fleet.log_group: "fleet.log_group"} if fleet.log_group else {}
    if batch is not None and batch.log_group not in (LOG_GROUP, fleet.log_group):
        found[batch.log_group] = "batch.log_group"
    return found


def tags(fleet: FleetSettings, **more: str) -> list[Mapping[str, str]]:
    return [{"Key": TAG, "Value": fleet.name}, *({"Key": key, "Value": value} for key, value in more.items())]


def logical_id(kind: str, name: str) -> str:
    """A resource's name within its template, of letters and digits: different ones for different names."""
    plain = re.sub(r"[^A-Za-z0-9]", "", name)
    mark = "" if plain == name else hashlib.sha256(name.encode()).hexdigest()[:4]
    return f"{kind}{plain}{mark}"
