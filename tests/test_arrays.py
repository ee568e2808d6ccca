"""Index sets."""

from __future__ import annotations

import itertools
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.array import MAX_ARRAY, Array
from runner.arrays import MAX_INDEX, format_indices, parse_array, parse_indices
from runner.errors import BadInput


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("0-99", (range(100),)),
        ("7", (range(7, 8),)),
        ("5-5", (range(5, 6),)),
        ("3,7,10-12", (range(3, 4), range(7, 8), range(10, 13))),
        ("10-12, 3", (range(3, 4), range(10, 13))),
        ("0-100:10", (range(0, 101, 10),)),
        ("0-4,5-9", (range(10),)),
        ("0-10:2,1-11:2", (range(12),)),
        ([3, 1, 2], (range(1, 4),)),
        (range(0, 10, 5), (range(0, 6, 5),)),
        (7, (range(7, 8),)),
    ],
)
def test_indices_are_read_ascending_and_joined(text: object, spans: tuple[range, ...]) -> None:
    assert parse_indices(text) == spans


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("", "not a set of indices"),
        ("1,", "not a set of indices"),
        ("-1", "not a set of indices"),
        ("a-b", "not a set of indices"),
        ("1-2-3", "not a set of indices"),
        ("٣", "not a set of indices"),
        ("010", "not a set of indices"),
        ("9-0", "ends before it begins"),
        ("0-9:0", "step must be at least 1"),
        ("0-9,5", "index 5 stands twice: in 0-9 and in 5"),
        ("0-10:5,3-7:2", "index 5 stands twice: in 0-10:5 and in 3-7:2"),
        ([1, 1], "index 1 stands twice"),
        ([-1], "-1 is not an index"),
        ([True], "true is not an index"),
        ([1.0], "1.0 is not an index"),
        ([], "not 0"),
        (range(0), "not 0"),
        (range(3, -2, -1), "ascend"),
        (None, "nothing is not an index"),
        ("1000000000", "too large; at most 999999999"),
        (range(10**30), "too large"),
        ([10**5000], "too large"),
        ("0-1000000", "1 to 1,000,000 shards, not 1,000,001"),
        ("0-999999,1000000-1999999", "1 to 1,000,000 shards, not 2,000,000"),
        ("1," * 200_000, "400,000 characters"),
    ],
    ids=itertools.count(),
)
def test_what_is_no_index_set_is_refused_with_the_reason(bad: object, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        parse_indices(bad)


index_lists = st.lists(st.integers(0, MAX_INDEX), min_size=1, max_size=50, unique=True)


@given(index_lists)
def test_indices_are_all_there_once_and_ascending(indices: list[int]) -> None:
    assert list(chain.from_iterable(parse_indices(indices))) == sorted(indices)


@given(index_lists)
def test_written_spans_are_read_back(indices: list[int]) -> None:
    spans = parse_indices(indices)
    assert parse_indices(format_indices(spans)) == spans


stepped = st.builds(
    lambda first, count, step: range(first, first + count * step, step),
    st.integers(0, 60),
    st.integers(1, 8),
    st.integers(1, 5),
)


@given(st.lists(stepped, min_size=1, max_size=5))
def test_parts_are_taken_together_or_refused_as_sets_say(parts: list[range]) -> None:
    indices = list(chain.from_iterable(parts))
    text = format_indices(parts)
    if len(set(indices)) < len(indices):
        with pytest.raises(BadInput, match="stands twice"):
            parse_indices(text)
    else:
        assert list(chain.from_iterable(parse_indices(text))) == sorted(indices)


@given(st.text(max_size=30) | st.integers() | st.floats() | st.none() | st.lists(st.integers() | st.text()))
def test_anything_is_an_array_or_bad_input(value: object) -> None:
    try:
        array = parse_array(value)
    except BadInput:
        return
    assert 1 <= array.size == array.total <= MAX_ARRAY


@pytest.mark.parametrize("size", [1, "1", 5, "5", MAX_ARRAY, str(MAX_ARRAY)])
def test_a_plain_number_is_a_size(size: int | str) -> None:
    assert parse_array(size) == Array.of_size(int(size))


@pytest.mark.parametrize(
    "size", [0, "0", -5, "-5", MAX_ARRAY + 1, str(MAX_ARRAY + 1), 10**5000], ids=itertools.count()
)
def test_an_absurd_size_is_refused(size: object) -> None:
    with pytest.raises(BadInput, match="an array has 1 to 1,000,000 shards, not "):
        parse_array(size)


def test_the_total_of_listed_indices_is_how_many_there_are() -> None:
    assert parse_array("3,7,10-12").total == 5


def test_a_list_of_one_is_an_index_not_a_size() -> None:
    assert list(parse_array([5])) == [5]


def test_a_million_indices_take_no_room() -> None:
    assert len(parse_array("0-999999").spans) == 1
