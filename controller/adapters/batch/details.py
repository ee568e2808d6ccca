"""What DescribeJobs says of one job or child, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runner.aws import Reply

OVER = ("SUCCEEDED", "FAILED")

# The name of the task's own container, where there are several.
MAIN = "default"

# Said of an attempt, also where something else ended it.
EXITED = "Essential container in task exited"

# Before each reason that we stop a job for, so that it is known again.
MARK = "runner: "

# In place of the reason of a child that its parent outlived.
FORGOTTEN = "AWS Batch does not know the job any more"


@dataclass(frozen=True, slots=True)
class BatchAttempt:
    """One attempt that has ended. `reason` is the container's, `status_reason` AWS Batch's own. Times in seconds."""

    exit_code: int | None = None
    reason: str = ""
    status_reason: str = ""
    started_at: float | None = None
    stopped_at: float | None = None
    stream: str = ""
    instance_arn: str = ""


@dataclass(frozen=True, slots=True)
class BatchJob:
    """`attempts`: those that have ended, in order. `counts`: of an array's parent, its children by status. `stopped`:
    somebody had it terminated or cancelled; `by_us`, as far as its reason tells. `stream`: what it writes to now."""

    id: str
    status: str
    reason: str = ""
    created_at: float = 0.0
    stopped_at: float | None = None
    attempts: tuple[BatchAttempt, ...] = ()
    counts: Mapping[str, int] | None = None
    stopped: bool = False
    stream: str = ""

    @property
    def over(self) -> bool:
        return self.status in OVER

    @property
    def by_us(self) -> bool:
        return self.stopped and self.reason.startswith(MARK)

    @property
    def place(self) -> int:
        """Its index in the Batch array; of a single job 0."""
        _, _, index = self.id.partition(":")
        return int(index or 0)


def batch_job(detail: Reply) -> BatchJob:
    array = detail.get("arrayProperties") or {}
    reason = str(detail.get("statusReason") or "")
    return BatchJob(
        id=str(detail["jobId"]),
        status=str(detail["status"]),
        reason=reason,
        created_at=_seconds(detail.get("createdAt")) or 0.0,
        stopped_at=_seconds(detail.get("stoppedAt")),
        attempts=tuple(_ended(detail)),
        counts=array.get("statusSummary") if array.get("size") else None,
        # A child that was stopped with its parent need not have a mark of its own.
        stopped=bool(detail.get("isTerminated") or detail.get("isCancelled") or reason.startswith(MARK)),
        stream=str(_container(detail, detail.get("ecsProperties") or {}).get("logStreamName") or ""),
    )


def _ended(detail: Reply) -> Sequence[BatchAttempt]:
    """Those that have ended: all, if their job is over; else the last may still run. When it ended is not told of what
    never ran, and why, need not be told of an attempt, but of its job."""
    attempts = [_attempt(each) for each in detail.get("attempts") or ()]
    if not attempts:
        return attempts
    *before, last = attempts
    if detail["status"] in OVER:
        known = last.status_reason not in ("", EXITED)
        said = last.status_reason if known else str(detail.get("statusReason") or last.status_reason)
        stopped_at = last.stopped_at or _seconds(detail.get("stoppedAt"))
        return [*before, replace(last, status_reason=said, stopped_at=stopped_at)]
    return attempts if last.stopped_at is not None else before


def _attempt(detail: Reply) -> BatchAttempt:
    container = _container(detail, detail)
    code = container.get("exitCode")
    return BatchAttempt(
        exit_code=None if code is None else int(code),
        reason=str(container.get("reason") or ""),
        status_reason=str(detail.get("statusReason") or ""),
        started_at=_seconds(detail.get("startedAt")),
        stopped_at=_seconds(detail.get("stoppedAt")),
        stream=str(container.get("logStreamName") or ""),
        instance_arn=str(container.get("containerInstanceArn") or ""),
    )


def _container(detail: Reply, properties: Reply) -> Reply:
    """The task's own container: of several it stands by its name."""
    tasks: Sequence[Reply] = properties.get("taskProperties") or ()
    if not tasks:
        return detail.get("container") or {}
    containers: Sequence[Reply] = tasks[0].get("containers") or ()
    own: Reply = next((each for each in containers if each.get("name") == MAIN), {})
    return {**own, "containerInstanceArn": tasks[0].get("containerInstanceArn")}


def _seconds(milliseconds: object) -> float | None:
    """0 stands for what has not happened."""
    return int(milliseconds) / 1000 if isinstance(milliseconds, int | float) and milliseconds else None
