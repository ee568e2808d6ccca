"""What the container sees. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from runner.model import Attempt, Job

RESERVED_PREFIXES = ("AWS_BATCH_", "RUNNER_")


def task_environment(job: Job, attempt: Attempt, item: str | None) -> dict[str, str]:
    """The job's own variables and the ones every task is given.

    AWS Batch's names mean what they mean there: the id of an array's child is `parent:index`, attempts count from 1.
    A job that was submitted by itself is its own run.
    """
    index = str(attempt.task.index)
    child = f"{job.id}:{index}" if job.array.total > 1 else job.id
    given = {
        "AWS_BATCH_JOB_ID": child,
        "AWS_BATCH_JOB_ATTEMPT": str(attempt.tries),
        "AWS_BATCH_JOB_ARRAY_INDEX": index,
        "AWS_BATCH_JOB_ARRAY_SIZE": str(job.array.total),
        "AWS_BATCH_JQ_NAME": job.queue,
        "RUNNER_JOB_ID": job.id,
        "RUNNER_RUN_ID": job.id,
        "RUNNER_TASK_INDEX": index,
        "RUNNER_ATTEMPT": str(attempt.tries),
    }
    if item is not None:
        given["RUNNER_ITEM"] = item
    return {**job.env, **given}


def parse_metadata(written: bytes, *, most: int = 50) -> Mapping[str, str]:
    """The `key=value` lines of a task's metadata file: the last value of a key wins, at most `most` keys of 100
    characters with values of 500. Anything else is passed over: a stranger writes the file, perhaps at this moment.
    """
    found: dict[str, str] = {}
    for line in written.decode("utf-8", "replace").splitlines():
        key, separator, value = line.partition("=")
        key = key.strip()
        if separator and key and key.isprintable() and (key in found or len(found) < most):
            found[key[:100]] = "".join(c if c.isprintable() else "�" for c in value.strip()[:500])
    return found
