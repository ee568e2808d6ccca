"""The stack of everything that works: queues, rights, machines, alarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.deployment.alarms import alarms
from controller.deployment.machines import machines
from controller.deployment.policies import Policies
from controller.deployment.queues import DEAD_LETTERS, queues
from controller.deployment.roles import AGENT, CONTROLLER, USERS, role_arn, roles
from controller.deployment.site import Site
from runner.errors import BadInput, Place
from runner.routing import Routes
from runner.settings import FleetSettings, Settings

MOST_RESOURCES = 500  # what a stack takes


def fleet_template(settings: Settings, fleet: FleetSettings, site: Site) -> Mapping[str, Any]:
    """Raises BadInput if the settings ask for more than a stack can hold."""
    routes = Routes.of(settings)
    resources = {
        **queues(settings, fleet, routes),
        **roles(Policies(fleet, site, routes)),
        **machines(settings, fleet, site),
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
        "Outputs": {
            "AgentRole": {
                "Description": f"Let roles of tasks, named {fleet.name}-task-..., trust this one",
                "Value": role_arn(AGENT),
            },
            "ControllerRole": {"Value": role_arn(CONTROLLER)},
            "UsersPolicy": {
                "Description": "Attach it to those who submit jobs",
                "Value": {"Ref": USERS},
            },
            "DeadLetters": {"Value": {"Ref": DEAD_LETTERS}},
        },
    }
