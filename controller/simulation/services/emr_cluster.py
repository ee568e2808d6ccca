"""Clusters of the simulated Amazon EMR: how they come up, run their steps and go down, and how they are described."""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from controller.simulation.clock import now

LIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
OVER = ("TERMINATED", "TERMINATED_WITH_ERRORS")
# Some failed, which were to continue: the code is STEP_FAILURE, the state all the same TERMINATED.
COMPLETED_WITH_ERRORS = "Steps completed with errors"

Json = dict[str, Any]


class StepRun(NamedTuple):
    """What a step does: it ends by itself after `seconds`. `failure`: why it failed; empty: it does not."""

    seconds: float = 60.0
    failure: str = ""


Program = Callable[[Sequence[str]], StepRun]


@dataclass
class Pace:
    """Seconds that a cluster takes to get its machines, to set them up, and to go down."""

    starting: float = 120.0
    bootstrapping: float = 180.0
    terminating: float = 60.0


@dataclass(eq=False)
class Step:
    id: str
    given: Json
    created: float
    state: str = "PENDING"
    started: float | None = None
    ended: float | None = None
    failure: str = ""
    log: str = ""

    @property
    def words(self) -> Sequence[str]:
        args: Sequence[str] = self.given["HadoopJarStep"].get("Args") or ()
        return args

    @property
    def action(self) -> str:
        return str(self.given.get("ActionOnFailure", "TERMINATE_CLUSTER"))

    def end(self, state: str) -> None:
        self.state, self.ended = state, now()

    def described(self) -> Json:
        failed = {"FailureDetails": {"Reason": self.failure, "LogFile": self.log}} if self.failure else {}
        times = _times(CreationDateTime=self.created, StartDateTime=self.started, EndDateTime=self.ended)
        return {
            "Id": self.id,
            "Name": self.given["Name"],
            "ActionOnFailure": self.action,
            "Config": {"Jar": self.given["HadoopJarStep"]["Jar"], "Args": list(self.words)},
            "Status": {"State": self.state, "StateChangeReason": {}, "Timeline": times, **failed},
        }


@dataclass(eq=False)
class Instance:
    id: str
    group: str
    type: str
    market: str
    created: float
    ended: float | None = None
    code: str = ""
    reason: str = ""

    def end(self, code: str, reason: str) -> None:
        if self.ended is None:
            self.ended, self.code, self.reason = now(), code, reason

    def described(self) -> Json:
        why = {"Code": self.code, "Message": self.reason} if self.code else {}
        return {
            "Id": f"c{self.id}",
            "Ec2InstanceId": self.id,
            "InstanceGroupId": self.group,
            "InstanceType": self.type,
            "Market": self.market,
            "Status": {
                "State": "RUNNING" if self.ended is None else "TERMINATED",
                "StateChangeReason": why,
                "Timeline": _times(CreationDateTime=self.created, EndDateTime=self.ended),
            },
        }


