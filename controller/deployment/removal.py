"""`destroy`: everything a fleet has, in the order in which it can be removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.deployment.batch_ending import BatchEnding
from controller.deployment.ending import Ending
from controller.deployment.names import fleet_stack, storage_stack
from controller.deployment.remains import Remnant, remains
from controller.deployment.shipping import bucket_exists, tagged_bucket
from controller.deployment.site import account_of
from controller.deployment.stacks import Say, Stacks
from runner.aws import DENIED, Aws, AwsError, Reply, Trouble
from runner.settings import FleetSettings, Settings


class Removal:
    """All raise AwsError, BadInput, RunnerError."""

    def __init__(self, aws: Aws, settings: Settings, fleet: FleetSettings, say: Say) -> None:
        self._aws = aws
        self._settings = settings
        self._fleet = fleet
        self._say = say
        self._stacks = Stacks(aws, fleet.name, say)

    async def present(self) -> Sequence[Remnant]:
        account, _ = await account_of(self._aws)
        return await remains(self._aws, self._settings, self._fleet, account)

    async def destroy(self, *, delete_logs: bool) -> None:
        """The bucket goes if `deploy` made it, and it is empty or `delete_logs` empties it."""
        for name in (fleet_stack(self._fleet), storage_stack(self._fleet)):
            await self._stacks.owned(name)  # or not a finger is lifted
        ending = Ending(self._aws, self._fleet, self._settings.agent.drain, self._say)
        if self._settings.batch is not None or self._settings.emr is not None:
            await ending.stop_controller()
        await BatchEnding(self._aws, self._settings, self._fleet, self._say).run()
        await ending.run()
        await self._stacks.delete(fleet_stack(self._fleet))
        account, _ = await account_of(self._aws)
        bucket = self._fleet.bucket_name(account)
        own = await bucket_exists(self._aws, self._fleet, bucket) and await tagged_bucket(
            self._aws, self._fleet, bucket
        )
        empty = own and await self._empty(bucket, everything=delete_logs)
        await self._stacks.delete(storage_stack(self._fleet))
        if await bucket_exists(self._aws, self._fleet, bucket):
            await self._leave_bucket(bucket, own=own, empty=empty)

    async def _leave_bucket(self, bucket: str, *, own: bool, empty: bool) -> None:
        if not own:
            self._say(f"the bucket {bucket} was not made by `deploy` and stays as it is")
        elif not empty:
            self._say(f"the bucket {bucket} keeps the logs: `destroy --delete-logs` removes it too")
        else:
            await self._aws.call("s3", "delete_bucket", Bucket=bucket)
            self._say(f"removed the bucket {bucket}")

    async def _empty(self, bucket: str, *, everything: bool) -> bool:
        """Whether it is empty now. Unless `everything`, only what `deploy` stored is removed."""
        wanted: dict[str, Any] = {"Bucket": bucket, **({} if everything else {"Prefix": "deploy/"})}
        page: dict[str, Any] = {}
        while True:
            reply = await self._aws.call("s3", "list_objects_v2", **wanted, **page)
            await self._delete(bucket, reply.get("Contents") or ())
            if not reply.get("IsTruncated"):
                break
            page = {"ContinuationToken": reply["NextContinuationToken"]}
        left = await self._aws.call("s3", "list_objects_v2", Bucket=bucket, MaxKeys=1)
        return not left.get("Contents")

    async def _delete(self, bucket: str, objects: Sequence[Reply]) -> None:
        """What is refused is told in a reply that says all went well."""
        if not objects:
            return
        keys = [{"Key": each["Key"]} for each in objects]
        reply = await self._aws.call(
            "s3", "delete_objects", Bucket=bucket, Delete={"Objects": keys, "Quiet": True}
        )
        for each in reply.get("Errors") or ():
            action, place, code = "s3:DeleteObject", f"{bucket}/{each.get('Key')}", str(each.get("Code"))
            trouble = Trouble.DENIED if code in DENIED else Trouble.REFUSED
            raise AwsError(action, place, code, str(each.get("Message", "")), trouble)
