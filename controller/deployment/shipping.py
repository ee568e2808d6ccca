"""The bundle and large templates, in the fleet's bucket."""

from __future__ import annotations

from controller.deployment.bundle import LISTING, Files
from controller.deployment.names import TAG
from runner.aws import Aws, AwsError, Reply, Trouble
from runner.errors import BadInput, Place
from runner.settings import FleetSettings

KEY = Place(key="fleet.bucket")
MISSING = frozenset({"404", "NoSuchBucket", "NotFound"})
ELSEWHERE = frozenset({"301", "PermanentRedirect", "AuthorizationHeaderMalformed"})


async def store(aws: Aws, bucket: str, prefix: str, files: Files) -> None:
    """Every file under the prefix; the listing last, so that who finds it finds all. Raises AwsError."""
    for name in sorted(files, key=lambda name: name == LISTING):
        await aws.call("s3", "put_object", Bucket=bucket, Key=f"{prefix}/{name}", Body=files[name])


async def withdraw(aws: Aws, bucket: str, key: str) -> None:
    """Raises AwsError."""
    await aws.call("s3", "delete_object", Bucket=bucket, Key=key)


async def bucket_exists(aws: Aws, fleet: FleetSettings, bucket: str) -> bool:
    """Raises BadInput if it is somebody else's or in another region, AwsError."""
    try:
        reply = await aws.call("s3", "head_bucket", Bucket=bucket)
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
    # AWS's client follows a bucket to wherever it is. CloudFormation and machines would not, or at a price.
    if (region := _region(reply)) not in ("", fleet.region):
        problem = f"{bucket} is in {region}, the fleet in {fleet.region}: name another"
        raise BadInput(problem, KEY)
    return True


def _region(reply: Reply) -> str:
    """Empty where none is told, as by emulators."""
    headers = (reply.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}
    return str(reply.get("BucketRegion") or headers.get("x-amz-bucket-region") or "")


async def tagged_bucket(aws: Aws, fleet: FleetSettings, bucket: str) -> bool:
    """Whether `deploy` made it, now or for an earlier fleet of that name. Raises AwsError."""
    try:
        reply = await aws.call("s3", "get_bucket_tagging", Bucket=bucket)
    except AwsError as error:
        if error.code == "NoSuchTagSet":
            return False
        raise
    return {"Key": TAG, "Value": fleet.name} in reply["TagSet"]
