"""What an outcome makes of its task. Pure: the random number is given."""

from __future__ import annotations

from runner.model import Attempt, Charge, Job, Kind, Outcome, Retry, Rule, Status
from runner.records import Verdict

CHARGES: dict[Kind, Charge] = {
    Kind.FAILED: Charge.USER,
    Kind.TIMED_OUT: Charge.USER,
    Kind.OUT_OF_MEMORY: Charge.USER,
    Kind.KILLED: Charge.USER,
    Kind.START_ERROR: Charge.USER,
    Kind.IMAGE_ERROR: Charge.USER,
    Kind.DISK_FULL: Charge.INFRA,
    Kind.INTERRUPTED: Charge.INFRA,
    Kind.LOST: Charge.INFRA,
}

# Another try cannot help: the image will not appear, the container cannot be made as asked. An explicit rule still may.
FINAL_KINDS = frozenset({Kind.IMAGE_ERROR, Kind.START_ERROR})

# The machine went away; there is nothing to let recover, and the task should start elsewhere at once.
PROMPT_KINDS = frozenset({Kind.INTERRUPTED, Kind.LOST})


def decide(
    job: Job, attempt: Attempt, outcome: Outcome, jitter: float, largest_memory: int | None = None
) -> Verdict:
    """The verdict on `outcome`. `jitter` is uniform in [0, 1). No retry is given more than `largest_memory` bytes, the
    biggest machine's.

    An outcome's own charge (a start error that was the engine's fault, say) goes before the table's.
    """
    if outcome.kind is Kind.SUCCEEDED:
        return Verdict(Status.SUCCEEDED)
    if outcome.kind is Kind.CANCELLED:
        return Verdict(Status.CANCELLED, reason=outcome.reason or "cancelled")
    charge = outcome.charge or CHARGES[outcome.kind]
    if charge is Charge.INFRA:
        return _infra(job.retry, attempt, outcome, jitter)
    return _user(job.retry, attempt, outcome, jitter, largest_memory)


def _infra(retry: Retry, attempt: Attempt, outcome: Outcome, jitter: float) -> Verdict:
    failures = attempt.infra_failures + 1
    if failures > retry.infra_retries:
        reason = (
            f"{outcome.kind}: lost to the infrastructure {failures} times, the bound is {retry.infra_retries}"
        )
        return Verdict(Status.FAILED, Charge.INFRA, reason=reason)
    delay = 0.0 if outcome.kind in PROMPT_KINDS else backoff(retry, failures, jitter)
    return Verdict(Status.RUNNABLE, Charge.INFRA, delay=delay, memory=attempt.memory)


def _user(
    retry: Retry, attempt: Attempt, outcome: Outcome, jitter: float, largest_memory: int | None
) -> Verdict:
    failures = attempt.user_failures + 1
    rule = next((rule for rule in retry.rules if matches(rule, outcome)), None)
    if not (rule.retry if rule else outcome.kind not in FINAL_KINDS):
        return Verdict(
            Status.FAILED, Charge.USER, reason=f"{outcome.kind}: not retried, by rule" if rule else ""
        )
    if failures > retry.retries:
        return Verdict(Status.FAILED, Charge.USER)
    memory = raised(attempt.memory, rule, retry, largest_memory)
    return Verdict(Status.RUNNABLE, Charge.USER, delay=backoff(retry, failures, jitter), memory=memory)


def raised(memory: int, rule: Rule | None, retry: Retry, largest: int | None) -> int:
    """The next attempt's memory: never less than before, never more than the job or the machines allow."""
    wanted = int(memory * (rule.memory_factor if rule else 1.0))
    return max(memory, min([wanted, *(bound for bound in (retry.max_memory, largest) if bound is not None)]))


def matches(rule: Rule, outcome: Outcome) -> bool:
    if outcome.kind in rule.kinds:
        return True
    code = outcome.exit_code
    return (
        outcome.kind is Kind.FAILED
        and code is not None
        and any(low <= code <= high for low, high in rule.exit_codes)
    )


def backoff(retry: Retry, failures: int, jitter: float) -> float:
    """Seconds before the next attempt: exponential, of which the upper half is random so that a crowd spreads out."""
    try:
        full = min(retry.max_backoff, retry.backoff * retry.backoff_factor ** (failures - 1))
    except OverflowError:
        full = retry.max_backoff
    return full * (0.5 + jitter / 2)
