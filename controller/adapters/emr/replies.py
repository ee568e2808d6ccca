"""What Amazon EMR says of clusters, steps and machines, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from runner.aws import Reply

LIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
OVER = ("TERMINATED", "TERMINATED_WITH_ERRORS")
# What a program wrote may be in it.
LONGEST_REASON = 500
STEP_WAITS = ("PENDING", "RUNNING", "CANCEL_PENDING")


@dataclass(frozen=True, slots=True)
class Cluster:
    """`code` and `reason`: why it is in its state. `errors`: codes and texts of what ended it. Times in seconds.
    `hours`: normalized instance hours, about what one m1.small would have needed. `tags` and `log_uri` only where one
    cluster was asked for."""

    id: str
    name: str
    state: str
    code: str = ""
    reason: str = ""
    errors: tuple[tuple[str, str], ...] = ()
    created: float = 0.0
    ready: float | None = None
    ended: float | None = None
    hours: int = 0
    tags: Mapping[str, str] | None = None
    log_uri: str = ""

    @property
    def over(self) -> bool:
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class StepStatus:
    """`reason`: of its failure, with the place of the log that tells it, as far as Amazon EMR found out."""

    id: str
    name: str
    state: str
    on_failure: str = ""
    reason: str = ""
    created: float = 0.0
    started: float | None = None
    ended: float | None = None

    @property
    def title(self) -> str:
        """Its name as the job has it: before that comes whose it is."""
        return self.name.split("/", 4)[-1].partition(" ")[2] or self.name

    @property
    def waits(self) -> bool:
        """Whether it has not come to its end."""
        return self.state in STEP_WAITS


@dataclass(frozen=True, slots=True)
class Machine:
    id: str
    type: str
    group: str
    spot: bool
    code: str = ""
    reason: str = ""
    created: float | None = None
    ended: float | None = None


def cluster(detail: Reply) -> Cluster:
    """Of DescribeCluster, or of one entry of ListClusters."""
    status: Reply = detail.get("Status") or {}
    why, times = status.get("StateChangeReason") or {}, status.get("Timeline") or {}
    tags = detail.get("Tags")
    return Cluster(
        id=str(detail["Id"]),
        name=str(detail.get("Name") or ""),
        state=str(status.get("State") or ""),
        code=str(why.get("Code") or ""),
        reason=str(why.get("Message") or ""),
        errors=tuple(
            (str(each.get("ErrorCode") or ""), str(each.get("ErrorMessage") or ""))
            for each in status.get("ErrorDetails") or ()
        ),
        created=_seconds(times.get("CreationDateTime")) or 0.0,
        ready=_seconds(times.get("ReadyDateTime")),
        ended=_seconds(times.get("EndDateTime")),
        hours=int(detail.get("NormalizedInstanceHours") or 0),
        tags=None if tags is None else {str(each.get("Key")): str(each.get("Value") or "") for each in tags},
        log_uri=str(detail.get("LogUri") or ""),
    )


def step(detail: Reply) -> StepStatus:
    status: Reply = detail.get("Status") or {}
    times: Reply = status.get("Timeline") or {}
    return StepStatus(
        id=str(detail["Id"]),
        name=str(detail.get("Name") or ""),
        state=str(status.get("State") or ""),
        on_failure=str(detail.get("ActionOnFailure") or ""),
        reason=_reason(status),
        created=_seconds(times.get("CreationDateTime")) or 0.0,
        started=_seconds(times.get("StartDateTime")),
        ended=_seconds(times.get("EndDateTime")),
    )


def _reason(status: Reply) -> str:
    details: Reply = status.get("FailureDetails") or {}
    said = [details.get("Reason"), details.get("Message")]
    said.append((status.get("StateChangeReason") or {}).get("Message"))
    told = ": ".join(dict.fromkeys(str(each) for each in said if each))[:LONGEST_REASON]
    return f"{told} (log: {details['LogFile']})".strip() if details.get("LogFile") else told


def machine(detail: Reply, groups: Mapping[str, str]) -> Machine:
    """`groups`: roles by the instance group's id."""
    status: Reply = detail.get("Status") or {}
    why, times = status.get("StateChangeReason") or {}, status.get("Timeline") or {}
    return Machine(
        id=str(detail.get("Ec2InstanceId") or detail.get("Id") or ""),
        type=str(detail.get("InstanceType") or ""),
        group=groups.get(str(detail.get("InstanceGroupId") or ""), ""),
        spot=detail.get("Market") == "SPOT",
        code=str(why.get("Code") or ""),
        reason=str(why.get("Message") or ""),
        created=_seconds(times.get("CreationDateTime")),
        ended=_seconds(times.get("EndDateTime")),
    )


def _seconds(value: object) -> float | None:
    return value.timestamp() if isinstance(value, datetime) else None
