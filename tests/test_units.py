"""Durations and sizes."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import BadInput
from runner.units import format_duration, format_size, parse_duration, parse_size

YEARS = 100 * 366 * 86400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1d", 86400),
        ("500ms", 0.5),
        ("1h30m", 5400),
        ("1d2h3m4s5ms", 93784.005),
        ("1.5h", 5400),
        ("0.1s", 0.1),
        ("90", 90),
        ("0", 0),
        (90, 90),
        (0.25, 0.25),
    ],
)
def test_a_duration_is_read_in_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "bad",
    [
        "", "s", "-1s", "1m1h", "1s1s", "10 m", "10M", "1:30", "010", "1e3", "٣s", "10m\n", "9" * 5000,
        "1" * 20 + "s", -1, -0.5, math.nan, math.inf, 10**400, True, None, [], {"s": 1},
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_examples(bad: object) -> None:
    with pytest.raises(BadInput, match="written like 90s, 10m, 2h") as refused:
        parse_duration(bad)
    assert len(str(refused.value)) < 250
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MiB", 512 * 1024**2),
        ("4GiB", 4 * 1024**3),
        ("1GB", 10**9),
        ("1.5GiB", 1536 * 1024**2),
        ("1.1KiB", 1126),
        ("10B", 10),
        ("10kb", 10_000),
        ("1048576", 1048576),
        (7, 7),
        (0, 0),
    ],
)
def test_a_size_is_read_in_bytes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "bad",
    ["", "MiB", "-1MiB", "1 GiB", "1.5", "010", "1XB", "1MiBs", "1e9", "9" * 5000, -1, 1.5, True, None, []],
    ids=itertools.count(),
)
def test_what_is_no_size_is_refused_with_examples(bad: object) -> None:
    with pytest.raises(BadInput, match="written like 512MiB, 4GiB or 1GB"):
        parse_size(bad)


@pytest.mark.parametrize("text", ["512M", "512m", "512Mi"])
def test_a_size_that_could_mean_two_things_is_refused_with_both(text: str) -> None:
    with pytest.raises(BadInput, match="could mean 512MiB or 512MB"):
        parse_size(text)


@given(st.integers(0, YEARS))
def test_whole_seconds_come_back_exactly(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 999))
def test_milliseconds_below_a_second_come_back_exactly(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.floats(0, YEARS))
def test_any_duration_comes_back_to_within_what_is_shown(seconds: float) -> None:
    shown = parse_duration(format_duration(seconds))
    within = 0.0005 if seconds < 0.9995 else 0.005 if seconds < 59.995 else 0.5
    assert abs(shown - seconds) <= within * 1.0001


@given(st.floats(0, YEARS))
def test_a_duration_read_back_is_shown_the_same(seconds: float) -> None:
    shown = format_duration(seconds)
    assert format_duration(parse_duration(shown)) == shown


@given(st.integers(0, 1023), st.integers(0, 5))
def test_whole_units_come_back_exactly(count: int, power: int) -> None:
    assert parse_size(format_size(count * 1024**power)) == count * 1024**power


@given(st.integers(0, 1024**6))
def test_any_size_comes_back_to_within_a_tenth_of_its_unit(size: int) -> None:
    assert abs(parse_size(format_size(size)) - size) <= max(0.051 * size, 0)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (0.0004, "0s"),
        (0.25, "250ms"),
        (0.9999, "1s"),
        (2.256, "2.26s"),
        (59.999, "1m"),
        (90, "1m30s"),
        (90061, "1d1h1m1s"),
        (-5, "-5s"),
    ],
)
def test_a_duration_is_shown_short(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1536, "1.5KiB"),
        (1024**2 - 1, "1MiB"),
        (10**9, "953.7MiB"),
        (-1024, "-1KiB"),
    ],
)
def test_a_size_is_shown_short(size: int, shown: str) -> None:
    assert format_size(size) == shown
