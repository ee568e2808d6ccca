"""`deploy`: both stacks as the settings want them, and what machines install in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from controller.deployment import site as surroundings
from controller.deployment.belongings import belongings
from controller.deployment.bundle import Files, bundle, prefix, read_settings_file
from controller.deployment.fleet_template import fleet_template
from controller.deployment.linked_roles import ensure_linked_roles, linked_roles
from controller.deployment.losses import losses
from controller.deployment.names import fleet_stack, storage_stack
from controller.deployment.remains import require_free_names
from controller.deployment.rendering import rendered
from controller.deployment.shipping import bucket_exists, store, withdraw
from controller.deployment.site import Site
from controller.deployment.stacks import LARGEST_BODY, Change, Say, Stack, Stacks
from controller.deployment.storage_template import storage_template
from runner.aws import Aws
from runner.errors import Conflict
from runner.settings import FleetSettings, Settings

# What the group does of its own accord and must not: it ends machines that work to spread the others more evenly.
SUSPENDED = ["AZRebalance"]


@dataclass(frozen=True, slots=True)
class Planned:
    """`change` of the stack's resources; `new` stacks have nothing else."""

    stack: str
    new: bool
    changes: Sequence[Change]


class Installation:
    """All raise AwsError, BadInput, NotFound, RunnerError."""

    def __init__(self, aws: Aws, settings: Settings, fleet: FleetSettings, say: Say) -> None:
        self._aws = aws
        self._settings = settings
        self._fleet = fleet
        self._say = say
        self._stacks = Stacks(aws, fleet.name, say)
        self._files: Files = bundle(read_settings_file(settings.source))

    async def survey(self) -> Site:
        """What there is already, and is built upon."""
        account, partition = await surroundings.account_of(self._aws)
        bucket = self._fleet.bucket_name(account)
        made = {each.id for each in await belongings(self._aws, storage_stack(self._fleet))}
        own = bucket in made or not await bucket_exists(self._aws, self._fleet, bucket)
        if not own:
            self._say(f"the bucket {bucket} is there already and used as it is")
        await require_free_names(self._aws, self._fleet, self._settings.batch, made)
        vpc, subnets = await surroundings.network(self._aws, self._fleet)
        images = await surroundings.images(self._aws, self._settings, self._fleet)
        return Site(account, partition, vpc, subnets, images, prefix(self._files), own)

    async def preview(self, site: Site) -> Sequence[Planned]:
        """What `deploy` would change. Leaves nothing behind, and makes nothing."""
        return [
            await self._preview(storage_stack(self._fleet), self._storage(site), site),
            await self._preview(fleet_stack(self._fleet), self._machines(site), site),
        ]

    async def deploy(self, site: Site) -> Stack:
        """Both stacks brought up to date; the fleet's is returned. Raises Conflict if work would be lost."""
        await self._apply(storage_stack(self._fleet), self._storage(site), site)
        bucket = self._fleet.bucket_name(site.account)
        await store(self._aws, bucket, site.bundle, self._files)
        self._say(f"stored the program in s3://{bucket}/{site.bundle}")
        await ensure_linked_roles(self._aws, linked_roles(self._settings), self._say)
        stack = await self._apply(fleet_stack(self._fleet), self._machines(site), site)
        await self._suspend()
        return stack

    def _storage(self, site: Site) -> str:
        return rendered(storage_template(self._fleet, site, self._settings.batch))

    def _machines(self, site: Site) -> str:
        return rendered(fleet_template(self._settings, self._fleet, site))

    async def _preview(self, name: str, body: str, site: Site) -> Planned:
        stack = await self._stacks.owned(name)
        if stack is None or stack.status == "REVIEW_IN_PROGRESS" or stack.spoilt:
            # Without asking: a change set for a new stack would leave an empty one behind.
            return Planned(name, True, ())
        # A place of its own, so that nothing of an earlier deploy is overwritten and then taken away.
        async with self._readable(name, body, replace(site, bundle=f"{site.bundle}/dry-run")) as url:
            planned = await self._stacks.plan(name, body, url)
            if planned is None:
                return Planned(name, False, ())
            await self._stacks.forget(planned)
            return Planned(name, False, planned.changes)

    @asynccontextmanager
    async def _readable(self, name: str, body: str, site: Site) -> AsyncIterator[str | None]:
        """`_url` for a while."""
        url = await self._url(name, body, site)
        try:
            yield url
        finally:
            if url is not None:
                await withdraw(self._aws, self._fleet.bucket_name(site.account), f"{site.bundle}/{name}.yaml")

    async def _apply(self, name: str, body: str, site: Site) -> Stack:
        planned = await self._stacks.plan(name, body, await self._url(name, body, site))
        if planned is None:
            self._say(f"{name}: nothing to change")
        else:
            if lost := await losses(self._aws, planned.changes):
                await self._stacks.forget(planned)
                raise Conflict("\n".join(lost))
            await self._stacks.apply(planned)
        stack = await self._stacks.owned(name)
        assert stack is not None
        return stack

    async def _url(self, name: str, body: str, site: Site) -> str | None:
        """Where CloudFormation can read a template that is too large for a request."""
        content = body.encode()
        if len(content) <= LARGEST_BODY:
            return None
        bucket, file = self._fleet.bucket_name(site.account), f"{name}.yaml"
        await store(self._aws, bucket, site.bundle, {file: content})
        domain = "amazonaws.com.cn" if site.partition == "aws-cn" else "amazonaws.com"
        return f"https://{bucket}.s3.{self._fleet.region}.{domain}/{site.bundle}/{file}"

    async def _suspend(self) -> None:
        """CloudFormation has no word for it, so it is done after, and anew every time."""
        for environment in self._fleet.environments if self._settings.machines else ():
            await self._aws.call(
                "autoscaling",
                "suspend_processes",
                AutoScalingGroupName=self._fleet.group(environment),
                ScalingProcesses=SUSPENDED,
            )


def templates(settings: Settings, fleet: FleetSettings, site: Site) -> dict[str, str]:
    """Both, by the stack's name, as text."""
    return {
        storage_stack(fleet): rendered(storage_template(fleet, site, settings.batch)),
        fleet_stack(fleet): rendered(fleet_template(settings, fleet, site)),
    }
