"""State machines over a rig: hypothesis tries sequences of operations and looks for one that breaks a law."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.contracts.rigs import make_rig

T = TypeVar("T")


class RigMachine(RuleBasedStateMachine):
    """Rules are plain functions: `do` runs what they ask of the ports."""

    rig_name = ""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory()
        self.rig = self.do(make_rig(self.rig_name, Path(self._folder.name)))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def teardown(self) -> None:
        self.do(self.rig.close())
        self._runner.close()
        self._folder.cleanup()


def explore(machine: type[RigMachine], rig: str) -> None:
    """Fewer and shorter sequences where each step costs a disk write."""
    chosen = type(machine.__name__, (machine,), {"rig_name": rig})
    effort = (60, 40) if rig == "memory" else (10, 25)
    run_state_machine_as_test(
        chosen,
        settings=settings(
            max_examples=effort[0],
            stateful_step_count=effort[1],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
