"""What a group's scaling activities tell: only there stands why instances did not come. Pure.

Setting the desired capacity never fails for lack of machines: the group tries, and notes each failed try.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from controller.model import Trouble
from runner.aws import Reply

LONGEST_REASON = 300

_LAUNCH = "Launching"


def trouble(activities: Sequence[Reply]) -> Trouble | None:
    """The launches that failed since the last one that succeeded; None if none did. Activities come newest first."""
    failed: list[Reply] = []
    for activity in _launching(activities):
        status = activity.get("StatusCode")
        if status == "Successful":
            break
        if status == "Failed" or _died(activity):
            failed.append(activity)
    times = [at for each in failed if (at := _ended(each)) is not None]
    if not times:
        return None
    return Trouble(_reason(failed[0]), min(times), max(times))


def _launching(activities: Sequence[Reply]) -> Iterator[Reply]:
    return (each for each in activities if str(each.get("Description", "")).startswith(_LAUNCH))


def _died(activity: Reply) -> bool:
    """Whether the instance was gone before it was in service: no right to the disk's key, a limit on volumes, a spot
    instance reclaimed at once. Such a launch is noted as cancelled, with a message, and the group tries again."""
    return activity.get("StatusCode") == "Cancelled" and bool(activity.get("StatusMessage"))


def _reason(activity: Reply) -> str:
    """The service's own words, on one line."""
    said = str(activity.get("StatusMessage") or activity.get("Cause") or "the launch failed, no reason given")
    words = " ".join(said.split()).removesuffix("Launching EC2 instance failed.").strip()
    return words[:LONGEST_REASON]


def _ended(activity: Reply) -> float | None:
    return _time(activity.get("EndTime")) or _time(activity.get("StartTime"))


def _time(value: object) -> float | None:
    return value.timestamp() if isinstance(value, datetime) else None
