"""An EC2 instance in an Auto Scaling group: `runner.ports.Host` over its metadata service and the group."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from runner.adapters.ec2 import notices
from runner.adapters.ec2.group import OwnGroup
from runner.adapters.ec2.metadata import Answer, Identity, NoMetadata
from runner.adapters.ec2.retirement import retire
from runner.adapters.ec2.tenure import Tenure
from runner.aws import Aws
from runner.ports import Capacity, Clock, Notice

log = structlog.get_logger()

# AWS asks to look every five seconds at least; a spot notice is worth seeing sooner.
POLL = 2.0


class Machine(Protocol):
    """The same machine as any host sees it: its size, and the state of its disk."""

    def capacity(self) -> Capacity: ...

    async def health(self) -> str: ...


class Metadata(Protocol):
    async def get(self, path: str) -> Answer | None: ...


async def _nothing_to_reclaim() -> None:
    return


class Ec2Host:
    """`reclaim` frees disk space on a machine that is the runner's alone, of what nothing that runs needs."""

    def __init__(
        self,
        identity: Identity,
        machine: Machine,
        metadata: Metadata,
        aws: Aws,
        now: Clock,
        reclaim: Callable[[], Awaitable[None]] = _nothing_to_reclaim,
    ) -> None:
        self.name = identity.instance_id
        self.machine_type = identity.instance_type
        self._machine = machine
        self._metadata = metadata
        self._group = OwnGroup(aws, identity.instance_id)
        self._tenure = Tenure(self._group)
        self._now = now
        self._reclaim = reclaim
        self._signs = Signs()
        self._polled = float("-inf")
        self._complaints: set[str] = set()

    def capacity(self) -> Capacity:
        return self._machine.capacity()

    async def health(self) -> str:
        return await self._machine.health()

    async def mend(self) -> None:
        await self._reclaim()

    async def notice(self) -> Notice | None:
        """Asks the metadata service every other second at most, however often this is called."""
        now = asyncio.get_running_loop().time()
        if now - self._polled >= POLL:
            self._polled = now
            await asyncio.gather(
                self._read(notices.SPOT_ACTION, self._see_spot_action),
                self._read(notices.LIFECYCLE, self._see_lifecycle),
                self._read(notices.REBALANCE, self._see_rebalance),
            )
        return self._signs.notice()

    async def protect(self, busy: bool) -> None:
        ending = self._signs.ending_since is not None
        await self._tenure.keep(busy, ending=ending)
        if ending and self._tenure.hooks is not None:
            # Without a hook nothing waits: the instance is as good as gone.
            self._signs.hold_up = min((hook.longest for hook in self._tenure.hooks), default=0.0)

    async def spared(self) -> bool:
        return await self._tenure.spared()

    async def retire(self) -> None:
        await retire(self._group)

    async def _read(self, path: str, see: Callable[[Answer], None]) -> None:
        try:
            answer = await self._metadata.get(path)
            if answer is not None:
                see(answer)
            self._complaints -= {complaint for complaint in self._complaints if complaint.startswith(path)}
        except (NoMetadata, ValueError) as error:
            # What cannot be read is no notice: a wrong guess would cost everything that runs here.
            complaint = f"{path}: {error}"
            if complaint not in self._complaints:
                self._complaints.add(complaint)
                log.warning("cannot read the instance metadata", path=path, error=str(error))

    def _see_spot_action(self, answer: Answer) -> None:
        if self._signs.reclaim is None:
            now = self._now()
            # By the service's own clock: this machine's may be wrong by minutes.
            action, left = notices.spot_seconds_left(answer.text, now if answer.at is None else answer.at)
            self._signs.reclaim = Notice(f"spot reclaim: {action} in {left:.0f} s", now + left)

    def _see_lifecycle(self, answer: Answer) -> None:
        if notices.is_termination(answer.text) and self._signs.ending_since is None:
            self._signs.ending_since = self._now()

    def _see_rebalance(self, answer: Answer) -> None:
        notices.recommended_at(answer.text)
        self._signs.rebalance = True


@dataclass
class Signs:
    """What was seen so far of the instance's end; none of it is ever taken back.

    `ending_since`: when the group was seen to end the instance, and `hold_up` how long its hooks let that wait.
    """

    reclaim: Notice | None = None
    ending_since: float | None = None
    hold_up: float | None = None
    rebalance: bool = False

    def notice(self) -> Notice | None:
        """The one that leaves the least time."""
        ending = self._ending()
        if self.reclaim is not None and self.reclaim.at is not None:
            sooner = ending is not None and ending.at is not None and ending.at < self.reclaim.at
            return ending if sooner else self.reclaim
        if ending is not None:
            return ending
        return Notice("rebalance recommendation: a spot reclaim is likely") if self.rebalance else None

    def _ending(self) -> Notice | None:
        if self.ending_since is None:
            return None
        at = None if self.hold_up is None else self.ending_since + self.hold_up
        return Notice("the Auto Scaling group ends this instance", at)
