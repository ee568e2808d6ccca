"""How attempts are known by the names of clusters and steps."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.adapters.emr.names import LONGEST, Name, name_in, position_in
from runner.codec import JOB_ID

NAMES = st.builds(
    Name,
    st.from_regex(re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]"), fullmatch=True),
    st.from_regex(JOB_ID, fullmatch=True),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
)


@given(NAMES)
def test_a_cluster_is_known_again_by_its_name(name: Name) -> None:
    assert name_in(str(name)) == name
    assert len(str(name)) <= LONGEST


@given(NAMES, NAMES)
def test_no_two_attempts_have_the_same(one: Name, other: Name) -> None:
    assert (str(one) == str(other)) == (one == other)


@given(NAMES, NAMES, st.integers(1, 256), st.text(max_size=128))
def test_a_step_is_known_by_its_attempt_and_by_no_other(
    one: Name, other: Name, position: int, title: str
) -> None:
    step = one.step(position, title)
    assert position_in(one, step) == position
    assert position_in(other, step) == (position if one == other else None)
    assert len(step) <= LONGEST


@pytest.mark.parametrize("text", ["", "theirs", "inst/a", "inst/a/1", "inst/a/1/x", "inst/a/1/1/1 step"])
def test_other_names_are_nobodys(text: str) -> None:
    assert name_in(text) is None
