"""The errors this project raises on purpose.

    RunnerError                  anything below; `exit_code` is the command line's
    ├── BadInput            2    a job file, flag or setting is wrong; names file, line, key and what is allowed
    ├── NotFound            3    no such job, task, pipeline
    ├── Unavailable         4    a service is out of reach: database, Docker engine, AWS
    │   └── StorageError    4    the database is locked, read-only, corrupt or the disk is full
    ├── Conflict            2    an idempotency key was used before for something else
    └── EngineError              an engine could not do what it was asked; carries what it means for the attempt
        ├── ImageError           no such image or no right to it: not worth a retry
        ├── StartError           the container cannot be created or started as asked: not worth a retry
        └── EngineUnavailable    the engine does not answer, or failed within: worth one

How an attempt ended is never an exception: that is an `Outcome`.
"""

from __future__ import annotations

from dataclasses import dataclass


class RunnerError(Exception):
    exit_code = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bad input stands. `line` counts from 1; `key` is the path of keys, like `retries.backoff`."""

    file: str | None = None
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        at = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return ": ".join(part for part in (at, self.key) if part)


class BadInput(RunnerError):
    """Refused before anything was written."""

    exit_code = 2

    def __init__(self, problem: str, place: Place | None = None) -> None:
        self.problem = problem
        self.place = place or Place()
        where = str(self.place)
        super().__init__(f"{where}: {problem}" if where else problem)


class NotFound(RunnerError):
    exit_code = 3


class Unavailable(RunnerError):
    exit_code = 4


class StorageError(Unavailable):
    """The database cannot be used; the message names the file and the next step."""


class Conflict(RunnerError):
    exit_code = 2


class EngineError(RunnerError):
    """What an engine could not do."""


class ImageError(EngineError):
    pass


class StartError(EngineError):
    pass


class EngineUnavailable(EngineError, Unavailable):
    exit_code = 4
