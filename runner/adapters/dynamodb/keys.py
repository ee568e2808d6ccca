"""Where everything stands in the table.

    J#JOB            state · body#NN            a job as a whole · what was submitted
    T#JOB#BUCKET     INDEX                      a task's latest attempt
    A#JOB#BUCKET     INDEX#NUMBER               an attempt before the latest
    F#JOB#BUCKET     INDEX                      how it last ended without success: a hint where to look
    S#JOB#PART       SOURCE                     what one process counted
    L · N#NAME · I   CREATED#JOB · JOB          jobs by time · by name · by id
    U                CREATED#JOB                those that may be unfinished
    K#KEY            key                        an idempotency key
    B#OWNER          beats                      the beats of one owner's attempts
    R#PART           HOST                       what a host last said
    LEADER           leader

Names from outside stand in keys as digests only, for they may be of any length.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple
from zlib import crc32

from runner.adapters.dynamodb.values import Item, storable
from runner.model import TaskId

# A partition takes 1,000 writes a second, and a task makes two; these many tasks share one.
TASKS_PER_BUCKET = 1000
MOST_BUCKETS = 64
# Jobs that may have many agents at once spread what each of these counts.
LARGE = 5000
MOST_PARTS = 4
REPORT_PARTS = 4


class Key(NamedTuple):
    pk: str
    sk: str


ALL_JOBS = "L"
JOBS_BY_ID = "I"
UNFINISHED = "U"
LEADER = Key("LEADER", "leader")


def buckets_for(size: int) -> int:
    return max(1, min(MOST_BUCKETS, size // TASKS_PER_BUCKET))


def parts_for(size: int) -> int:
    """Over how many partitions the sums of a job are spread: each process writes its own once a second or so."""
    return MOST_PARTS if size > LARGE else 1


def state(job_id: str) -> Key:
    return Key(f"J#{job_id}", "state")


def body(job_id: str, chunk: int) -> Key:
    return Key(f"J#{job_id}", f"body#{chunk:02d}")


def job_of(item: Item) -> str:
    """The id of the job whose state or body it is."""
    return str(item["pk"]).removeprefix("J#")


def index(number: int) -> str:
    return f"{number:09d}"


def task(task: TaskId, buckets: int) -> Key:
    return Key(f"T#{task.job_id}#{task.index % buckets}", index(task.index))


def tasks(job_id: str, buckets: int) -> Sequence[str]:
    return [f"T#{job_id}#{bucket}" for bucket in range(buckets)]


def history(task: TaskId, buckets: int, number: int) -> Key:
    return Key(f"A#{task.job_id}#{task.index % buckets}", f"{index(task.index)}#{number:06d}")


def histories(job_id: str, buckets: int) -> Sequence[str]:
    return [f"A#{job_id}#{bucket}" for bucket in range(buckets)]


def hint(task: TaskId, buckets: int) -> Key:
    return Key(f"F#{task.job_id}#{task.index % buckets}", index(task.index))


def hints(job_id: str, buckets: int) -> Sequence[str]:
    return [f"F#{job_id}#{bucket}" for bucket in range(buckets)]


def sums(job_id: str, parts: int, source: str) -> Key:
    return Key(f"S#{job_id}#{_spread(source, parts)}", source)


def all_sums(job_id: str, parts: int) -> Sequence[str]:
    return [f"S#{job_id}#{part}" for part in range(parts)]


def stamp(job_id: str, created_at: float) -> str:
    """Sorts jobs by their time of creation."""
    return f"{max(0, int(created_at * 1_000_000)):017d}#{job_id}"


def by_name(name: str) -> str:
    return f"N#{_digest(name)}"


def idempotency(key: str) -> Key:
    return Key(f"K#{_digest(key)}", "key")


def beats(owner: str) -> Key:
    return Key(f"B#{_digest(owner)}", "beats")


def report(host: str) -> Key:
    return Key(f"R#{_spread(host, REPORT_PARTS)}", _digest(host))


def reports() -> Sequence[str]:
    return [f"R#{part}" for part in range(REPORT_PARTS)]


def _digest(text: str) -> str:
    return sha256(storable(text).encode()).hexdigest()[:32]


def _spread(text: str, parts: int) -> int:
    return crc32(storable(text).encode()) % parts
