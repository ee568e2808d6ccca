"""What time it is by a service's clock, as its replies tell."""

from __future__ import annotations

import time
from typing import Any

import pytest

from runner.aws import date_of


def replied(**headers: str) -> dict[str, Any]:
    return {"ResponseMetadata": {"HTTPHeaders": headers}}


def test_the_header_tells() -> None:
    assert date_of(replied(date="Tue, 14 Nov 2023 22:13:20 GMT")) == 1_700_000_000.0


@pytest.mark.parametrize(
    "date", ["Tue, 14 Nov 2023 22:13:20 -0000", "Tue Nov 14 22:13:20 2023", "Tue, 14 Nov 2023 22:13:20"]
)
def test_a_time_of_no_zone_is_not_the_hosts(date: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert date_of(replied(date=date)) == 1_700_000_000.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"ResponseMetadata": {}},
        replied(),
        replied(date=""),
        replied(date="soon"),
        replied(date="Tue, 14 Foo 2023 22:13:20 GMT"),
        replied(date="Tue, 14 Nov 20230000000000 22:13:20 GMT"),
    ],
)
def test_a_service_may_not_say(reply: dict[str, Any]) -> None:
    assert date_of(reply) is None
