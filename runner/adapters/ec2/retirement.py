"""How an instance gives itself back: out of its group, with exactly one decrement, and never left behind in service.

    terminate and decrement ─at the minimum, refused─► terminate, to be replaced ─refused─► report itself unhealthy
            │ accepted                                            │                              │
            └──────────────► terminating, held by a hook ◄────────┴──────────────────────────────┘
                                        │
                                        ▼
                               complete the hook: gone

A request whose reply was lost may have been carried out, and asked again it might decrement twice: so the instance's
state is looked at before each, and given time to show.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import structlog

from runner.adapters.ec2.group import Membership, OwnGroup
from runner.aws import AwsError, Trouble

log = structlog.get_logger()

Rung = Callable[[OwnGroup], Awaitable[None]]

PAUSE = 2.0
LONGEST_PAUSE = 20.0
# An accepted or perhaps accepted request shows in the instance's state within seconds.
SETTLING = 15.0
# All in all. The service manager would not wait much longer for an agent that stops.
PATIENCE = 300.0

BUSY = frozenset({"ScalingActivityInProgress", "ResourceContention"})

RUNGS: tuple[Rung, ...] = (
    lambda group: group.terminate(decrement=True),
    lambda group: group.terminate(decrement=False),
    lambda group: group.report_unhealthy(),
)


async def retire(group: OwnGroup) -> bool:
    """True once the instance is on its way out. False, logged: it belongs to no group, or nothing would have it go."""
    retirement = _Retirement(group)
    try:
        async with asyncio.timeout(PATIENCE):
            return await retirement.run()
    except TimeoutError:
        log.error("the instance does not go", instance=group.instance_id, asked=retirement.asked)
        return retirement.asked


class _Retirement:
    def __init__(self, group: OwnGroup) -> None:
        self._group = group
        self._rung = 0
        self._pause = PAUSE
        self._ask_at = 0.0  # the loop's time from when on `InService` means that nothing was carried out
        self.asked = False

    async def run(self) -> bool:
        while self._rung < len(RUNGS):
            try:
                if await self._advance():
                    return self.asked
            except AwsError as error:
                log.warning("giving the instance back", error=str(error), retry_in=self._pause)
            await asyncio.sleep(self._pause)
            self._pause = min(LONGEST_PAUSE, 1.5 * self._pause)
        log.error("nothing would have the instance go: it stays in service", instance=self._group.instance_id)
        return False

    async def _advance(self) -> bool:
        """One look, and what follows from it. True: there is nothing more to do."""
        membership = await self._group.membership()
        if membership is None:
            return True
        if membership.leaving:
            self.asked = True
            return await self._let_go(membership)
        if asyncio.get_running_loop().time() >= self._ask_at:
            await self._ask()
        return False

    async def _ask(self) -> None:
        try:
            await RUNGS[self._rung](self._group)
        except AwsError as error:
            if error.trouble in (Trouble.UNREACHABLE, Trouble.SERVER):
                self._ask_at = asyncio.get_running_loop().time() + SETTLING
            elif error.trouble is not Trouble.THROTTLED and error.code not in BUSY:
                self._rung += 1
            raise
        self.asked, self._ask_at = True, math.inf

    async def _let_go(self, membership: Membership) -> bool:
        """Whether it is on its way. While it is only about to be held, that is not known yet."""
        hooks = await self._group.hooks(membership.group)
        if hooks and membership.state == "Terminating":
            return False
        if membership.held:
            for hook in hooks:
                await self._group.complete(membership.group, hook)
        return True
