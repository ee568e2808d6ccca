"""Whether a supervisor does its work, judged by its steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Steps in a row that may fail before it counts, and how long there may be none, in seconds.
FAILURES = 3
STALE = 120.0


@dataclass(frozen=True, slots=True)
class Health:
    """How the steps go. `since`: the event loop's time of the last good one, or of the beginning; `failures` since
    then, the last one with `error`. `leading` False: it stands by for another."""

    since: float
    leading: bool = False
    failures: int = 0
    error: str = ""

    def succeeded(self, now: float, *, leading: bool) -> Health:
        return Health(now, leading)

    def failed(self, error: str) -> Health:
        return Health(self.since, self.leading, self.failures + 1, error)

    def trouble(self, now: float) -> str:
        """What is wrong; empty: nothing."""
        if self.failures >= FAILURES:
            return f"{self.failures} steps in a row failed: {self.error}"
        if now - self.since > STALE:
            return f"no step has come to an end for {now - self.since:.0f} seconds"
        return ""

    def told(self, now: float) -> Mapping[str, object]:
        trouble = self.trouble(now)
        return {
            "status": "unhealthy" if trouble else "ok",
            "leading": self.leading,
            "seconds_since_good_step": round(now - self.since, 1),
            "failures": self.failures,
            "trouble": trouble,
        }
