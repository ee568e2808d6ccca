"""Whether the account's quotas let every environment grow to its maximum."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from controller.deployment.findings import Findings
from runner.aws import Aws, AwsError
from runner.settings import Environment, FleetSettings

# Types of these families share a quota, counted in vCPUs; others have quotas of their own.
STANDARD = frozenset("acdhimrtz")


@dataclass(frozen=True, slots=True)
class Quota:
    code: str
    name: str


ON_DEMAND = Quota("L-1216C47A", "Running On-Demand Standard instances")
SPOT = Quota("L-34B43A08", "All Standard Spot Instance Requests")


def wanted(fleet: FleetSettings) -> Mapping[Quota, int]:
    """vCPUs at most, in each quota."""
    on_demand = fleet.deployment.controller.vcpus
    spot = 0
    for environment in fleet.environments.values():
        vcpus = max(_standard(environment), default=0)
        steady = min(environment.maximum, environment.on_demand_base)
        share = (environment.maximum - steady) * environment.spot_percent / 100
        spot += vcpus * math.ceil(share)
        on_demand += vcpus * (environment.maximum - math.floor(share))
    return {ON_DEMAND: on_demand, SPOT: spot}


def _standard(environment: Environment) -> Iterator[int]:
    return (kind.vcpus for kind in environment.instance_types if kind.name[0] in STANDARD)


async def check_limits(aws: Aws, fleet: FleetSettings, findings: Findings) -> None:
    for quota, vcpus in wanted(fleet).items():
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
