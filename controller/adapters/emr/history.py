"""What is kept of a cluster in the attempt's record, where there is no field for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from controller.adapters.emr.replies import Cluster, StepStatus

# A record shall stay small; of many steps the last ones tell most.
MOST_STEPS = 20
LONGEST = 300

# The cluster's id, while the attempt runs and when it has ended.
CLUSTER = "cluster"
# When the attempt's cluster or first step was asked for, by our clock.
ASKED = "asked_at"

_SCHEME = "emr"


def of_steps(steps: Sequence[StepStatus]) -> Mapping[str, str]:
    """Each with its state, its time and the reason of its failure, under its position, counted from 1."""
    first = max(0, len(steps) - MOST_STEPS)
    left_out = {"steps_left_out": str(first)} if first else {}
    return left_out | {f"step {at + 1}": _line(steps[at]) for at in range(first, len(steps))}


def of_cluster(cluster: Cluster, cost: float | None) -> Mapping[str, str]:
    found = {CLUSTER: cluster.id, "normalized_instance_hours": str(cluster.hours)}
    if cluster.code:
        found["cluster_ended"] = f"{cluster.state}, {cluster.code}"
    if cost is not None:
        found["estimated_cost_usd"] = f"{cost:.4f}"
    return found


def place_of(log_uri: str, cluster_id: str) -> str:
    """As it stands in an attempt's record; empty where no logs are kept."""
    if not log_uri:
        return ""
    uri = log_uri.replace("s3n://", "s3://", 1)
    return f"{_SCHEME}:{uri.rstrip('/')}/{cluster_id}/"


def parse_place(text: str) -> str | None:
    """The place in S3; None for what was not written by a cluster."""
    scheme, _, rest = text.partition(":")
    return rest if scheme == _SCHEME and rest else None


def _line(step: StepStatus) -> str:
    why = f": {step.reason}" if step.reason else ""
    return f"{step.title} {step.state} {_time(step.started)} to {_time(step.ended)} {step.id}{why}"[:LONGEST]


def _time(at: float | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
