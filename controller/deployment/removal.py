"""`destroy`: everything a fleet has, in the order in which it can be removed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from controller.deployment.names import controller_group, fleet_stack, storage_stack
from controller.deployment.remains import Remnant, remains
from controller.deployment.shipping import bucket_exists, tagged_bucket
from controller.deployment.site import account_of
from controller.deployment.stacks import Say, Stacks, pauses
from runner.aws import Aws, AwsError, Reply
from runner.errors import Unavailable
from runner.settings import FleetSettings

# How long machines may take to go, in seconds: twice what their group's hook gives them.
PATIENCE = 600.0

# As many as a request of Auto Scaling takes.
NAMES = 50


class Removal:
    """All raise AwsError, BadInput, RunnerError."""

    def __init__(self, aws: Aws, fleet: FleetSettings, say: Say) -> None:
        self._aws = aws
        self._fleet = fleet
        self._say = say
        self._stacks = Stacks(aws, fleet.name, say)

    async def present(self) -> Sequence[Remnant]:
        account, _ = await account_of(self._aws)
        return await remains(self._aws, self._fleet, account)

    async def destroy(self, *, delete_logs: bool) -> None:
        """The bucket goes if `deploy` made it, and it is empty or `delete_logs` empties it."""
        for name in (fleet_stack(self._fleet), storage_stack(self._fleet)):
            await self._stacks.owned(name)  # or not a finger is lifted
        await self._end_machines()
        await self._stacks.delete(fleet_stack(self._fleet))
        account, _ = await account_of(self._aws)
        bucket = self._fleet.bucket_name(account)
        own = await bucket_exists(self._aws, bucket) and await tagged_bucket(self._aws, self._fleet, bucket)
        empty = own and await self._empty(bucket, everything=delete_logs)
        if await self._stacks.find(storage_stack(self._fleet)):
            await self._unprotect_table()
            await self._stacks.delete(storage_stack(self._fleet))
        if await bucket_exists(self._aws, bucket):
            await self._leave_bucket(bucket, own=own, empty=empty)

    async def _end_machines(self) -> None:
        """Machines protected from scale-in would hold up the end of their group, and of the stack, for ever. So their
        groups are told to have none and they lose their protection, again and again, for agents protect themselves
        while they work. They get the time to drain that their group's hook gives."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        for pause in pauses():
            waiting = [await self._end(group) for group in await self._groups()]
            left = await self._instances()
            if not any(waiting) and not left:
                return
            if loop.time() >= until:
                message = f"machines do not go: {', '.join(left)}; look at them, then try again"
                raise Unavailable(message)
            await asyncio.sleep(pause)

    async def _groups(self) -> Sequence[Reply]:
        """The controller's first, which would ask for more machines."""
        names = [each.name for each in await self.present() if each.kind == "Auto Scaling group"]
        found: list[Reply] = []
        for start in range(0, len(names), NAMES):
            reply = await self._aws.call(
                "autoscaling",
                "describe_auto_scaling_groups",
                AutoScalingGroupNames=names[start : start + NAMES],
                MaxRecords=100,
            )
            found += reply["AutoScalingGroups"]
        return sorted(
            found, key=lambda group: bool(group["AutoScalingGroupName"] != controller_group(self._fleet))
        )

    async def _end(self, group: Reply) -> bool:
        """Whether there is something to wait for."""
        name, members = str(group["AutoScalingGroupName"]), group.get("Instances") or ()
        working = [each for each in members if each["LifecycleState"] == "InService"]
        protected = [each["InstanceId"] for each in working if each.get("ProtectedFromScaleIn")]
        for start in range(0, len(protected), NAMES):
            await self._aws.call(
                "autoscaling",
                "set_instance_protection",
                AutoScalingGroupName=name,
                InstanceIds=protected[start : start + NAMES],
                ProtectedFromScaleIn=False,
            )
        if group["MaxSize"] or group["DesiredCapacity"]:
            self._say(f"{name}: {len(members)} to end")
            none: dict[str, Any] = {"MinSize": 0, "MaxSize": 0, "DesiredCapacity": 0}
            await self._aws.call(
                "autoscaling", "update_auto_scaling_group", AutoScalingGroupName=name, **none
            )
        return bool(members)

    async def _instances(self) -> Sequence[str]:
        return [each.name for each in await self.present() if each.kind == "instance"]

    async def _unprotect_table(self) -> None:
        try:
            await self._aws.call(
                "dynamodb", "update_table", TableName=self._fleet.table, DeletionProtectionEnabled=False
            )
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise

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
        page: dict[str, Any] = {} if everything else {"Prefix": "deploy/"}
        while True:
            reply = await self._aws.call("s3", "list_objects_v2", Bucket=bucket, **page)
            await self._delete(bucket, reply.get("Contents") or ())
            if not reply.get("IsTruncated"):
                break
        left = await self._aws.call("s3", "list_objects_v2", Bucket=bucket, MaxKeys=1)
        return not left.get("Contents")

    async def _delete(self, bucket: str, objects: Sequence[Reply]) -> None:
        if objects:
            keys = [{"Key": each["Key"]} for each in objects]
            await self._aws.call(
                "s3", "delete_objects", Bucket=bucket, Delete={"Objects": keys, "Quiet": True}
            )
