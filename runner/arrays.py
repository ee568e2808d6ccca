"""Index sets as people write them: `0-99`, `3,7,10-12`, `0-100:10`; and a plain `N` for a size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise

from runner.array import MAX_ARRAY, Array
from runner.errors import BadInput
from runner.wording import shown

MAX_INDEX = 999_999_999
LONGEST = 200 * 1024  # characters: no longer index set would fit in a job's record
NUMBER = "(0|[1-9][0-9]{0,11})"  # no leading zero: to some, 010 is eight
PART = re.compile(f"{NUMBER}(?:-{NUMBER}(?::{NUMBER})?)?")
HELP = "indices are written like 0-99, 3,7,10-12 or 0-100:10"


def parse_indices(value: object) -> tuple[range, ...]:
    """Ascending, distinct indices from text, one whole number or a list of them. Raises BadInput."""
    if isinstance(value, range):
        return _arranged([value])
    if isinstance(value, str):
        return _arranged([_part(part) for part in _parts(value)])
    numbers = value if isinstance(value, list | tuple) else [value]
    return _arranged([_single(number) for number in numbers])


def parse_array(value: object) -> Array:
    """A plain `N` is a size (0 to N-1), anything else indices; the array's total is how many there are."""
    if isinstance(value, str) and re.fullmatch(f"-?{NUMBER}", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_ARRAY:
            problem = f"an array has 1 to {MAX_ARRAY:,} shards, not {shown(value)}"
            raise BadInput(problem)
        return Array.of_size(value)
    spans = parse_indices(value)
    return Array(spans=spans, total=sum(len(span) for span in spans))


def format_indices(spans: Iterable[range]) -> str:
    """The text `parse_indices` reads as these spans."""
    return ",".join(_written(span) for span in spans)


def _parts(text: str) -> Iterator[str]:
    if len(text) > LONGEST:
        problem = f"an index set of {len(text):,} characters; at most {LONGEST:,}"
        raise BadInput(problem)
    return (part.strip() for part in text.split(","))


def _part(text: str) -> range:
    found = PART.fullmatch(text)
    if not found:
        problem = f"{shown(text)} is not a set of indices; {HELP}"
        raise BadInput(problem)
    first, last = int(found[1]), int(found[2] or found[1])
    step = int(found[3] or 1)
    if last < first:
        problem = f"{shown(text)} ends before it begins"
        raise BadInput(problem)
    if step < 1:
        problem = f"{shown(text)}: the step must be at least 1"
        raise BadInput(problem)
    return range(first, last + 1, step)


def _single(value: object) -> range:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        problem = f"{shown(value)} is not an index; {HELP}"
        raise BadInput(problem)
    return range(value, value + 1)


def _arranged(spans: Sequence[range]) -> tuple[range, ...]:
    """Checked, sorted and joined. Only spans that interleave are written out, and only within the bound."""
    spans = sorted((span for span in spans if span), key=lambda span: span[0])
    if any(span[0] < 0 or span.step < 1 for span in spans):
        problem = "indices ascend, from 0 or more"
        raise BadInput(problem)
    if spans and (largest := max(span[-1] for span in spans)) > MAX_INDEX:
        problem = f"index {shown(largest)} is too large; at most {MAX_INDEX}"
        raise BadInput(problem)
    size = sum(len(span) for span in spans)
    if not 1 <= size <= MAX_ARRAY:
        problem = f"an array has 1 to {MAX_ARRAY:,} shards, not {size:,}"
        raise BadInput(problem)
    if any(right[0] <= left[-1] for left, right in pairwise(spans)):
        indices = sorted(chain.from_iterable(spans))
        _refuse_duplicates(indices, spans)
        spans = [range(index, index + 1) for index in indices]
    return tuple(_joined(spans))


def _refuse_duplicates(indices: Sequence[int], spans: Sequence[range]) -> None:
    for index, following in pairwise(indices):
        if index == following:
            first, second = islice((_written(span) for span in spans if index in span), 2)
            problem = f"index {index} stands twice" + (
                f": in {first} and in {second}" if first != second else ""
            )
            raise BadInput(problem)


def _joined(spans: Iterable[range]) -> Iterator[range]:
    current: range | None = None
    for span in spans:
        span = range(span[0], span[-1] + 1, span.step if len(span) > 1 else 1)
        if current is not None and current.step == span.step == 1 and current.stop == span.start:
            current = range(current.start, span.stop)
            continue
        if current is not None:
            yield current
        current = span
    if current is not None:
        yield current


def _written(span: range) -> str:
    if len(span) == 1:
        return str(span[0])
    return f"{span[0]}-{span[-1]}" + (f":{span.step}" if span.step != 1 else "")
