"""Counts are believed once they have said the same for a while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.depths import LAG, Believed, Depths
from runner.records import Backlog

A = "default.2x8"


def watched(*looks: tuple[int, int], sent: int = 0, running: int = 0, every: float = 5.0) -> Believed:
    """Looks of so many messages, and of these so many visible."""
    depths, believed = Depths(), Believed()
    for number, (total, visible) in enumerate(looks):
        backlog = {A: Backlog(visible, total - visible, 0, 1000.0 + number * every)}
        believed = depths.observe(backlog, {A: sent}, {A: running})
    return believed


def test_one_look_moves_nothing() -> None:
    assert watched((50, 50)).excess.get(A, 0) == 0


def test_two_minutes_of_it_do() -> None:
    assert watched(*[(50, 50)] * 24).excess.get(A, 0) == 0
    assert watched(*[(50, 50)] * 25).excess[A] == 50


def test_the_least_that_was_seen_is_believed() -> None:
    assert watched(*[(50, 50)] * 24, (7, 7), *[(50, 50)] * 24).excess[A] == 7
    assert watched(*[(50, 50)] * 24, (90, 90), *[(50, 50)] * 24, sent=100).excess[A] == -10


def test_what_is_now_more_and_now_less_is_neither() -> None:
    assert watched(*[(8, 8), (12, 12)] * 15, sent=10).excess[A] == 0


def test_what_was_seen_longer_ago_is_forgotten() -> None:
    assert watched((0, 0), *[(50, 50)] * 25).excess[A] == 50


def test_a_channel_on_which_nothing_shows_for_two_minutes_is_quiet() -> None:
    assert not watched(*[(1, 0)] * 24).quiet
    assert watched(*[(1, 0)] * 25).quiet == {A}


def test_one_message_that_shows_ends_the_quiet() -> None:
    assert not watched(*[(1, 0)] * 25, (1, 1)).quiet


def test_messages_that_stay_visible_though_all_is_said_to_run_were_left() -> None:
    assert not watched(*[(3, 2)] * 24, sent=3, running=3).left
    assert watched(*[(3, 2)] * 25, sent=3, running=3).left == {A: 2}
    assert watched(*[(3, 2)] * 24, (3, 0), sent=3, running=3).left == {A: 0}


def test_messages_of_what_waits_were_not_left() -> None:
    assert watched(*[(3, 2)] * 25, sent=3, running=1).left == {A: 0}


def test_late_counts_of_a_channel_that_drains_leave_nothing() -> None:
    depths, believed = Depths(), Believed()
    for second in range(0, 300, 5):
        visible, running = max(0, 300 - max(0, second - 60)), min(300, second)
        backlog = {A: Backlog(visible, 300 - visible, 0, 1000.0 + second)}
        believed = depths.observe(backlog, {A: 300}, {A: running})
    assert believed.left == {A: 0}


def test_counts_that_are_not_read_anew_prove_nothing() -> None:
    assert not watched(*[(1, 0)] * 100, every=0.0).quiet


def test_what_was_seen_before_nobody_looked_proves_nothing() -> None:
    assert not watched((1, 0), (1, 0), every=LAG + 1).quiet


def test_a_clock_that_was_set_back_begins_anew() -> None:
    assert not watched(*[(1, 0)] * 100, every=-5.0).quiet


@given(st.lists(st.integers(0, 30), min_size=25, max_size=60), st.integers(0, 30))
def test_never_more_is_believed_than_the_latest_look_says(totals: list[int], sent: int) -> None:
    believed = watched(*[(total, 0) for total in totals], sent=sent).excess[A]
    latest = totals[-1] - sent
    assert 0 <= believed <= latest or latest <= believed <= 0