@dataclass(eq=False)
class Cluster:
    """`keep`: it waits for more steps when it has none. `trouble`: the state change it meets instead of the next."""

    id: str
    given: Json
    program: Program
    pace: Pace
    created: float
    keep: bool = False
    state: str = "STARTING"
    code: str = ""
    reason: str = ""
    errors: list[tuple[str, str]] = field(default_factory=list)
    ready: float | None = None
    ended: float | None = None
    steps: list[Step] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    timer: TimerHandle | None = None
    trouble: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.given["Name"])

    @property
    def alive(self) -> bool:
        return self.state in LIVE

    @property
    def running(self) -> Step | None:
        return next((step for step in self.steps if step.state in ("RUNNING", "CANCEL_PENDING")), None)

    def begin(self) -> None:
        self._then(self.pace.starting, self._bootstrap)

    def _then(self, seconds: float, next_: Callable[[], None]) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(seconds, next_)

    def _met(self, state: str) -> bool:
        """Whether it goes down instead of coming to that state."""
        if state not in self.trouble:
            return False
        self.go_down(*self.trouble[state])
        return True

    def _bootstrap(self) -> None:
        if self._met("BOOTSTRAPPING"):
            return
        self.state = "BOOTSTRAPPING"
        self._then(self.pace.bootstrapping, self._become_ready)

    def _become_ready(self) -> None:
        if self._met("RUNNING"):
            return
        self.ready = now()
        self.next_step()

    def next_step(self) -> None:
        """One at a time, in the order in which they were added."""
        waiting = next((step for step in self.steps if step.state == "PENDING"), None)
        if waiting is not None:
            self.state = "RUNNING"
            waiting.state, waiting.started = "RUNNING", now()
            run = self.program(waiting.words)
            self._then(run.seconds, lambda: self._step_over(waiting, run.failure))
        elif self.keep:
            self.state = "WAITING"
        elif any(step.state == "FAILED" for step in self.steps):
            self.go_down("STEP_FAILURE", COMPLETED_WITH_ERRORS)
        else:
            self.go_down("ALL_STEPS_COMPLETED", "Steps completed")

    def _step_over(self, step: Step, failure: str) -> None:
        step.end("FAILED" if failure else "COMPLETED")
        if failure:
            uri = self.given.get("LogUri", "")
            step.failure, step.log = failure, f"{uri}{self.id}/steps/{step.id}/stderr.gz" if uri else ""
        if failure and step.action == "TERMINATE_CLUSTER":
            self.go_down("STEP_FAILURE", "Shut down as step failed")
            return
        if failure and step.action == "CANCEL_AND_WAIT":
            for each in self.steps:
                if each.state == "PENDING":
                    each.end("CANCELLED")
        self.next_step()

    def cancel_step(self, step: Step) -> None:
        was_running = step is self.running
        step.end("CANCELLED")
        if was_running and self.timer is not None:
            self.timer.cancel()
            self.next_step()

    def go_down(self, code: str, reason: str) -> None:
        if not self.alive:
            return
        self.state, self.code, self.reason = "TERMINATING", code, reason
        for step in self.steps:
            if step.state in ("RUNNING", "CANCEL_PENDING"):
                step.end("INTERRUPTED" if code == "INSTANCE_FAILURE" else "CANCELLED")
            elif step.state == "PENDING":
                step.end("CANCELLED")
        self._then(self.pace.terminating, self._is_down)

    def _is_down(self) -> None:
        good = self.code in ("ALL_STEPS_COMPLETED", "USER_REQUEST") or self.reason == COMPLETED_WITH_ERRORS
        self.state, self.ended = "TERMINATED" if good else "TERMINATED_WITH_ERRORS", now()
        for instance in self.instances:
            instance.end("CLUSTER_TERMINATED", "Cluster was terminated.")

    def summarized(self) -> Json:
        times = _times(CreationDateTime=self.created, ReadyDateTime=self.ready, EndDateTime=self.ended)
        why = {"Code": self.code, "Message": self.reason} if self.code else {}
        return {
            "Id": self.id,
            "Name": self.name,
            "Status": {
                "State": self.state,
                "StateChangeReason": why,
                "Timeline": times,
                "ErrorDetails": [{"ErrorCode": code, "ErrorMessage": text} for code, text in self.errors],
            },
            "NormalizedInstanceHours": 8 * len(self.instances) if self.ready is not None else 0,
            "ClusterArn": f"arn:aws:elasticmapreduce:eu-west-1:123456789012:cluster/{self.id}",
        }

    def described(self) -> Json:
        return {
            **self.summarized(),
            "LogUri": str(self.given.get("LogUri", "")).replace("s3://", "s3n://"),
            "ReleaseLabel": self.given.get("ReleaseLabel", ""),
            "AutoTerminate": not self.keep,
            "Tags": self.given.get("Tags", []),
        }


def _times(**times: float | None) -> Json:
    return {key: datetime.fromtimestamp(at, UTC) for key, at in times.items() if at is not None}
