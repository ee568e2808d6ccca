"""A task's item: its latest attempt. One comes into being when the task is first begun.

Names are short because they count: a success must fit into 1 KB, with its keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.reading import decoded
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.sums import End, Mark
from runner.adapters.dynamodb.table import Condition
from runner.adapters.dynamodb.values import Item
from runner.codec import decode_metadata, decode_outcome
from runner.model import Status, TaskId
from runner.records import AttemptRecord, TaskRecord

# As attributes are called in the table, by the fields of `TaskItem`.
ATTRIBUTES = {
    "status": "s",
    "number": "n",
    "tries": "t",
    "owner": "o",
    "begun_at": "b",
    "begin_mark": "c",
    "round": "r",
    "settled": "q",
    "lifted": "lf",
    "resent": "rs",
    "end_mark": "e",
    "ended_at": "f",
    "user_failures": "uf",
    "infra_failures": "xf",
    "not_before": "nb",
    "memory": "m",
    "outcome": "out",
    "reason": "why",
    "metadata": "md",
    "notes": "notes",
}


@dataclass(frozen=True, slots=True)
class TaskItem:
    """`round` is the job's when the attempt began, `settled` when it ended; the marks are of those two writes.

    `lifted`: the round in which it ended as cancelled though that had lifted the cancel, and `settled` is then the one
    before; `resent`: it was sent again since. `ended_at` is only there if the outcome has no time of its own.
    `not_before` is by the service's clock. `notes`: message → (beat, refusals, when), see `takeover`.
    """

    index: int
    status: Status
    number: int
    tries: int
    owner: str
    begun_at: float
    begin_mark: Mark
    round: int
    settled: int = 0
    lifted: int = 0
    resent: bool = False
    end_mark: Mark | None = None
    ended_at: float | None = None
    user_failures: int = 0
    infra_failures: int = 0
    not_before: float | None = None
    memory: int | None = None
    outcome: str | None = None
    reason: str = ""
    metadata: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


_DEFAULTS = {f.name: f.default for f in fields(TaskItem)}


def current(number: int, status: Status = Status.RUNNING, mark: Mark | None = None) -> Condition:
    """Attempt `number` is the latest, and this is its status: what fences every write about it. With the `mark` of its
    beginning: and its owner has not claimed it again since."""
    text, values = "#n = :number AND #s = :status", {":number": number, ":status": status.value}
    if mark is None:
        return Condition(text, values)
    return Condition(f"{text} AND #c = :mark", {**values, ":mark": str(mark)})


def pack(item: TaskItem, key: Key, expires: int | None) -> Item:
    packed: Item = {**key._asdict(), "expires": expires}
    for name, short in ATTRIBUTES.items():
        value = getattr(item, name)
        if value not in (_DEFAULTS[name], {}):
            packed[short] = str(value) if isinstance(value, str) else value
    return packed


def unpack(item: Item) -> TaskItem:
    given = {name: item[short] for name, short in ATTRIBUTES.items() if short in item}
    given["status"] = Status(given["status"])
    for name in ("begin_mark", "end_mark"):
        if name in given:
            given[name] = Mark(given[name])
    for name in ("begun_at", "ended_at", "not_before"):
        if name in given:
            given[name] = float(given[name])
    return TaskItem(index=int(str(item["sk"]).partition("#")[0]), **given)


def opened_again(standing: Standing, item: TaskItem, position: int) -> int | None:
    return standing.opened_again(item.status, item.settled, position)


def as_it_stands(standing: Standing, item: TaskItem, position: int) -> TaskItem:
    """The item with what became of its job: opened again, it starts anew; its job ended, it waits no more."""
    if opened_again(standing, item, position) is not None:
        item = TaskItem(
            index=item.index,
            status=Status.RUNNABLE,
            number=item.number,
            tries=0,
            owner=item.owner,
            begun_at=item.begun_at,
            begin_mark=item.begin_mark,
            round=standing.round,
            memory=item.memory,
        )
    if item.status is not Status.RUNNABLE:
        return item
    if standing.ending is not None:
        return replace(item, status=Status.CANCELLED, reason=standing.ending.reason, not_before=None)
    return replace(item, status=Status.PENDING) if standing.waiting else item


def task_record(job_id: str, item: TaskItem) -> TaskRecord:
    """Of an item as it stands."""
    outcome = decoded(decode_outcome, item.outcome) if item.outcome else None
    live = decoded(decode_metadata, item.metadata) if item.metadata else {}
    return TaskRecord(
        task=TaskId(job_id, item.index),
        status=item.status,
        round=item.round,
        attempt=item.number,
        tries=item.tries,
        owner=item.owner,
        user_failures=item.user_failures,
        infra_failures=item.infra_failures,
        begun_at=item.begun_at,
        not_before=item.not_before,
        memory=item.memory,
        outcome=outcome,
        reason=item.reason,
        metadata=(outcome.metadata if outcome else None) or live,
    )


def attempt_record(job_id: str, item: TaskItem) -> AttemptRecord | None:
    """None while the attempt runs."""
    if item.outcome is None:
        return None
    task = TaskId(job_id, item.index)
    return AttemptRecord(
        task, item.round, item.number, item.owner, item.begun_at, decoded(decode_outcome, item.outcome)
    )


def end_of(item: TaskItem) -> End | None:
    """How the attempt ended, for adding it up; None while it runs."""
    if item.outcome is None:
        return None
    return End(
        item.index,
        item.number,
        item.status,
        item.settled,
        decoded(decode_outcome, item.outcome),
        item.ended_at or item.begun_at,
        lifted=item.lifted > 0,
    )
