"""One EC2 instance: it boots, starts its agent, starts it again when it dies, and goes with all that runs on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from controller.simulation.agent import Life, Site
from controller.simulation.clock import OUTSIDE, Process, outside
from controller.simulation.engine import SimulatedEngine
from runner.errors import EngineError, RunnerError

# As the unit of `controller/deployment/provision.sh` has it, in seconds.
RESTART = 10.0
WATCHDOG = 180.0


class Machine:
    """`skew`: seconds by which its wall clock is ahead. `life`: its agent, while there is one. `dud`: its agent does
    not start, however often the service manager tries."""

    def __init__(self, site: Site, random: Random, skew: float = 0.0) -> None:
        self.site = site
        self.id = site.identity.instance_id
        self.skew = skew
        self.life: Life | None = None
        self.on = True
        self.exited = False
        self.dud = False
        self._watchdogs: list[Process] = []
        self._signed: Life | None = None
        self._random = random
        self._lives = 0

    def boot(self, seconds: float) -> None:
        self._later(seconds, self.start_agent)

    def start_agent(self) -> None:
        """Unless one lives, or the machine has gone."""
        if not self.on or self.dud or self.life is not None:
            return
        self._lives += 1
        process = Process(f"{self.id}/agent{self._lives}", self.skew)
        incarnation = f"{self._random.getrandbits(32):08x}"
        self.life = Life(
            self.site,
            process,
            self.site.of.aws(process),
            incarnation,
            Random(self._random.random()),
            self._works,
        )
        self._tell("agent-started", incarnation=incarnation)
        process.start(self._live(self.life))

    def kill_agent(self, restart: float | None = RESTART) -> None:
        """As by SIGKILL; the service manager starts it again after so many seconds. None: never."""
        life = self.life
        if life is None:
            return
        self._tell("agent-killed")
        life.process.kill()
        self.life = None
        if restart is not None:
            self._later(restart, self.start_agent)

    def freeze_agent(self) -> None:
        """As by SIGSTOP. The service manager kills it in the end."""
        life = self.life
        if life is not None and not life.process.frozen:
            self._tell("agent-frozen")
            life.process.freeze()
            self._later(WATCHDOG, self._kill_frozen, life, life.pulse)

    def thaw_agent(self) -> None:
        if self.life is not None and self.life.process.frozen:
            self._tell("agent-thawed")
            self.life.process.thaw()

    @property
    def boots(self) -> bool:
        """It is on its way, and its agent was never started."""
        return self.on and self._lives == 0

    def kill_watchdogs(self) -> None:
        """As by SIGKILL. The next agent has one of its own."""
        self._tell("watchdogs-killed")
        for process in self._watchdogs:
            process.kill()
        self._watchdogs.clear()

    def step_clock(self, seconds: float) -> None:
        self._tell("clock-stepped", by_seconds=seconds)
        self.skew += seconds
        self.site.daemon.skew += seconds
        if self.life is not None:
            self.life.process.skew += seconds

    def drain_agent(self) -> None:
        """As by SIGTERM."""
        if self.life is not None and self.life.agent is not None:
            self._tell("agent-asked-to-stop")
            self.life.process.context().run(self.life.agent.drain)

    def power_off(self) -> None:
        """At once, with all that runs on it."""
        if not self.on:
            return
        self.on = False
        if self.life is not None:
            self.life.process.kill()
            self.life = None
        self._tell("machine-gone")
        self.site.daemon.power_off()

    async def _live(self, life: Life) -> None:
        error = ""
        try:
            await life.run()
        except (RunnerError, ExceptionGroup) as problem:
            error = str(problem)
        if self.life is life:
            self.life = None
        self._tell("agent-ended", **({"error": error} if error else {}))
        if error:
            self._later(RESTART, self.start_agent)
        else:
            self.exited = True
        life.process.kill()  # with what it left to itself

    def _kill_frozen(self, life: Life, pulse: int) -> None:
        if self.life is life and life.pulse == pulse:
            self.kill_agent()

    def _works(self, life: Life) -> None:
        """It has taken over what there was."""
        self._signed = life
        outside(self._start_watchdog, life)

    def _start_watchdog(self, life: Life) -> None:
        """A process of its own, that outlives the agent."""
        process = Process(f"{life.process.name}/watchdog", self.skew)

        async def sweep(wanted: Callable[[], bool]) -> bool:
            try:
                count = await SimulatedEngine(self.site.daemon).sweep(self.id, wanted)
            except EngineError:
                return False
            self._tell("swept", count=count)
            return True

        self._watchdogs = [*(each for each in self._watchdogs if each.alive), process]
        process.start(self.site.of.watchdog(self._sign, sweep, lambda: self.life is life, life.incarnation))

    def _sign(self) -> tuple[str, str] | None:
        """What stands in the pulse file: that of the latest agent that came so far as to begin it."""
        return self._signed.sign() if self._signed is not None and self.on else None

    def _tell(self, what: str, **more: Any) -> None:
        self.site.of.history.add(what, self.id, **more)

    def _later(self, seconds: float, act: Callable[..., None], *args: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, act, *args, context=OUTSIDE)
