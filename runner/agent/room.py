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


@dataclass(frozen=True, slots=True)
class Shape:
    """What one task takes."""

    vcpus: float
    memory: int


def shape_of(job: Job, attempt: Attempt) -> Shape:
    """With its companions: they run beside it."""
    return Shape(job.limits.vcpus, attempt.memory + job.sidecar_memory)


DEFAULT_SHAPE = Shape(Limits().vcpus, Limits().memory)


class Room:
    """First come, first served: a large task at the head waits for room and is not overtaken for ever by small ones.

    Tasks much shorter than `prefetch` seconds would spend their time waiting for the queue and the ledger; so as many
    as run within `prefetch` seconds may be taken ahead. Long tasks are never hoarded: theirs is none.
    """

    def __init__(self, capacity: Capacity, prefetch: float) -> None:
        self.capacity = capacity
        self._free_vcpus = capacity.vcpus
        self._free_memory = capacity.memory
        self._prefetch = prefetch
        self._waiting: deque[tuple[Shape, asyncio.Future[None]]] = deque()
        self._arriving: set[TaskId] = set()
        self._typical = DEFAULT_SHAPE
        self._mean_seconds: float | None = None
        self.changed = asyncio.Event()

    @property
    def free(self) -> Capacity:
        return Capacity(self._free_vcpus, self._free_memory)

    def could_hold(self, shape: Shape) -> bool:
        return shape.vcpus <= self.capacity.vcpus and shape.memory <= self.capacity.memory

    def expect(self, task: TaskId) -> None:
        """A message for `task` was taken; it will `hold` room, or be `forgotten`."""
        self._arriving.add(task)

    def forget(self, task: TaskId) -> None:
        if task in self._arriving:
            self._arriving.discard(task)
            self.changed.set()

    def wanted(self) -> int:
        """How many more tasks to ask for. 0 also while few are missing: one request for many costs less than many."""
        ahead = self._ahead()
        missing = self._count(self._free_vcpus, self._free_memory) + ahead - len(self._arriving)
        return missing if missing >= max(1, ahead // 2) else 0

    @property
    def slots(self) -> int:
        """How many tasks of the shape last seen the whole machine holds."""
        return max(1, self._count(self.capacity.vcpus, self.capacity.memory))

    @asynccontextmanager
    async def hold(self, task: TaskId, shape: Shape) -> AsyncIterator[None]:
        await self._enter(shape)
        self.forget(task)
        entered = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            self._learn(asyncio.get_running_loop().time() - entered)
            self._leave(shape)

    async def _enter(self, shape: Shape) -> None:
        self._typical = shape
        if not self._waiting and self._fits(shape):
            self._take(shape)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((shape, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(shape)  # our turn came in the same moment: the room must not stay taken
            else:
                self._waiting.remove((shape, turn))
                self._admit()
            raise

    def _leave(self, shape: Shape) -> None:
        self._free_vcpus += shape.vcpus
        self._free_memory += shape.memory
        self._admit()
        self.changed.set()

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            shape, turn = self._waiting.popleft()
            if not turn.done():
                self._take(shape)
                turn.set_result(None)

    def _take(self, shape: Shape) -> None:
        self._free_vcpus -= shape.vcpus
        self._free_memory -= shape.memory

    def _fits(self, shape: Shape) -> bool:
        # Fractions of a vCPU do not add up exactly in binary; a millionth is nobody's share.
        return shape.vcpus <= self._free_vcpus + 1e-6 and shape.memory <= self._free_memory

    def _count(self, vcpus: float, memory: int) -> int:
        return int(min((vcpus + 1e-6) / self._typical.vcpus, memory / self._typical.memory))

    def _learn(self, seconds: float) -> None:
        mean = self._mean_seconds
        self._mean_seconds = seconds if mean is None else 0.9 * mean + 0.1 * seconds

    def _ahead(self) -> int:
        if self._mean_seconds is None:
            return 0
        return min(MOST_PREFETCHED, int(self._prefetch / max(self._mean_seconds, 1e-4) * self.slots))
