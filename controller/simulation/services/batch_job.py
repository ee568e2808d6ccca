"""Jobs and job definitions of the simulated AWS Batch, and how it describes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = dict[str, Any]

WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
LIVE = (*WAITING, "STARTING", "RUNNING")
STATUSES = (*LIVE, "SUCCEEDED", "FAILED")


class Run(NamedTuple):
    """What a container does: it ends by itself after `seconds`. `exit_code` None: it could not be started, and `reason`
    says why. `deaf`: SIGTERM does not end it."""

    seconds: float = 10.0
    exit_code: int | None = 0
    reason: str = ""
    lines: Sequence[str] = ()
    deaf: bool = False


@dataclass
class Definition:
    name: str
    revision: int
    given: Json

    @property
    def arn(self) -> str:
        return f"arn:aws:batch:eu-west-1:123456789012:job-definition/{self.name}:{self.revision}"

    @property
    def main(self) -> Json:
        """The container that is the job."""
        tasks = self.given.get("ecsProperties", {}).get("taskProperties")
        if not tasks:
            found: Json = self.given["containerProperties"]
            return found
        return next(each for each in tasks[0]["containers"] if each.get("essential", True))

    @property
    def containers(self) -> Sequence[Json]:
        tasks = self.given.get("ecsProperties", {}).get("taskProperties")
        return tasks[0]["containers"] if tasks else [self.given["containerProperties"]]


@dataclass(eq=False)
class Job:
    """One that runs, or the parent of an array. `needs`: vCPUs and MiB."""

    id: str
    name: str
    queue: str
    definition: Definition
    given: Json
    created_at: float
    needs: tuple[float, float]
    env: Mapping[str, str]
    parent: Job | None = None
    index: int = 0
    size: int = 0
    status: str = "SUBMITTED"
    status_reason: str = ""
    started_at: float | None = None
    stopped_at: float | None = None
    attempts: list[Json] = field(default_factory=list)
    container: Json = field(default_factory=dict)
    run: Run | None = None
    host: Any = None
    cancelled: bool = False
    terminated: bool = False
    stopping: str = ""
    stopping_at: float = 0.0
    waits_for: set[str] = field(default_factory=set)
    children: list[Job] = field(default_factory=list)
    summary: Counter[str] = field(default_factory=Counter)

    @property
    def over(self) -> bool:
        return self.status in ("SUCCEEDED", "FAILED")

    @property
    def retry_strategy(self) -> Json:
        found: Json = self.given.get("retryStrategy") or self.definition.given.get("retryStrategy") or {}
        return found

    @property
    def timeout(self) -> float | None:
        found = self.given.get("timeout") or self.definition.given.get("timeout") or {}
        return found.get("attemptDurationSeconds")

    @property
    def multiple(self) -> bool:
        return "ecsProperties" in self.definition.given

    def attempt_of(self, container: Json, status_reason: str) -> Json:
        ended = {"stoppedAt": milliseconds(self.stopped_at), "statusReason": status_reason}
        if self.started_at is not None:
            ended["startedAt"] = milliseconds(self.started_at)
        return {**self._told(container), **ended}

    def _told(self, container: Json) -> Json:
        """Of a job of several containers, the details stand elsewhere."""
        if not self.multiple:
            return {"container": container}
        task = {key: value for key, value in container.items() if key in ("containerInstanceArn", "taskArn")}
        names = [each["name"] for each in self.definition.containers]
        main = self.definition.main["name"]
        own = {key: container[key] for key in ("exitCode", "reason", "logStreamName") if key in container}
        containers = [{"name": name, **(own if name == main else {})} for name in names]
        return {"container": {}, "taskProperties": [{**task, "containers": containers}]}

    def summarized(self) -> Json:
        shown = {**self._common(), "container": {}}
        if "exitCode" in self.container and not self.multiple:
            shown["container"] = {"exitCode": self.container["exitCode"]}
        return shown

    def described(self) -> Json:
        shown = self._common()
        shown["attempts"] = list(self.attempts)
        shown["isCancelled"], shown["isTerminated"] = self.cancelled, self.terminated
        defaults = self.definition.given.get("parameters") or {}
        shown["parameters"] = {**defaults, **(self.given.get("parameters") or {})}
        shown["tags"] = dict(self.given.get("tags") or {})
        env = [{"name": name, "value": value} for name, value in self.env.items()]
        if self.multiple:
            told = self._told(self.container)["taskProperties"]
            for container in told[0]["containers"]:
                container["environment"] = env if container["name"] == self.definition.main["name"] else []
            shown["ecsProperties"] = {"taskProperties": told}
        else:
            shown["container"] = {**self.container, "environment": env}
        return shown

    def _common(self) -> Json:
        shown: Json = {
            "jobId": self.id,
            "jobName": self.name,
            "jobQueue": f"arn:aws:batch:eu-west-1:123456789012:job-queue/{self.queue}",
            "jobDefinition": self.definition.arn,
            "status": self.status,
            "createdAt": milliseconds(self.created_at),
        }
        if self.status_reason:
            shown["statusReason"] = self.status_reason
        if self.started_at is not None:
            shown["startedAt"] = milliseconds(self.started_at)
        if self.stopped_at is not None and self.over:
            shown["stoppedAt"] = milliseconds(self.stopped_at)
        if self.size:
            summary = {status: self.summary[status] for status in STATUSES}
            shown["arrayProperties"] = {"size": self.size, "statusSummary": summary}
        elif self.parent is not None:
            shown["arrayProperties"] = {"index": self.index}
        return shown


def milliseconds(at: float | None) -> int:
    return round((at or 0.0) * 1000)
