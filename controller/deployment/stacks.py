"""CloudFormation stacks: what would change, changing it, and waiting for the end."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.deployment.belongings import TABLE, belongings, loosen
from controller.deployment.names import TAG
from runner.aws import Aws, AwsError, Reply
from runner.errors import BadInput, Conflict, Place, RunnerError, Unavailable

# How long to wait before the next look, in seconds: little at first, for what is done at once.
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0

# What a request can carry; larger templates go through the bucket.
LARGEST_BODY = 51_200

NOTHING = ("didn't contain changes", "No updates are to be performed")
# A first creation that failed: nothing of it is left, and it can only be deleted.
FAILED_AT_BIRTH = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"})
HALF_DELETED = "DELETE_FAILED"

Say = Callable[[str], None]


def pauses() -> Iterator[float]:
    """Between looks at something that takes its time, in seconds; without end."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(LONGEST_PAUSE, 1.5 * pause)


@dataclass(frozen=True, slots=True)
class Stack:
    name: str
    status: str
    outputs: Mapping[str, str]
    owner: str = ""

    @property
    def busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def spoilt(self) -> bool:
        """It cannot be updated any more, only deleted and made anew."""
        return self.status in FAILED_AT_BIRTH or self.status == HALF_DELETED


@dataclass(frozen=True, slots=True)
class Change:
    """`action`: Add, Modify or Remove; `replaced`: it is removed and made anew. `id`: of a resource that is there."""

    action: str
    kind: str
    name: str
    id: str = ""
    replaced: bool = False

    @property
    def loses(self) -> bool:
        return self.action == "Remove" or self.replaced


@dataclass(frozen=True, slots=True)
class ChangeSet:
    stack: str
    arn: str
    changes: Sequence[Change]


