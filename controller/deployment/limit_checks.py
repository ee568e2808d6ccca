"""Whether the account's quotas let every environment grow to its maximum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from controller.deployment.compute_environments import parts
from controller.deployment.findings import Findings
from controller.deployment.job_queues import own_environments
from runner.aws import Aws, AwsError
from runner.settings import Environment, FleetSettings, Settings

# Types of these families share a quota, counted in vCPUs; others have quotas of their own.
STANDARD = frozenset("acdhimrtz")


@dataclass(frozen=True, slots=True)
class Quota:
    code: str
    name: str


ON_DEMAND = Quota("L-1216C47A", "Running On-Demand Standard instances")
SPOT = Quota("L-34B43A08", "All Standard Spot Instance Requests")


def wanted(settings: Settings, fleet: FleetSettings) -> Mapping[Quota, int]:
    """vCPUs at most, in each quota."""
    most = {ON_DEMAND: fleet.deployment.controller.vcpus, SPOT: 0}
    for environment in fleet.environments.values() if settings.machines else ():
        steady = min(environment.maximum, environment.on_demand_base)
        share = (environment.maximum - steady) * environment.spot_percent / 100
        most[SPOT] += _largest(environment) * math.ceil(share)
        most[ON_DEMAND] += _largest(environment) * (environment.maximum - math.floor(share))
    for name in own_environments(fleet, settings.batch) if settings.batch else ():
        for part in parts(fleet, fleet.environments[name]):
            most[SPOT if part.spot else ON_DEMAND] += _largest(part.environment) * part.most
    return most


def _largest(environment: Environment) -> int:
    return max((kind.vcpus for kind in environment.instance_types if kind.name[0] in STANDARD), default=0)


async def check_limits(aws: Aws, settings: Settings, fleet: FleetSettings, findings: Findings) -> None:
    for quota, vcpus in wanted(settings, fleet).items():
        subject = f"quota {quota.name}"
        if vcpus == 0:
            continue
        try:
            reply = await aws.call(
                "service-quotas", "get_service_quota", ServiceCode="ec2", QuotaCode=quota.code
            )
        except AwsError as error:
            findings.unknown(subject, f"not known ({error.code}); the fleet may use {vcpus} vCPUs")
            continue
        limit = int(reply["Quota"]["Value"])
        if vcpus > limit:
            step = f"ask for more ({quota.code} in Service Quotas), or lower max in fleet.environments"
            findings.problem(subject, f"is {limit} vCPUs; the fleet may use {vcpus}", step)
        else:
            findings.ok(subject, f"{limit} vCPUs; the fleet may use {vcpus}")
