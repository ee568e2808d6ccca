"""What a group's scaling activities tell: only there stands why instances did not come. Pure.

Setting the desired capacity never fails for lack of machines: the group tries, and notes each failed try.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from controller.model import Trouble
from runner.aws import Reply

LONGEST_REASON = 300

_LAUNCH = "Launching"
_INSTANCE = re.compile(r"\bi-[0-9a-f]+\b")


def launches(activities: Sequence[Reply]) -> Mapping[str, float]:
    """Instance → when its launch began, epoch seconds."""
    found: dict[str, float] = {}
    for activity in _launching(activities):
        instance = _INSTANCE.search(str(activity.get("Description", "")))
        began = _time(activity.get("StartTime"))
        if instance and began is not None:
            found[instance[0]] = began
    return found


def trouble(activities: Sequence[Reply]) -> Trouble | None:
    """The launches that failed since the last one that succeeded; None if none did. Activities come newest first."""
    failed: list[Reply] = []
    for activity in _launching(activities):
        status = activity.get("StatusCode")
        if status == "Successful":
            break
        if status == "Failed":
            failed.append(activity)
    times = [at for each in failed if (at := _ended(each)) is not None]
    if not times:
        return None
    return Trouble(_reason(failed[0]), min(times), max(times))


def _launching(activities: Sequence[Reply]) -> Iterator[Reply]:
    return (each for each in activities if str(each.get("Description", "")).startswith(_LAUNCH))


def _reason(activity: Reply) -> str:
    """The service's own words, on one line."""
    said = str(activity.get("StatusMessage") or activity.get("Cause") or "the launch failed, no reason given")
    words = " ".join(said.split()).removesuffix("Launching EC2 instance failed.").strip()
    return words[:LONGEST_REASON]


def _ended(activity: Reply) -> float | None:
    return _time(activity.get("EndTime")) or _time(activity.get("StartTime"))


def _time(value: object) -> float | None:
    return value.timestamp() if isinstance(value, datetime) else None
