"""The roles that AWS's services work with in an account: one for each service, whoever uses it. So no stack has them,
and `destroy` leaves them: they cost nothing, and others may need them."""

from __future__ import annotations

from collections.abc import Mapping

from controller.deployment.compute_environments import parts
from controller.deployment.job_queues import own_environments
from controller.deployment.stacks import Say
from runner.aws import Aws, AwsError, Trouble
from runner.settings import Settings

BATCH, ECS = ("batch", "AWSServiceRoleForBatch"), ("ecs", "AWSServiceRoleForECS")
SPOT = ("spot", "AWSServiceRoleForEC2Spot")
EMR = ("elasticmapreduce", "AWSServiceRoleForEMRCleanup")

THERE_ALREADY = "InvalidInput"


def linked_roles(settings: Settings) -> Mapping[str, str]:
    """What they are called, by the service that needs them. Auto Scaling makes its own for groups of the fleet's."""
    wanted = dict([EMR]) if settings.emr else {}
    fleet, batch = settings.fleet, settings.batch
    if fleet is None or batch is None:
        return wanted
    used = [fleet.environments[name] for name in own_environments(fleet, batch)]
    if used:
        wanted |= [BATCH, ECS]
    if any(part.spot for environment in used for part in parts(fleet, environment)):
        wanted |= [SPOT]
    return wanted


async def has_linked_role(aws: Aws, role: str) -> bool | None:
    """None: one may not ask. Raises AwsError."""
    try:
        await aws.call("iam", "get_role", RoleName=role)
    except AwsError as error:
        if error.trouble is Trouble.DENIED:
            return None
        if error.code == "NoSuchEntity":
            return False
        raise
    return True


async def ensure_linked_roles(aws: Aws, wanted: Mapping[str, str], say: Say) -> None:
    """Where one may not look they are taken to be there. Raises AwsError."""
    for service, role in wanted.items():
        if await has_linked_role(aws, role) is not False:
            continue
        try:
            await aws.call("iam", "create_service_linked_role", AWSServiceName=f"{service}.amazonaws.com")
        except AwsError as error:
            if error.code != THERE_ALREADY:  # somebody was quicker
                raise
        else:
            say(f"made the role {role}, which AWS's services need in this account")
