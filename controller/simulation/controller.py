"""The real supervisor as a process that can die: put together as `controller.wiring` does it."""

from __future__ import annotations

import asyncio
from typing import Any

from controller.dead_letters import Settling
from controller.simulation.clock import OUTSIDE, Process, outside
from controller.simulation.installation import Installation
from controller.supervisor import Supervisor
from runner.adapters.sqs.letters import SqsDeadLetters

# As the service manager has it, in seconds.
RESTART = 10.0


class Controller:
    """`supervisor`: the latest, also once its process is dead; None before the first."""

    def __init__(self, of: Installation, name: str, skew: float = 0.0) -> None:
        self.name = name
        self.skew = skew
        self.process: Process | None = None
        self.supervisor: Supervisor | None = None
        self._of = of
        self._lives = 0

    def start(self) -> None:
        """Unless it runs."""
        if self.process is None:
            self._lives += 1
            self.process = Process(f"{self.name}.{self._lives}", self.skew)
            self._tell("controller-started")
            self.process.start(self._live(self.process))

    def kill(self, restart: float | None = RESTART) -> None:
        """As by SIGKILL. None: it is not started again."""
        if self.process is None:
            return
        self._tell("controller-killed")
        self.process.kill()
        self.process = None
        if restart is not None:
            asyncio.get_running_loop().call_later(restart, self.start, context=OUTSIDE)

    def freeze(self) -> None:
        if self.process is not None:
            self._tell("controller-frozen")
            self.process.freeze()

    def thaw(self) -> None:
        if self.process is not None:
            self._tell("controller-thawed")
            self.process.thaw()

    async def _live(self, process: Process) -> None:
        """The service manager starts it again if it breaks."""
        try:
            await self._supervise(process)
        except Exception as error:
            self._tell("controller-crashed", error=repr(error))
            outside(self.kill)
            raise

    async def _supervise(self, process: Process) -> None:
        of, fleet, routes = self._of, self._of.fleet, self._of.routes
        aws, random, channels = of.aws(process), of.random(process.name), dict(routes.channels)
        records, queue = of.records(process, aws, random), of.queue(process, aws, channels, random)
        ledger = of.ledger(process, aws, process.name, random)
        letters = SqsDeadLetters(aws, channels, name=fleet.queue_name, dead_letters=fleet.dead_letters)
        settling = Settling(letters, queue, routes, records, ledger, process.now, holder=process.name)
        self.supervisor = Supervisor(
            records,
            queue,
            of.groups(process, aws),
            process.now,
            holder=process.name,
            settings=of.settings.supervisor,
            routes=routes,
            missing_after=2 * of.settings.agent.lease,
            chores=[settling.chore],
            backends=of.backends(process, aws, records, ledger, random),
        )
        await self.supervisor.run()

    def _tell(self, what: str, **more: Any) -> None:
        self._of.history.add(what, self.process.name if self.process else self.name, **more)
