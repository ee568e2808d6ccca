"""How often a call that failed is made in all, and how long to wait in between."""

from __future__ import annotations

from runner.aws import AwsError, Trouble

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
TRIES = 6
# A connection that broke took its time already, and whoever calls has a lease to think of.
TRIES_UNREACHABLE = 2

CANCELLED = "TransactionCanceledException"
_PASSING = frozenset({"TransactionConflictException", "TransactionInProgressException"})
_PASSING_REASONS = frozenset(
    {"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
)


def tries(error: AwsError, unreachable: int) -> int:
    """`unreachable`: if it got no answer. A refused condition is one, and never repeated."""
    if error.trouble is Trouble.UNREACHABLE:
        return unreachable
    if error.trouble in (Trouble.THROTTLED, Trouble.SERVER) or error.code in _PASSING:
        return TRIES
    reasons = error.details.get("CancellationReasons", ())
    passing = reasons and all(each.get("Code", "None") in _PASSING_REASONS for each in reasons)
    return TRIES if error.code == CANCELLED and passing else 1


def longest_pause(tried: int) -> float:
    """In seconds, after so many tries."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**tried)
