"""When a leader whose steps fail makes way for another, who may be able to do what it may not. Pure.

A user's command that waits for a job leads where nobody else does. It may have the right to take the lease and none to
ask for machines; and it renews the lease in each step before the step fails. If nobody takes its place it leads again.
"""

from __future__ import annotations

from runner.aws import AwsError, Trouble
from runner.errors import RunnerError

# Steps in a row that may fail for another reason than lack of rights.
FAILURES = 3
# For so many leases it stands by, and so many lie between two times: it may be the only one there is.
STANDS_BY = 2.0
APART = 10.0


class Courtesy:
    """`lease` in seconds; times are steady ones, such as the event loop's."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._failures = 0
        self._again_at = float("-inf")

    @property
    def stands_by(self) -> float:
        """For how long, in seconds."""
        return STANDS_BY * self._lease

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, error: RunnerError, now: float) -> bool:
        """Whether to make way now."""
        self._failures += 1
        denied = isinstance(error, AwsError) and error.trouble is Trouble.DENIED
        if now < self._again_at or not (denied or self._failures >= FAILURES):
            return False
        self._failures = 0
        self._again_at = now + APART * self._lease
        return True
