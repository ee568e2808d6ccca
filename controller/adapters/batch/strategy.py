"""Which tries AWS Batch makes by itself, and which are ours. Pure.

By itself it tries again what lost its instance, at once and for as long as the job's bound for that allows. A task's
own failures it tries again only where the job wants no pause between and has no rules, for AWS Batch knows neither; all
others are handed over anew by us once their pause is over. So too what ran into its time limit, which AWS Batch never
tries again. It counts all attempts as one number: that is kept so low that neither of the job's two bounds is passed.
"""

from __future__ import annotations

import math
from typing import Any

from controller.adapters.batch.submissions import Lot
from runner.model import Job

MOST_ATTEMPTS = 10
SHORTEST_TIMEOUT = 60

LOST_HOST = {"onStatusReason": "Host EC2*", "action": "RETRY"}
NOT_STARTED = (
    {"onStatusReason": "Task failed to start*", "action": "EXIT"},
    {"onReason": "Cannot*", "action": "EXIT"},
)
FAILED = {"onExitCode": "*", "action": "RETRY"}
ANYTHING_ELSE = {"onReason": "*", "action": "EXIT"}


def retry_strategy(job: Job, lot: Lot) -> dict[str, Any]:
    lost = max(0, job.retry.infra_retries - lot.infra_failures)
    failed = max(0, job.retry.retries - lot.user_failures)
    if tries_failures(job) and failed:
        attempts = min(MOST_ATTEMPTS, 1 + min(lost, failed))
        return {"attempts": attempts, "evaluateOnExit": [LOST_HOST, *NOT_STARTED, FAILED, ANYTHING_ELSE]}
    return {"attempts": min(MOST_ATTEMPTS, 1 + lost), "evaluateOnExit": [LOST_HOST, ANYTHING_ELSE]}


def tries_failures(job: Job) -> bool:
    """Whether AWS Batch itself may try again what failed by its own doing."""
    return job.retry.backoff == 0 and not job.retry.rules


def timeout(job: Job) -> dict[str, int] | None:
    """From an attempt's start, as ours; but in whole seconds and not shorter than a minute."""
    if job.limits.timeout is None:
        return None
    return {"attemptDurationSeconds": max(SHORTEST_TIMEOUT, math.ceil(job.limits.timeout))}
