"""A machine of the model, and the tasks that wait for one or run on it."""

from __future__ import annotations

from enum import Enum

from controller.simulation.model.policy import Progress

# Fractions of a vCPU do not add up exactly in binary.
NOTHING = 1e-6


class State(Enum):
    BOOTING = "booting"
    OPEN = "open"
    LEAVING = "leaving"
    GONE = "gone"


class Task:
    """`attempt` counts the times it was begun: what was planned for an earlier one does not hold any more."""

    __slots__ = ("attempt", "channel", "job", "seconds", "started")

    def __init__(self, job: Progress, seconds: float, channel: str) -> None:
        self.job = job
        self.seconds = seconds
        self.channel = channel
        self.started = 0.0
        self.attempt = 0


class Machine:
    """Times in seconds from the start of the run. `in_line`: a task it has taken and has no room for yet."""

    __slots__ = (
        "ended",
        "environment",
        "first_used",
        "free_memory",
        "free_vcpus",
        "idle_since",
        "in_line",
        "launched",
        "number",
        "ready",
        "running",
        "state",
    )

    def __init__(
        self, number: int, environment: str, launched: float, ready: float, vcpus: float, memory: int
    ) -> None:
        self.number = number
        self.environment = environment
        self.launched = launched
        self.ready = ready
        self.free_vcpus = vcpus
        self.free_memory = memory
        self.running: dict[Task, None] = {}
        self.in_line: Task | None = None
        self.state = State.BOOTING
        self.idle_since = ready
        self.first_used: float | None = None
        self.ended: float | None = None

    @property
    def idle(self) -> bool:
        return not self.running and self.in_line is None

    @property
    def has_room(self) -> bool:
        return self.in_line is None and self.free_vcpus > NOTHING and self.free_memory > 0

    def fits(self, task: Task) -> bool:
        bag = task.job.bag
        return bag.vcpus <= self.free_vcpus + NOTHING and bag.memory <= self.free_memory

    def hold(self, task: Task, at: float) -> None:
        self.free_vcpus -= task.job.bag.vcpus
        self.free_memory -= task.job.bag.memory
        self.running[task] = None
        if self.first_used is None:
            self.first_used = at

    def release(self, task: Task, at: float) -> None:
        self.free_vcpus += task.job.bag.vcpus
        self.free_memory += task.job.bag.memory
        del self.running[task]
        self.idle_since = at
