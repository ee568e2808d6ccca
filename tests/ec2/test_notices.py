"""What the metadata's texts mean."""

from __future__ import annotations

import pytest

from runner.adapters.ec2 import notices

AT = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def test_a_spot_notice_says_what_and_in_how_many_seconds() -> None:
    text = '{"action": "terminate", "time": "2023-11-14T22:15:00Z"}'
    assert notices.spot_seconds_left(text, AT) == ("terminate", 100.0)


def test_no_spot_notice_leaves_more_than_two_minutes() -> None:
    text = '{"action": "stop", "time": "2023-11-14T23:00:00Z"}'
    assert notices.spot_seconds_left(text, AT) == ("stop", 120.0)


def test_a_spot_notice_of_the_past_leaves_nothing() -> None:
    text = '{"action": "terminate", "time": "2023-11-14T22:00:00Z"}'
    assert notices.spot_seconds_left(text, AT) == ("terminate", 0.0)


def test_hibernation_begins_at_once() -> None:
    text = '{"action": "hibernate", "time": "2023-11-14T22:15:00Z"}'
    assert notices.spot_seconds_left(text, AT) == ("hibernate", 0.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "null",
        '"terminate"',
        "{}",
        '{"action": "dance", "time": "2023-11-14T22:15:00Z"}',
        '{"action": ["terminate"], "time": "2023-11-14T22:15:00Z"}',
        '{"action": "terminate"}',
        '{"action": "terminate", "time": "soon"}',
        '{"action": "terminate", "time": 17}',
        '{"action": "terminate", "time": "2023-11-14T22:15:00"}',
        "[" * 100_000,
    ],
)
def test_what_is_not_a_spot_notice_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        notices.spot_seconds_left(text, AT)


def test_a_rebalance_recommendation_has_its_time() -> None:
    assert notices.recommended_at('{"noticeTime": "2023-11-14T22:13:20Z"}') == AT


@pytest.mark.parametrize(
    "state", ["InService", "Standby", "Detached", "Warmed:Terminated", "", "<html>Terminated</html>"]
)
def test_no_state_but_terminated_ends_an_instance(state: str) -> None:
    assert not notices.is_termination(state)


def test_a_target_state_of_terminated_ends_it() -> None:
    assert notices.is_termination("Terminated\n")
