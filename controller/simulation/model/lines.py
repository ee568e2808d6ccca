"""The order in which waiting tasks are handed out: in turn over the jobs, as they are sent; of a job as they came."""

from __future__ import annotations

from collections import deque

from controller.simulation.model.machines import Task


class Line:
    """Of one channel."""

    def __init__(self) -> None:
        self._jobs: dict[str, deque[Task]] = {}
        self._turns: deque[str] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, task: Task) -> None:
        self._of(task).append(task)

    def put_back(self, task: Task) -> None:
        self._of(task).appendleft(task)

    def next(self) -> Task:
        """Only where there is one."""
        turn = self._turns[0]
        waiting = self._jobs[turn]
        task = waiting.popleft()
        self._turns.rotate(-1)
        if not waiting:
            del self._jobs[turn]
            self._turns.pop()
        self._count -= 1
        return task

    def _of(self, task: Task) -> deque[Task]:
        if task.job.id not in self._jobs:
            self._jobs[task.job.id] = deque()
            self._turns.append(task.job.id)
        self._count += 1
        return self._jobs[task.job.id]
