"""The bundle and large templates, in the fleet's bucket."""

from __future__ import annotations

from controller.deployment.bundle import LISTING, Files
from controller.deployment.names import TAG, storage_stack
from controller.deployment.storage_template import BUCKET
from runner.aws import Aws, AwsError, Trouble
from runner.errors import BadInput, Place
from runner.settings import FleetSettings

KEY = Place(key="fleet.bucket")
MISSING = frozenset({"404", "NoSuchBucket", "NotFound"})
ELSEWHERE = frozenset({"301", "PermanentRedirect", "AuthorizationHeaderMalformed"})


async def store(aws: Aws, bucket: str, prefix: str, files: Files) -> None:
    """Every file under the prefix; the listing last, so that who finds it finds all. Raises AwsError."""
    for name in sorted(files, key=lambda name: name == LISTING):
        await aws.call("s3", "put_object", Bucket=bucket, Key=f"{prefix}/{name}", Body=files[name])


async def bucket_exists(aws: Aws, bucket: str) -> bool:
    """Raises BadInput if it is somebody else's or in another region, AwsError."""
    try:
        await aws.call("s3", "head_bucket", Bucket=bucket)
    except AwsError as error:
        if error.code in MISSING:
            return False
        if error.code in ELSEWHERE:
            problem = f"{bucket} is in another region than the fleet: name another"
            raise BadInput(problem, KEY) from error
        if error.code == "403" or error.trouble is Trouble.DENIED:
            problem = (
                f"{bucket} is somebody else's, or you lack s3:ListBucket on it: name another, or ask for it"
            )
            raise BadInput(problem, KEY) from error
        raise
    return True


async def tagged_bucket(aws: Aws, fleet: FleetSettings, bucket: str) -> bool:
    """Whether `deploy` made it, now or for an earlier fleet of that name. Raises AwsError."""
    try:
        reply = await aws.call("s3", "get_bucket_tagging", Bucket=bucket)
    except AwsError as error:
        if error.code == "NoSuchTagSet":
            return False
        raise
    return {"Key": TAG, "Value": fleet.name} in reply["TagSet"]


async def stack_owns_bucket(aws: Aws, fleet: FleetSettings, bucket: str) -> bool:
    """Whether the bucket is the storage stack's own. Raises AwsError."""
    try:
        reply = await aws.call(
            "cloudformation",
            "describe_stack_resource",
            StackName=storage_stack(fleet),
            LogicalResourceId=BUCKET,
        )
    except AwsError as error:
        if error.code == "ValidationError":  # there is no such stack, or no such resource in it
            return False
        raise
    return bool(reply["StackResourceDetail"].get("PhysicalResourceId") == bucket)
