"""What goes into an item comes out of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.adapters.dynamodb.values import pack, unpack

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
PLAIN = TEXT | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15, allow_nan=False)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT.filter(bool), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(TEXT.filter(bool), VALUES, max_size=5))
def test_values_survive(item: dict[str, object]) -> None:
    assert unpack(pack(item)) == item


def test_what_is_none_is_left_out() -> None:
    assert pack({"a": None, "b": 1}) == {"b": {"N": "1"}}


def test_stray_bytes_are_escaped() -> None:
    assert unpack(pack({"a": "bad \udcff"})) == {"a": "bad \\udcff"}


def test_a_truth_is_no_number() -> None:
    assert pack({"a": True}) == {"a": {"BOOL": True}}
