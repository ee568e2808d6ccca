"""Which tasks go into one SubmitJob: no more than an array takes, and than its payload holds. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from controller.adapters.batch.submissions import LARGEST_ARRAY

# Of the 30 KiB that SubmitJob takes, with room for names and what the client adds.
PAYLOAD = 28 * 1024
# A span in the list of indices, which is sent twice: once to be read back, once for the container.
SPAN = 2 * len("999999999-999999999,")
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
    used = 0
    for index in indices:
        cost = 0 if portion and index == portion[-1] + 1 else SPAN
        if items is not None:
            cost += item_cost(items[index])
        if portion and (used + cost > room or len(portion) == LARGEST_ARRAY):
            yield tuple(portion)
            portion, used = [], 0
            cost = max(cost, SPAN)
        portion.append(index)
        used += cost
    if portion:
        yield tuple(portion)
