"""Which EC2 instances attempts ran on. AWS Batch tells only Amazon ECS's name for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import structlog

from runner.aws import Aws, AwsError

log = structlog.get_logger()

AT_ONCE = 100
MOST_KEPT = 10_000


class Instance(NamedTuple):
    id: str
    type: str


class Instances:
    """Remembers what it was told: an instance that is gone cannot be asked about. What cannot be learned is left out,
    and never keeps an attempt from being recorded."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._known: dict[str, Instance] = {}

    async def of(self, arns: Collection[str]) -> Mapping[str, Instance]:
        wanted = [arn for arn in arns if arn.count("/") == 2 and arn not in self._known]
        clusters: dict[str, list[str]] = {}
        for arn in sorted(wanted):
            clusters.setdefault(arn.split("/")[1], []).append(arn)
        for cluster, of_cluster in clusters.items():
            for start in range(0, len(of_cluster), AT_ONCE):
                await self._ask(cluster, of_cluster[start : start + AT_ONCE])
        return self._known

    async def _ask(self, cluster: str, arns: list[str]) -> None:
        try:
            reply = await self._aws.call(
                "ecs", "describe_container_instances", cluster=cluster, containerInstances=arns
            )
        except AwsError as error:
            log.info("cannot learn which instances tasks ran on", error=str(error))
            return
        if len(self._known) > MOST_KEPT:
            self._known.clear()
        for found in reply.get("containerInstances") or ():
            attributes = {each["name"]: each.get("value", "") for each in found.get("attributes") or ()}
            kind = str(attributes.get("ecs.instance-type", ""))
            self._known[str(found["containerInstanceArn"])] = Instance(str(found["ec2InstanceId"]), kind)
