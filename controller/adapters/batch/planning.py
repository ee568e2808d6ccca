"""Which tasks go into one SubmitJob: no more than an array takes, and than a task can be told. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from controller.adapters.batch.submissions import LARGEST_ARRAY

# AWS Batch has Amazon ECS run a task with the commands and variables of all its containers as overrides, also those of
# the definition; a job fails that has more than 8,192 characters of them. The rest is for AWS Batch's own variables.
# SubmitJob's own bound, 30 KiB, is far beyond that.
OVERRIDES = 7000
VARIABLE = len('{"name": "RUNNER_ITEM_9999", "value": }, ')


def payload(parameters: Mapping[str, object]) -> int:
    return len(json.dumps(parameters).encode())


def item_cost(item: str) -> int:
    return VARIABLE + len(json.dumps(item))


def portions(
    indices: Sequence[int], room: int, items: Mapping[int, str] | None = None
) -> Iterator[tuple[int, ...]]:
    """The indices, ascending, in portions that take no more than `room` bytes each; one that takes more is alone."""
    portion: list[int] = []
    used, span = 0, 2 * len(str(indices[-1])) + len("-,")
    for index in indices:
        cost = 0 if portion and index == portion[-1] + 1 else span
        if items is not None:
            cost += item_cost(items[index])
        if portion and (used + cost > room or len(portion) == LARGEST_ARRAY):
            yield tuple(portion)
            portion, used = [], 0
            cost = max(cost, span)
        portion.append(index)
        used += cost
    if portion:
        yield tuple(portion)
