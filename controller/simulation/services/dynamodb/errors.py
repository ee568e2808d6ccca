"""How the service refuses a request: by code, message and what comes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CONDITION = "The conditional request failed"
ONGOING = "Transaction is ongoing for the item"


class Refused(Exception):
    """`details`: what the reply holds beside code and message."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        self.code = code
        self.details = details or {}
        super().__init__(message)


class Misshapen(Refused):
    """What boto3 does not send at all."""

    def __init__(self, message: str) -> None:
        super().__init__("ParamValidation", f"Parameter validation failed: {message}")


def invalid(message: str) -> Refused:
    return Refused("ValidationException", message)


def unmet(found: Mapping[str, Any] | None) -> Refused:
    """`found`: the item that did not meet the condition, if it was asked for and is there."""
    return Refused("ConditionalCheckFailedException", CONDITION, {"Item": found} if found else {})


def cancelled(reasons: Sequence[Mapping[str, Any]]) -> Refused:
    """`reasons`: one for each action, in order."""
    codes = ", ".join(each["Code"] for each in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    return Refused("TransactionCanceledException", message, {"CancellationReasons": list(reasons)})
