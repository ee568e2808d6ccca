"""What `doctor` found out: one line each, with the next step where something is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from runner.aws import AwsError, Trouble
from runner.errors import RunnerError

OK, PROBLEM, UNKNOWN = "ok", "problem", "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """`status` is ok, problem or unknown: what could not be found out is no problem by itself."""

    subject: str
    status: str
    detail: str = ""
    step: str = ""


@dataclass(slots=True)
class Findings:
    """Keeps them, and passes each on as it comes."""

    tell: Callable[[Finding], None]
    all: list[Finding] = field(default_factory=list)

    def ok(self, subject: str, detail: str = "") -> None:
        self._add(Finding(subject, OK, detail))

    def problem(self, subject: str, detail: str, step: str) -> None:
        self._add(Finding(subject, PROBLEM, detail, step))

    def unknown(self, subject: str, detail: str, step: str = "") -> None:
        self._add(Finding(subject, UNKNOWN, detail, step))

    @asynccontextmanager
    async def about(self, subject: str) -> AsyncIterator[None]:
        """What fails within is a finding, and the next thing can be looked at."""
        try:
            yield
        except AwsError as error:
            if error.trouble is Trouble.DENIED:
                on = f" on {error.resource}" if error.resource else ""
                self.problem(
                    subject, f"you may not {error.action}{on} ({error.code})", "ask for the permission"
                )
            else:
                self.problem(subject, str(error), "see the error")
        except RunnerError as error:
            self.problem(subject, str(error), "see the error")

    def _add(self, finding: Finding) -> None:
        self.all.append(finding)
        self.tell(finding)

    @property
    def problems(self) -> int:
        return sum(1 for each in self.all if each.status == PROBLEM)
