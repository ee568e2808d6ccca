"""An agent of mode fleet that runs its tasks as plain processes: `python -m benchmarks.fleet_agent`.

All is as `runner-agent` puts it together on an EC2 instance but the engine, so that what is compared with others that
start processes is not the time that containers take. RUNNER_DONE names a file: the time is written to it whenever the
record of an attempt stands and is counted.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.timeline import Wrapped
from runner import fleet_wiring
from runner.adapters.process.engine import ProcessEngine
from runner.cli.agent import main
from runner.fleet_wiring import Instance
from runner.model import Attempt, Outcome
from runner.records import Verdict
from runner.settings import FleetSettings, Settings
from runner.wiring import host_state, wall_clock

FILE = "RUNNER_DONE"
TIME = struct.Struct("d")


class TellingLedger(Wrapped):
    def __init__(self, inner: Any, file: Path) -> None:
        super().__init__(inner)
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def finish(self, attempt: Attempt, outcome: Outcome, verdict: Verdict) -> bool:
        stands: bool = await self._inner.finish(attempt, outcome, verdict)
        if stands:
            os.write(self._file, TIME.pack(time.time()))
        return stands


def install() -> None:
    """Have the agent put together with another engine."""
    wiring: Any = fleet_wiring
    equip_instance = wiring.equip_instance

    @asynccontextmanager
    async def equip(
        settings: Settings, fleet: FleetSettings, instance: Instance, incarnation: str
    ) -> AsyncIterator[Any]:
        async with equip_instance(settings, fleet, instance, incarnation) as equipment:
            state = host_state(settings, instance.name)
            engine = ProcessEngine(instance.name, state, wall_clock)
            ledger: Any = TellingLedger(equipment.ledger, Path(os.environ[FILE]))
            try:
                yield replace(equipment, engines={engine.name: engine}, ledger=ledger)
            finally:
                await engine.close()

    wiring.equip_instance = equip


if __name__ == "__main__":
    install()
    main()