class Stacks:
    """All raise AwsError. `say` is told what happens."""

    def __init__(self, aws: Aws, fleet: str, say: Say) -> None:
        self._aws = aws
        self._fleet = fleet
        self._say = say

    async def find(self, name: str) -> Stack | None:
        try:
            reply = await self._call("describe_stacks", StackName=name)
        except AwsError as error:
            if error.code == "ValidationError" and "does not exist" in str(error):
                return None
            raise
        found = [_stack(each) for each in reply["Stacks"]]
        return next((each for each in found if each.status != "DELETE_COMPLETE"), None)

    async def owned(self, name: str) -> Stack | None:
        """Raises BadInput if there is one of that name that is not this fleet's."""
        stack = await self.find(name)
        if stack is not None and stack.owner != self._fleet:
            problem = f"there is a stack {name} already that is not this fleet's: choose another name"
            raise BadInput(problem, Place(key="fleet.name"))
        return stack

    async def plan(self, name: str, body: str, url: str | None = None) -> ChangeSet | None:
        """A change set to be applied or forgotten; None: nothing is to change. `url` is where a `body` too large for a
        request can be read. Raises RunnerError, BadInput, Conflict."""
        stack = await self.owned(name)
        if stack is not None and stack.busy:
            message = f"the stack {name} is in the middle of something ({stack.status}): wait for its end"
            raise Unavailable(message)
        if stack is not None and stack.spoilt:
            await self._clear_away(stack)
            stack = None
        new = stack is None or stack.status == "REVIEW_IN_PROGRESS"
        size = len(body.encode())
        request = {
            "StackName": name,
            "ChangeSetName": f"runner-{hashlib.sha256(body.encode()).hexdigest()[:16]}",
            "ChangeSetType": "CREATE" if new else "UPDATE",
            "Capabilities": ["CAPABILITY_NAMED_IAM"],  # the execution role of AWS Batch has one
            "Tags": [{"Key": TAG, "Value": self._fleet}],
            **({"TemplateBody": body} if size <= LARGEST_BODY else {"TemplateURL": url}),
        }
        return await self._planned(name, await self._created(request))

    async def forget(self, planned: ChangeSet) -> None:
        await self._call("delete_change_set", StackName=planned.stack, ChangeSetName=planned.arn)

    async def apply(self, planned: ChangeSet) -> Stack:
        """Raises RunnerError."""
        seen = await self._events_seen(planned.stack)
        await self._call("execute_change_set", StackName=planned.stack, ChangeSetName=planned.arn)
        stack = await self._settled(planned.stack, seen)
        if stack is None or stack.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise RunnerError(await self._why(planned.stack, stack))
        return stack

    async def delete(self, name: str) -> None:
        """Raises RunnerError."""
        stack = await self.owned(name)
        if stack is None:
            return
        seen = await self._events_seen(name)
        await loosen(self._aws, name, self._say)
        await self._call("delete_stack", StackName=name)
        left = await self._settled(name, seen)
        if left is not None:
            raise RunnerError(await self._why(name, left))

    async def _clear_away(self, stack: Stack) -> None:
        """A table that outlived its stack's deletion has a history, which is not a deploy's to delete. Of a stack that
        failed at birth it is empty."""
        if stack.status == HALF_DELETED:
            kept = [each.id for each in await belongings(self._aws, stack.name) if each.kind == TABLE]
            if kept:
                message = (
                    f"the stack {stack.name} was to be deleted and still has the table {kept[0]}: "
                    "`runner-controller destroy` removes both, with all the history, and then it can be made anew"
                )
                raise Conflict(message)
        self._say(f"{stack.name}: removing what an earlier try left")
        await self.delete(stack.name)

    async def _created(self, request: Mapping[str, Any]) -> str:
        """The new change set's ARN."""
        try:
            reply = await self._call("create_change_set", **request)
        except AwsError as error:
            if error.code != "AlreadyExistsException":
                raise
            # Of an earlier try for the same, which did not come to its end.
            await self._call(
                "delete_change_set", StackName=request["StackName"], ChangeSetName=request["ChangeSetName"]
            )
            reply = await self._call("create_change_set", **request)
        return str(reply["Id"])

    async def _planned(self, name: str, arn: str) -> ChangeSet | None:
        waits = pauses()
        while True:
            reply = await self._call("describe_change_set", StackName=name, ChangeSetName=arn)
            status, reason = str(reply["Status"]), str(reply.get("StatusReason") or "")
            if status == "FAILED" and any(words in reason for words in NOTHING):
                await self._call("delete_change_set", StackName=name, ChangeSetName=arn)
                return None
            if status == "FAILED":
                message = f"the stack {name} cannot be changed so: {reason}"
                raise RunnerError(message)
            if status == "CREATE_COMPLETE":
                return ChangeSet(name, arn, [change async for change in self._changes(name, arn, reply)])
            await asyncio.sleep(next(waits))

    async def _changes(self, name: str, arn: str, first: Reply) -> AsyncIterator[Change]:
        page = first
        while True:
            for change in _changes(page):
                yield change
            if not page.get("NextToken"):
                return
            page = await self._call(
                "describe_change_set", StackName=name, ChangeSetName=arn, NextToken=page["NextToken"]
            )

    async def _settled(self, name: str, seen: set[str]) -> Stack | None:
        """Follows the stack until nothing is under way; None once it is gone."""
        waits = pauses()
        while True:
            stack = await self.find(name)
            if stack is not None:
                await self._tell(name, seen)
            if stack is None or not (stack.busy or stack.status == "REVIEW_IN_PROGRESS"):
                return stack
            await asyncio.sleep(next(waits))

    async def _tell(self, name: str, seen: set[str]) -> None:
        for event in reversed(await self._events(name)):
            if event["EventId"] not in seen:
                seen.add(event["EventId"])
                reason = event.get("ResourceStatusReason") or ""
                told = f"{name}: {event.get('LogicalResourceId')} {event.get('ResourceStatus')} {reason}"
                self._say(told.rstrip())

    async def _events_seen(self, name: str) -> set[str]:
        return {event["EventId"] for event in await self._events(name)}

    async def _events(self, name: str) -> Sequence[Reply]:
        """The latest, newest first."""
        try:
            reply = await self._call("describe_stack_events", StackName=name)
        except AwsError as error:
            if error.code == "ValidationError":
                return ()
            raise
        events: Sequence[Reply] = reply["StackEvents"]
        return events

    async def _why(self, name: str, stack: Stack | None) -> str:
        status = "is gone" if stack is None else f"ended as {stack.status}"
        failed = [
            f"{event.get('LogicalResourceId')}: {event.get('ResourceStatusReason')}"
            for event in reversed(await self._events(name))
            if str(event.get("ResourceStatus", "")).endswith("_FAILED")
            and "cancelled" not in str(event.get("ResourceStatusReason", ""))
        ]
        return f"the stack {name} {status}" + "".join(f"\n{each}" for each in failed[-3:])

    async def _call(self, operation: str, **parameters: Any) -> Reply:
        return await self._aws.call("cloudformation", operation, **parameters)


def _stack(reply: Reply) -> Stack:
    outputs = {str(each["OutputKey"]): str(each["OutputValue"]) for each in reply.get("Outputs") or ()}
    owner = next((str(tag["Value"]) for tag in reply.get("Tags") or () if tag["Key"] == TAG), "")
    return Stack(str(reply["StackName"]), str(reply["StackStatus"]), outputs, owner)


def _changes(reply: Reply) -> Iterator[Change]:
    for each in reply.get("Changes") or ():
        change: Reply = each["ResourceChange"]
        yield Change(
            action=str(change["Action"]),
            kind=str(change["ResourceType"]),
            name=str(change["LogicalResourceId"]),
            id=str(change.get("PhysicalResourceId") or ""),
            replaced=change.get("Replacement") == "True",
        )
