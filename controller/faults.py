"""What went wrong in one step and did not keep the rest of it from being done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from runner.errors import RunnerError

log = structlog.get_logger()


class Faults:
    """One job that cannot be sent, one group that may not grow, must not stop all others, step after step."""

    def __init__(self) -> None:
        self.first: RunnerError | None = None

    @contextmanager
    def passed_over(self, doing: str, **about: str) -> Iterator[None]:
        """Whatever fails in it is logged and remembered."""
        try:
            yield
        except RunnerError as error:
            log.warning("passed over", doing=doing, error=str(error), **about)
            self.first = self.first or error

    def raise_first(self) -> None:
        """At the end: the step failed, though not all of it."""
        if self.first is not None:
            raise self.first
