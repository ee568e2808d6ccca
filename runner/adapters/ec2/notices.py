"""What an instance's metadata says of its end, read. Pure; ValueError means: not a notice, and why."""

from __future__ import annotations

import json
from datetime import datetime

SPOT_ACTION = "spot/instance-action"
REBALANCE = "events/recommendations/rebalance"
LIFECYCLE = "autoscaling/target-lifecycle-state"

ACTIONS = ("terminate", "stop", "hibernate")
# Spot notices come two minutes ahead, at the very most.
LONGEST_WARNING = 120.0


def spot_seconds_left(text: str, clock: float) -> tuple[str, float]:
    """The action (`terminate`, `stop`, `hibernate`) and the seconds until it.

    `clock` is the time by whoever wrote the notice, as far as that is known: the instance's own may be minutes off.
    """
    notice = _json_object(text)
    action, at = notice.get("action"), notice.get("time")
    if action not in ACTIONS:
        message = f"unknown action {action!r:.50}"
        raise ValueError(message)
    if action == "hibernate":
        return str(action), 0.0  # it begins at once; the time is only told
    return str(action), min(LONGEST_WARNING, max(0.0, _epoch(at) - clock))


def recommended_at(text: str) -> float:
    """When a rebalance was recommended, epoch seconds."""
    return _epoch(_json_object(text).get("noticeTime"))


def is_termination(text: str) -> bool:
    """Whether the group is about to end the instance: no other state (Standby, Detached, a warm pool's) means that."""
    return text.strip() == "Terminated"


def _json_object(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except RecursionError as error:
        message = "nested too deeply"
        raise ValueError(message) from error
    if not isinstance(found, dict):
        message = "not a JSON object"
        raise ValueError(message)
    return found


def _epoch(text: object) -> float:
    at = datetime.fromisoformat(str(text))
    if at.tzinfo is None:
        message = f"a time without its zone: {text!r:.50}"
        raise ValueError(message)
    return at.timestamp()
