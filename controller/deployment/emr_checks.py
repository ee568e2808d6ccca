"""Whether what clusters of Amazon EMR work with is there. It is the user's own: `deploy` makes none of it."""

from __future__ import annotations

from collections.abc import Awaitable

from controller.deployment.findings import Findings
from runner.aws import Aws, AwsError, Trouble
from runner.emr_settings import EmrSettings

DEFAULTS = "`aws emr create-default-roles` makes the default ones; or name another"
MISSING = frozenset({"NoSuchEntity", "InvalidSubnetID.NotFound", "404", "NoSuchBucket", "NotFound"})


async def check_emr(aws: Aws, emr: EmrSettings, findings: Findings) -> None:
    role, profile = emr.service_role, emr.instance_profile
    await _look(
        findings,
        f"EMR service role {role}",
        aws.call("iam", "get_role", RoleName=role),
        f"{DEFAULTS} in emr.service_role",
    )
    await _look(
        findings,
        f"EMR instance profile {profile}",
        aws.call("iam", "get_instance_profile", InstanceProfileName=profile),
        f"{DEFAULTS} in emr.instance_profile",
    )
    if emr.subnet:
        asked = aws.call("ec2", "describe_subnets", SubnetIds=[emr.subnet])
        await _look(findings, f"EMR subnet {emr.subnet}", asked, "name another in emr.subnet")
    if emr.log_uri:
        bucket = emr.log_uri.partition("://")[2].partition("/")[0]
        asked = aws.call("s3", "head_bucket", Bucket=bucket)
        await _look(findings, f"EMR log bucket {bucket}", asked, "make it, or name another in emr.log_uri")
    await _look(
        findings, "Amazon EMR", aws.call("emr", "list_clusters", ClusterStates=["STARTING"]), "see the error"
    )


async def _look(findings: Findings, subject: str, asked: Awaitable[object], step: str) -> None:
    async with findings.about(subject):
        try:
            await asked
        except AwsError as error:
            if error.code in MISSING:
                findings.problem(subject, "does not exist", step)
                return
            if error.trouble is Trouble.DENIED and not subject.startswith("Amazon"):
                findings.unknown(subject, f"you may not look ({error.action})")
                return
            raise
        findings.ok(subject)
