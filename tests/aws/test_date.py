"""What time it is by a service's clock, as its replies tell."""

from __future__ import annotations

from typing import Any

import pytest

from runner.aws import date_of


def replied(**headers: str) -> dict[str, Any]:
    return {"ResponseMetadata": {"HTTPHeaders": headers}}


def test_the_header_tells() -> None:
    assert date_of(replied(date="Tue, 14 Nov 2023 22:13:20 GMT")) == 1_700_000_000.0


@pytest.mark.parametrize(
    "reply", [{}, {"ResponseMetadata": {}}, replied(), replied(date=""), replied(date="soon")]
)
def test_a_service_may_not_say(reply: dict[str, Any]) -> None:
    assert date_of(reply) is None
