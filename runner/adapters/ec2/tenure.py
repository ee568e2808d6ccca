"""Keeping the instance while it is busy: protection from scale-in, and heartbeats to the hooks that hold its end up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from runner.adapters.ec2.group import Hook, OwnGroup
from runner.aws import AwsError

log = structlog.get_logger()

# Between short tasks an instance is idle for moments: it stays protected until it has been idle for so long.
LAZY = 60.0
# After a failed call, and between looks whether the group still has a minimum to keep.
PAUSE = 30.0
# What a group has beyond what it wants it ends by itself, or learns late of who has gone: only what lasts is a surplus.
LASTING = 120.0
# Of the time a hook waits for a sign of life.
BEAT_SHARE = 0.4
# Until the next look whether a hook has begun to wait.
SOON = 5.0


class Tenure:
    """Calls only when something is to change; a failing call is logged and made again later."""

    def __init__(self, group: OwnGroup) -> None:
        self._group = group
        self._protected: bool | None = None
        self._idle_since: float | None = None
        self._not_before = 0.0
        self._hooks: Sequence[Hook] | None = None
        self._beat_at = 0.0
        self._spared = False
        self._looked_at = float("-inf")
        self._surplus_since: float | None = None

    @property
    def hooks(self) -> Sequence[Hook] | None:
        """Those that hold the instance's end up; None until they are known."""
        return self._hooks

    async def keep(self, busy: bool, *, ending: bool) -> None:
        """Call often. `ending`: the group has begun to end the instance."""
        now = asyncio.get_running_loop().time()
        if now < self._not_before:
            return
        try:
            if ending:
                await self._hold_up(now)
            else:
                await self._protect(busy, now)
        except AwsError as error:
            self._not_before = now + PAUSE
            log.warning(
                "cannot keep the instance", busy=busy, ending=ending, error=str(error), retry_in=PAUSE
            )

    async def spared(self) -> bool:
        """Whether the group may do with one instance less. Asked seldom, however often this is."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at >= PAUSE:
            if now - self._looked_at > 2 * PAUSE:
                self._surplus_since = None  # nobody looked meanwhile
            self._looked_at = now
            self._spared = await self._dispensable(now)
        return self._spared

    async def _dispensable(self, now: float) -> bool:
        membership = await self._group.membership()
        shape = None if membership is None else await self._group.shape(membership.group)
        if shape is None:
            return membership is None
        if not shape.can_spare(self._group.instance_id):
            self._surplus_since = None
        elif self._surplus_since is None:
            self._surplus_since = now
        lasting = self._surplus_since is not None and now - self._surplus_since >= LASTING
        return shape.above_minimum or lasting

    async def _protect(self, busy: bool, now: float) -> None:
        if busy:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        wanted = self._idle_since is None or now - self._idle_since < LAZY
        if not busy and wanted:
            return  # idle, but not for long: as it is
        if self._protected == wanted:
            return
        membership = await self._group.membership()
        if membership is not None and not membership.leaving and membership.protected != wanted:
            await self._group.protect(membership.group, wanted)
        self._protected = wanted

    async def _hold_up(self, now: float) -> None:
        if now < self._beat_at:
            return
        membership = await self._group.membership()
        if membership is None:
            self._beat_at = now + PAUSE
            return
        if self._hooks is None:
            self._hooks = await self._group.hooks(membership.group)
        if membership.held:
            for hook in self._hooks:
                await self._group.heartbeat(membership.group, hook)
        shortest = min((hook.heartbeat for hook in self._hooks), default=PAUSE)
        self._beat_at = now + (BEAT_SHARE * shortest if membership.held else SOON)
