"""How long the tasks of a job took before: from the ledger's records of the latest job of its name."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from controller.pace import mean_seconds
from controller.ports import Records
from runner.model import Status

# Jobs of the name that are looked at, and tasks of one that are.
LATEST = 5
MOST_TASKS = 1000


@dataclass(frozen=True, slots=True)
class Experience:
    """`seconds`: of single tasks, in no order. `job`: whose they were."""

    seconds: tuple[float, ...]
    job: str

    @property
    def mean(self) -> float:
        return sum(self.seconds) / len(self.seconds)

    def like_it(self, count: int, random: Random) -> list[float]:
        """So many durations as they were seen."""
        return random.choices(self.seconds, k=count)


async def experience_of(records: Records, name: str) -> Experience | None:
    """None: no task of a job of that name ever ended."""
    for record in await records.jobs(name=name, limit=LATEST):
        tasks = await records.tasks(record.job.id, statuses=[Status.SUCCEEDED], limit=MOST_TASKS)
        ended = [
            (task.outcome.started_at, task.outcome.finished_at) for task in tasks if task.outcome is not None
        ]
        seconds = tuple(
            max(0.0, end - start) for start, end in ended if start is not None and end is not None
        )
        if seconds:
            return Experience(seconds, record.job.id)
        if mean := mean_seconds(record):
            return Experience((mean,), record.job.id)
    return None
