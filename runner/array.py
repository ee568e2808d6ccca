"""The indices of a job's tasks. Frozen, no I/O."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

MAX_ARRAY = 1_000_000


@dataclass(frozen=True)
class Array:
    """The indices of a job's tasks, ascending and distinct, as spans that cost nothing to hold however long.

    `manifest` names the stored lines or items, by content; a task's item is the one at its index. `total` is the
    size the container is told: that of the whole array when only some of its indices are run.
    """

    spans: tuple[range, ...]
    total: int
    manifest: str | None = None

    @cached_property
    def size(self) -> int:
        return sum(len(span) for span in self.spans)

    def __iter__(self) -> Iterator[int]:
        for span in self.spans:
            yield from span

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self._firsts, index) - 1
        return at >= 0 and index in self.spans[at]

    def rank(self, index: int) -> int:
        """How many of the indices are smaller than `index`: its position, if it is one of them."""
        at = bisect_right(self._firsts, index) - 1
        if at < 0:
            return 0
        span = self.spans[at]
        return self._before[at] + min(len(span), -((span.start - index) // span.step))

    @cached_property
    def _firsts(self) -> list[int]:
        return [span.start for span in self.spans]

    @cached_property
    def _before(self) -> list[int]:
        return [0, *accumulate(len(span) for span in self.spans)]

    def window(self, start: int, count: int) -> list[int]:
        """The indices at positions `start` to `start + count - 1`, without walking what comes before them."""
        found: list[int] = []
        for span in self.spans:
            if start >= len(span):
                start -= len(span)
                continue
            taken = span[start : start + count - len(found)]
            found.extend(taken)
            start = 0
            if len(found) >= count:
                break
        return found

    @classmethod
    def of_size(cls, size: int, manifest: str | None = None) -> Array:
        return cls(spans=(range(size),), total=size, manifest=manifest)
