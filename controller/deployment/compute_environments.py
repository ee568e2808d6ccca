"""AWS Batch's compute environments for the environments of the settings. Pure.

AWS Batch knows no mixed ones: those become two, of which job queues fill the one on demand first. What can be changed
is changed in place: their names are fixed, so a replacement could not be made beside the old one. A change of tags,
which AWS Batch allows to nobody, needs other environments; so tags are of the fleet and the name alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.deployment.launch_templates import launch_template, version
from controller.deployment.names import TAG, batch_environment, batch_template, logical_id
from controller.deployment.site import Site
from runner.settings import MIXED, SPOT, Environment, FleetSettings

GIB = 1024**3

# Amazon Linux 2023 for Amazon ECS: its root volume, and what its snapshot needs in GiB.
IMAGE = "ECS_AL2023"
ROOT, LEAST_DISK = "/dev/xvda", 30

INSTANCE_PROFILE = "BatchInstanceProfile"

# What running jobs get to end in when their machines are replaced, in minutes. AWS Batch would allow days, but for as
# long as that lasts the stack is in the middle of its change.
LONGEST_UPDATE = 360


@dataclass(frozen=True, slots=True)
class Part:
    """Of an environment, all that is of one market. `least` and `most` are machines."""

    environment: Environment
    name: str
    spot: bool
    least: int
    most: int

    @property
    def logical(self) -> str:
        kind = "Compute" if self.spot or self.environment.market != MIXED else "SteadyCompute"
        return logical_id(kind, self.environment.name)

    @property
    def vcpus(self) -> tuple[int, int]:
        """At least and at most: of the smallest type, so that no more machines idle than were asked for, and of the
        largest, so that there may be as many."""
        sizes = [kind.vcpus for kind in self.environment.instance_types]
        return self.least * min(sizes), self.most * max(sizes)


def parts(fleet: FleetSettings, environment: Environment) -> Sequence[Part]:
    """In the order in which they are filled."""
    least, most = environment.minimum, environment.maximum
    name = batch_environment(fleet, environment.name)
    if environment.market != MIXED:
        return [Part(environment, name, environment.market == SPOT, least, most)]
    base = min(most, environment.on_demand_base)
    spot = math.floor((most - base) * environment.spot_percent / 100)
    steady = most - spot
    first = Part(
        environment,
        batch_environment(fleet, environment.name, steady=True),
        False,
        min(least, steady),
        steady,
    )
    second = Part(environment, name, True, max(0, least - steady), spot)
    return [each for each in (first, second) if each.most]


def compute_environments(fleet: FleetSettings, site: Site, environments: Sequence[str]) -> Mapping[str, Any]:
    """The resources of those named."""
    return {
        logical: made
        for name in environments
        for logical, made in _resources(fleet, site, fleet.environments[name])
    }


def _resources(
    fleet: FleetSettings, site: Site, environment: Environment
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    template = logical_id("BatchTemplate", environment.name)
    size = max(LEAST_DISK, math.ceil(environment.disk / GIB))
    label = batch_environment(fleet, environment.name)
    yield template, launch_template(fleet, batch_template(fleet, environment.name), label, ROOT, size, {})
    for part in parts(fleet, environment):
        yield part.logical, _compute_environment(fleet, site, part, template)


def _compute_environment(fleet: FleetSettings, site: Site, part: Part, template: str) -> Mapping[str, Any]:
    least, most = part.vcpus
    return {
        "Type": "AWS::Batch::ComputeEnvironment",
        "Properties": {
            "ComputeEnvironmentName": part.name,
            "Type": "MANAGED",
            "State": "ENABLED",
            "ReplaceComputeEnvironment": False,
            "UpdatePolicy": {"TerminateJobsOnUpdate": False, "JobExecutionTimeoutMinutes": LONGEST_UPDATE},
            # No ServiceRole: with another than the service's own, nothing but sizes could be changed in place. No
            # DesiredvCpus: that is AWS Batch's. No SecurityGroupIds: the template's network interface has them.
            "ComputeResources": {
                "Type": "SPOT" if part.spot else "EC2",
                "AllocationStrategy": (
                    "SPOT_PRICE_CAPACITY_OPTIMIZED" if part.spot else "BEST_FIT_PROGRESSIVE"
                ),
                "MinvCpus": least,
                "MaxvCpus": most,
                "InstanceTypes": [kind.name for kind in part.environment.instance_types],
                "Subnets": list(site.subnets),
                "InstanceRole": {"Fn::GetAtt": [INSTANCE_PROFILE, "Arn"]},
                "LaunchTemplate": version(template),
                "Ec2Configuration": [{"ImageType": IMAGE}],
                "UpdateToLatestImageVersion": True,
                "Tags": batch_tags(fleet, Name=part.name),
            },
            "Tags": batch_tags(fleet),
        },
    }


def batch_tags(fleet: FleetSettings, **more: str) -> Mapping[str, str]:
    """As AWS Batch takes them."""
    return {TAG: fleet.name, **more}
