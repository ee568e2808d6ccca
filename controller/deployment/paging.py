"""Replies that come page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.aws import Aws, Reply


async def pages(
    aws: Aws, service: str, operation: str, key: str, *, turn: str = "NextToken", **wanted: Any
) -> Sequence[Reply]:
    """What all of them have under `key`. `turn`: what the service calls the way to the next one. Raises AwsError."""
    found: list[Reply] = []
    page: dict[str, Any] = {}
    while True:
        reply = await aws.call(service, operation, **wanted, **page)
        found += reply.get(key) or ()
        if not reply.get(turn):
            return found
        page = {turn: reply[turn]}
