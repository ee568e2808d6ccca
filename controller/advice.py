"""What an outcome means in plain words, and what can be done about it. Pure."""

from __future__ import annotations

from runner.model import Charge, Job, Kind, Outcome
from runner.units import format_duration, format_size

# Shells and container engines report these for a command that could not be run at all.
NOT_EXECUTABLE = 126
NOT_FOUND = 127
BY_SIGNAL = 128
HIGHEST_SIGNAL = 64

WORDS = {
    Kind.SUCCEEDED: "succeeded",
    Kind.FAILED: "failed",
    Kind.TIMED_OUT: "timed out",
    Kind.OUT_OF_MEMORY: "ran out of memory",
    Kind.KILLED: "was killed",
    Kind.CANCELLED: "was cancelled",
    Kind.START_ERROR: "could not be started",
    Kind.IMAGE_ERROR: "had no image to run in",
    Kind.DISK_FULL: "met a full disk",
    Kind.INTERRUPTED: "was interrupted",
    Kind.LOST: "was lost",
}
GENERAL = {
    Kind.KILLED: "Something outside the task sent the signal: the system short of memory, or a person.",
    Kind.START_ERROR: "It could not be started as the job asks; the reason names what to change.",
    Kind.DISK_FULL: "Free disk space on the host; the task is tried again by itself.",
    Kind.LOST: "The agent fell silent while it ran; that uses up none of the job's own retries.",
    Kind.INTERRUPTED: "Its agent was told to stop; that uses up none of the job's own retries.",
}


def ended(outcome: Outcome) -> str:
    """How an attempt ended, as the end of a sentence that begins with the attempt."""
    return briefly(outcome) + _took(outcome)


def briefly(outcome: Outcome) -> str:
    """The same for attempts that ended alike, however long they took."""
    return WORDS[outcome.kind] + (f": {outcome.reason}" if outcome.reason else "")


def _took(outcome: Outcome) -> str:
    return "" if outcome.duration is None else f" after {format_duration(outcome.duration)}"


def advice(job: Job, outcome: Outcome, memory: int | None) -> str:
    """What to try after such an outcome, or an empty string. `memory`: what the attempt had, in bytes."""
    if outcome.kind is Kind.OUT_OF_MEMORY:
        return _more_memory(memory or job.limits.memory, outcome)
    if outcome.kind is Kind.TIMED_OUT:
        return _more_time(job)
    if outcome.kind is Kind.FAILED:
        return _exit_code(outcome.exit_code)
    if outcome.kind is Kind.START_ERROR and outcome.charge is Charge.INFRA:
        return "That was the engine's failure; it uses up none of the job's own retries."
    if outcome.kind is Kind.IMAGE_ERROR:
        return f"Check the image's name and your right to it: {job.image}"
    return GENERAL.get(outcome.kind, "")


def _more_memory(memory: int, outcome: Outcome) -> str:
    peak = outcome.usage.peak_memory
    seen = f" (its peak was {format_size(peak)})" if peak else ""
    return (
        f"Its limit was {format_size(memory)}{seen}: raise --memory, "
        "or let retries have more with a rule on out_of_memory."
    )


def _more_time(job: Job) -> str:
    limit = f"Its time limit is {format_duration(job.limits.timeout)}: " if job.limits.timeout else ""
    return f"{limit}raise --timeout, or make the shards smaller."


def _exit_code(code: int | None) -> str:
    if code == NOT_FOUND:
        return "Exit code 127 usually means that a command was not found there."
    if code == NOT_EXECUTABLE:
        return "Exit code 126 usually means that the command is not executable."
    if code is not None and BY_SIGNAL < code <= BY_SIGNAL + HIGHEST_SIGNAL:
        return (
            f"Exit code {code} usually means that signal {code - BY_SIGNAL} ended the command inside a shell."
        )
    return ""
