"""The stack of everything that works: queues, rights, machines, alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.deployment.alarms import alarms
from controller.deployment.compute_environments import compute_environments
from controller.deployment.job_queues import job_queues, own_environments
from controller.deployment.machines import machines
from controller.deployment.policies import Policies
from controller.deployment.queues import DEAD_LETTERS, queues
from controller.deployment.roles import (
    AGENT,
    BATCH_EXECUTION,
    BATCH_INSTANCE,
    CONTROLLER,
    USERS,
    role_arn,
    roles,
)
from controller.deployment.site import Site
from runner.errors import BadInput, Place
from runner.routing import Routes
from runner.settings import FleetSettings, Settings

MOST_RESOURCES = 500  # what a stack takes


def fleet_template(settings: Settings, fleet: FleetSettings, site: Site) -> Mapping[str, Any]:
    """Raises BadInput if the settings ask for more than a stack can hold."""
    routes = Routes.of(settings)
    policies = Policies.of(settings, fleet, site)
    resources = {
        **queues(settings, fleet, routes),
        **roles(policies),
        **machines(settings, fleet, site),
        **_batch(settings, fleet, site),
        **alarms(fleet, routes),
    }
    if len(resources) > MOST_RESOURCES:
        problem = (
            f"{len(routes.channels)} channels and {len(fleet.environments)} environments make {len(resources)} "
            f"resources; a stack takes {MOST_RESOURCES}: use fewer queues, or environments of fewer sizes"
        )
        raise BadInput(problem, Place(file=settings.source, key="queues"))
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"The fleet {fleet.name}: queues, rights, machines and alarms",
        "Resources": resources,
        "Outputs": _outputs(policies, list(resources)),
    }


def _batch(settings: Settings, fleet: FleetSettings, site: Site) -> Mapping[str, Any]:
    if settings.batch is None:
        return {}
    return {
        **compute_environments(fleet, site, own_environments(fleet, settings.batch)),
        **job_queues(fleet, settings.batch),
    }


def _outputs(policies: Policies, made: Sequence[str]) -> Mapping[str, Any]:
    """Roles by the names that `doctor` looks for."""
    trusted = f"Let roles of tasks, named {policies.fleet.name}-task-..., trust this one"
    meanings = {AGENT: trusted, CONTROLLER: "", BATCH_INSTANCE: "", BATCH_EXECUTION: ""}
    outputs: dict[str, Any] = {
        f"{name}Role": {**({"Description": meaning} if meaning else {}), "Value": role_arn(name)}
        for name, meaning in meanings.items()
        if f"{name}Role" in made
    }
    outputs[USERS] = {"Description": "Attach it to those who submit jobs", "Value": {"Ref": USERS}}
    if DEAD_LETTERS in made:
        outputs[DEAD_LETTERS] = {"Value": {"Ref": DEAD_LETTERS}}
    return outputs
