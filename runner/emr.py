"""What a job has Amazon EMR do: a cluster of its own that lives for its steps, or steps on a cluster that is there.

Frozen values, no I/O. A job with one is a single task; an attempt at it is one cluster, or one run of its steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# What runs a command on the main node.
COMMAND_RUNNER = "command-runner.jar"

TERMINATE, CONTINUE = ON_FAILURE = ("terminate", "continue")


@dataclass(frozen=True, slots=True)
class InstanceGroup:
    """Machines of one type. `bid`: of spot machines, in dollars an hour; None: up to the price on demand."""

    instance_type: str
    count: int = 1
    spot: bool = False
    bid: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """`command` is run on the main node, with the job's variables; `args` are passed to `jar` as they are. One of the
    two is given. `on_failure`: whether the steps after it are run all the same."""

    name: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    jar: str = COMMAND_RUNNER
    on_failure: str = TERMINATE


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A script in S3 that every machine runs before anything else."""

    path: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Emr:
    """`cluster`: the id of one that is there; then nothing but `steps` is given. `steps` empty: the job's command is
    the only one. `logs`: where in S3; empty: as the settings have it."""

    release: str = ""
    main: InstanceGroup | None = None
    core: InstanceGroup | None = None
    task: InstanceGroup | None = None
    applications: tuple[str, ...] = ()
    bootstrap: tuple[Bootstrap, ...] = ()
    steps: tuple[Step, ...] = ()
    logs: str = ""
    cluster: str = ""

    @property
    def groups(self) -> Iterator[tuple[str, InstanceGroup]]:
        """By their role, as Amazon EMR calls it."""
        for role, group in (("MASTER", self.main), ("CORE", self.core), ("TASK", self.task)):
            if group is not None:
                yield role, group

    def steps_for(self, command: tuple[str, ...], name: str) -> tuple[Step, ...]:
        """All steps of a job with this command and name."""
        return self.steps or (Step(name, command=command),)
