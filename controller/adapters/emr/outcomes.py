"""From what Amazon EMR says of a cluster and its steps to how the attempt ended, and who pays for it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from controller.adapters.emr.replies import Cluster, Machine, StepStatus
from runner.model import Charge, Kind, Outcome

# Of these groups each machine holds data or the steps themselves; task machines only compute.
HOLDING = ("MASTER", "CORE")
INSTANCE_FAILURE = "INSTANCE_FAILURE"
LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why we had it ended, as far as that is known: the job's ending, or its time limit."""

    cancelled: str | None = None
    timed_out: bool = False


def of_cluster(
    cluster: Cluster, steps: Sequence[StepStatus], machines: Sequence[Machine], stopped: Stopped
) -> Outcome:
    """Of one that is over. The time limit counts from when it was ready, and so does the attempt."""
    outcome = _kind_of(cluster, steps, machines, stopped)
    return replace(
        outcome,
        reason=outcome.reason[:LONGEST_REASON],
        started_at=cluster.ready,
        finished_at=cluster.ended,
    )


def _kind_of(
    cluster: Cluster, steps: Sequence[StepStatus], machines: Sequence[Machine], stopped: Stopped
) -> Outcome:
    if cluster.code == "ALL_STEPS_COMPLETED" and _failed(steps) is None:
        return _completed(steps)
    if cluster.code in ("USER_REQUEST", "STEP_FAILURE") and _all_done(steps):
        return _succeeded(steps)
    if cluster.code == "USER_REQUEST":
        return when_stopped(stopped, f"somebody terminated the cluster {cluster.id}")
    if cluster.code == INSTANCE_FAILURE or _lost_to_spot(cluster):
        return _lost(cluster, machines)
    if cluster.code == "STEP_FAILURE" or _failed(steps) is not None:
        return _step_failure(cluster, steps, machines)
    if cluster.code in ("VALIDATION_ERROR", "BOOTSTRAP_FAILURE"):
        return Outcome(Kind.START_ERROR, reason=_why(cluster))
    kind = Kind.START_ERROR if cluster.ready is None else Kind.LOST
    return Outcome(kind, charge=Charge.INFRA, reason=_why(cluster))


def of_steps(steps: Sequence[StepStatus], planned: int, stopped: Stopped) -> Outcome | None:
    """Of an attempt on another's cluster; None while there is more to come. `steps`: those added so far, in order."""
    last = steps[-1]
    if last.waits:
        return None
    outcome = _of_last_step(steps, planned, stopped)
    if outcome is None:
        return None
    return replace(
        outcome,
        reason=outcome.reason[:LONGEST_REASON],
        started_at=steps[0].started,
        finished_at=last.ended or last.started,
    )


def _of_last_step(steps: Sequence[StepStatus], planned: int, stopped: Stopped) -> Outcome | None:
    last = steps[-1]
    if last.state == "INTERRUPTED":
        return Outcome(Kind.LOST, reason=f"the cluster went away under the step {last.title}")
    if last.state == "CANCELLED":
        return when_stopped(stopped, f"somebody cancelled the step {last.title}")
    return _succeeded(steps) if len(steps) == planned else None


def of_failed_step(failed: StepStatus, steps: Sequence[StepStatus]) -> Outcome:
    """Of one after which no other may be run."""
    outcome = _failure(failed)
    return replace(outcome, started_at=steps[0].started, finished_at=failed.ended)


def _completed(steps: Sequence[StepStatus]) -> Outcome:
    """A step that was cancelled counts as completed there."""
    cancelled = next((each for each in steps if each.state == "CANCELLED"), None)
    if cancelled is not None:
        return Outcome(Kind.KILLED, reason=f"somebody cancelled the step {cancelled.title}")
    return _succeeded(steps)


def _all_done(steps: Sequence[StepStatus]) -> bool:
    return bool(steps) and all(
        each.state == "COMPLETED" or (each.state == "FAILED" and each.on_failure == "CONTINUE")
        for each in steps
    )


def _succeeded(steps: Sequence[StepStatus]) -> Outcome:
    failed = [each for each in steps if each.state == "FAILED"]
    warning = "; ".join(f"step {each.title} failed, and was not to end the job" for each in failed)
    return Outcome(Kind.SUCCEEDED, exit_code=0, warning=warning[:LONGEST_REASON])


def when_stopped(stopped: Stopped, otherwise: str) -> Outcome:
    """`otherwise`: why, if it was not we."""
    if stopped.cancelled is not None:
        return Outcome(Kind.CANCELLED, reason=stopped.cancelled)
    if stopped.timed_out:
        return Outcome(Kind.TIMED_OUT, reason="time limit")
    return Outcome(Kind.KILLED, reason=otherwise)


def _lost(cluster: Cluster, machines: Sequence[Machine]) -> Outcome:
    gone = _gone(machines, cluster.ended)
    spot = _lost_to_spot(cluster) or any(each.spot for each in gone)
    named = "".join(f"; {each.group.lower()} {each.id}: {each.reason}" for each in gone[:3])
    return Outcome(Kind.INTERRUPTED if spot else Kind.LOST, reason=_why(cluster) + named)


def _lost_to_spot(cluster: Cluster) -> bool:
    """`INTERNAL_ERROR_SPOT_PRICE_INCREASE_PRIMARY`, `INTERNAL_ERROR_SPOT_NO_CAPACITY_PRIMARY`"""
    return any("_SPOT_" in code for code, _ in cluster.errors)


def _step_failure(cluster: Cluster, steps: Sequence[StepStatus], machines: Sequence[Machine]) -> Outcome:
    failed = _failed(steps)
    if failed is None:
        return Outcome(Kind.FAILED, reason=_why(cluster))
    outcome = _failure(failed)
    # What lay on a core machine went with it. The step may well have failed for that, and not by its own doing.
    gone = [each for each in _gone(machines, failed.ended) if each.spot and _within(each.ended, failed)]
    if not gone:
        return outcome
    reason = f"{outcome.reason}; meanwhile the spot machine {gone[0].id} was lost: {gone[0].reason}"
    return replace(outcome, kind=Kind.INTERRUPTED, reason=reason)


def _failed(steps: Sequence[StepStatus]) -> StepStatus | None:
    return next((each for each in steps if each.state == "FAILED" and each.on_failure != "CONTINUE"), None)


def _failure(failed: StepStatus) -> Outcome:
    why = f": {failed.reason}" if failed.reason else ""
    return Outcome(Kind.FAILED, reason=f"step {failed.title} failed{why}"[:LONGEST_REASON])


def _gone(machines: Sequence[Machine], until: float | None) -> list[Machine]:
    """Those that were lost before the end, and not because of it."""
    return [
        each
        for each in machines
        if each.group in HOLDING
        and each.code == INSTANCE_FAILURE
        and (until is None or each.ended is None or each.ended <= until)
    ]


def _within(at: float | None, step: StepStatus) -> bool:
    return at is not None and step.started is not None and at >= step.started


def _why(cluster: Cluster) -> str:
    told = [f"{code}: {text}" for code, text in cluster.errors if code or text]
    said = f"{cluster.code or cluster.state}: {cluster.reason}" if cluster.reason else cluster.code
    return f"the cluster {cluster.id} ended: " + "; ".join([said or cluster.state, *told])
