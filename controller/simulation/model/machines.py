"""A machine of the model, and the tasks that wait for one or run on it."""

from __future__ import annotations

from enum import Enum

from controller.simulation.model.policy import Progress

# Fractions of a vCPU do not add up exactly in binary.
NOTHING = 1e-6

# As `runner.agent.room` has them, in seconds.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


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
    """Times in seconds from the start of the run. `asks_at`: it was given what does not fit, and asks no sooner for
    more, unless by then it has room for tasks as large as `refused`."""

    __slots__ = (
        "asks_at",
        "ended",
        "environment",
        "first_used",
        "free_memory",
        "free_vcpus",
        "idle_since",
        "launched",
        "number",
        "pause",
        "ready",
        "refused",
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
        self.asks_at = 0.0
        self.pause = FIRST_PAUSE
        self.refused: Task | None = None
        self.state = State.BOOTING
        self.idle_since = ready
        self.first_used: float | None = None
        self.ended: float | None = None

    @property
    def idle(self) -> bool:
        return not self.running

    @property
    def has_room(self) -> bool:
        return self.free_vcpus > NOTHING and self.free_memory > 0

    def asks(self, now: float) -> bool:
        return self.has_room and (
            now >= self.asks_at or (self.refused is not None and self.fits(self.refused))
        )

    def refuse(self, task: Task, now: float) -> None:
        self.refused = task
        self.asks_at = now + self.pause
        self.pause = min(LONGEST_PAUSE, 2 * self.pause)

    def fits(self, task: Task) -> bool:
        bag = task.job.bag
        return bag.vcpus <= self.free_vcpus + NOTHING and bag.memory <= self.free_memory

    def hold(self, task: Task, at: float) -> None:
        self.free_vcpus -= task.job.bag.vcpus
        self.free_memory -= task.job.bag.memory
        self.running[task] = None
        self.pause = FIRST_PAUSE
        if self.first_used is None:
            self.first_used = at

    def release(self, task: Task, at: float) -> None:
        self.free_vcpus += task.job.bag.vcpus
        self.free_memory += task.job.bag.memory
        del self.running[task]
        self.idle_since = at
