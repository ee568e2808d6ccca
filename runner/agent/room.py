"""Room on this machine, by vCPUs and memory: who may run now, and how many more messages to ask for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from runner.model import Attempt, Job, Limits, TaskId
from runner.ports import Capacity

MOST_PREFETCHED = 64
# Jobs of which is remembered how long their tasks take.
MOST_JOBS = 256
# Fractions of a vCPU do not add up exactly in binary; a millionth is nobody's share.
SHARE = 1e-6
# Seconds until a machine asks again after it was given what does not fit: one request for each try, and each makes the
# message invisible to the others for a moment.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Shape:
    """What one task takes."""

    vcpus: float
    memory: int


def shape_of(job: Job, attempt: Attempt | None = None) -> Shape:
    """With its companions: they run beside it. A later attempt may be given more memory than its job asks for."""
    memory = job.limits.memory if attempt is None else attempt.memory
    return Shape(job.limits.vcpus, memory + job.sidecar_memory)


DEFAULT_SHAPE = Shape(Limits().vcpus, Limits().memory)


class Room:
    """First come, first served: a large task in line waits for room and is not overtaken for ever by small ones.

    Tasks much shorter than `prefetch` seconds would spend their time waiting for the queue and the ledger; so as many
    of a job are taken ahead as run within `prefetch` seconds, by what its tasks took so far. Of what may take longer,
    or is not known, at most one waits here, only if the machine is not full without it, and only where this machine is
    `alone` in taking tasks from its queues. Beside others none does: one of them may have room, or be on its way.
    """

    def __init__(self, capacity: Capacity, prefetch: float, *, alone: bool = True) -> None:
        self.capacity = capacity
        self._alone = alone
        self._free_vcpus = capacity.vcpus
        self._free_memory = capacity.memory
        self._prefetch = prefetch
        self._waiting: deque[tuple[TaskId, Shape, asyncio.Future[None]]] = deque()
        # A task whose message was taken is one of these until it is in the room.
        self._unseen: set[TaskId] = set()
        self._fitting: dict[TaskId, Shape] = {}
        self._ahead: set[TaskId] = set()
        self._in_line: TaskId | None = None
        self._pause = FIRST_PAUSE
        self._ask_at = float("-inf")
        self._typical = DEFAULT_SHAPE
        self._latest = ""
        self._mean_seconds: dict[str, float] = {}
        self.changed = asyncio.Event()

    @property
    def free(self) -> Capacity:
        """Less than nothing if tasks were adopted that need more than there is."""
        return Capacity(self._free_vcpus, self._free_memory)

    def could_hold(self, shape: Shape) -> bool:
        return shape.vcpus <= self.capacity.vcpus and shape.memory <= self.capacity.memory

    def expect(self, task: TaskId) -> None:
        """A message for `task` was taken; it will be in the room, or be `forgotten`."""
        self._unseen.add(task)

    def keep(self, task: TaskId, shape: Shape) -> bool:
        """Whether the message of a task of this shape is to stay here, or to be given back for others to take."""
        self._typical, self._latest = shape, task.job_id
        left = self._left()
        if not self.could_hold(shape):
            return True  # to be told so
        if self._in_line is not None:
            return False
        if _fits(shape, left):
            self._fitting[task] = shape
            self._pause = FIRST_PAUSE
        elif len(self._ahead) < self._lookahead(task.job_id):
            self._ahead.add(task)
        elif self._alone and (self._ahead or _is_some(left)):
            self._in_line = task
        else:
            self._hold_off()
            return False
        self._unseen.discard(task)
        return True

    def given_back_for(self, receives: int) -> float:
        """How long what was not kept stays hidden, in seconds: first others may take it at once, then it is passed
        around ever more slowly, for each receive counts towards its being put aside."""
        return 0.0 if self._alone else min(LONGEST_PAUSE, receives - 1.0)

    def forget(self, task: TaskId) -> None:
        self._unseen.discard(task)
        self._fitting.pop(task, None)
        self._ahead.discard(task)
        if self._in_line == task:
            self._in_line = None
        self.changed.set()

    def wanted(self) -> int:
        """How many more tasks to ask for. 0 also while few are missing: one request for many costs less than many.

        One while there is any room and nobody is on the way: it may be small enough. But not soon after one was not:
        until then what comes free is kept for tasks as large.
        """
        if self._in_line is not None:
            return 0
        left, ahead = self._left(), self._lookahead(self._latest)
        missing = self._count(left) + ahead - len(self._ahead) - len(self._unseen)
        if missing >= max(1, ahead // 2):
            return missing
        coming = self._unseen or self._fitting or self._ahead or self._waiting
        return 1 if _is_some(left) and not coming and not self._holds_off() else 0

    @property
    def slots(self) -> int:
        """How many tasks of the shape last seen the whole machine holds."""
        return max(1, self._count(self.capacity))

    @asynccontextmanager
    async def hold(self, task: TaskId, shape: Shape) -> AsyncIterator[None]:
        await self._enter(task, shape)
        entered = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            self._learn(task.job_id, asyncio.get_running_loop().time() - entered)
            self.leave(shape)

    def take(self, task: TaskId, shape: Shape) -> None:
        """Whether there is room or not."""
        self._free_vcpus -= shape.vcpus
        self._free_memory -= shape.memory
        self.forget(task)

    def leave(self, shape: Shape) -> None:
        self._free_vcpus += shape.vcpus
        self._free_memory += shape.memory
        self._admit()
        self.changed.set()

    async def _enter(self, task: TaskId, shape: Shape) -> None:
        if not self._waiting and _fits(shape, self.free):
            self.take(task, shape)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (task, shape, turn)
        self._waiting.append(place)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.leave(shape)  # our turn came in the same moment: the room must not stay taken
            elif place in self._waiting:
                self._waiting.remove(place)
                self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting and _fits(self._waiting[0][1], self.free):
            task, shape, turn = self._waiting.popleft()
            if not turn.done():
                self.take(task, shape)
                turn.set_result(None)

    def _hold_off(self) -> None:
        if not self._alone:
            self._ask_at = asyncio.get_running_loop().time() + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)

    def _holds_off(self) -> bool:
        return not self._alone and asyncio.get_running_loop().time() < self._ask_at

    def _left(self) -> Capacity:
        """What is free and not for those on the way who fit."""
        vcpus = sum(shape.vcpus for shape in self._fitting.values())
        memory = sum(shape.memory for shape in self._fitting.values())
        return Capacity(self._free_vcpus - vcpus, self._free_memory - memory)

    def _count(self, room: Capacity) -> int:
        count = min((room.vcpus + SHARE) / self._typical.vcpus, room.memory / self._typical.memory)
        return max(0, int(count))

    def _learn(self, job_id: str, seconds: float) -> None:
        mean = self._mean_seconds.get(job_id)
        if mean is None and len(self._mean_seconds) >= MOST_JOBS:
            del self._mean_seconds[next(iter(self._mean_seconds))]
        self._mean_seconds[job_id] = seconds if mean is None else 0.9 * mean + 0.1 * seconds

    def _lookahead(self, job_id: str) -> int:
        """How many tasks of the job may be here beyond those that fit."""
        mean = self._mean_seconds.get(job_id)
        if mean is None:
            return 0
        return min(MOST_PREFETCHED, int(self._prefetch / max(mean, 1e-4) * self.slots))


def _fits(shape: Shape, room: Capacity) -> bool:
    return shape.vcpus <= room.vcpus + SHARE and shape.memory <= room.memory


def _is_some(room: Capacity) -> bool:
    return room.vcpus > SHARE and room.memory > 0
