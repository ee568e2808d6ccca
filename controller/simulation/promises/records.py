"""Promises about the ledger's records: one terminal record a round, written by the attempt that it is about, which
tells what happened, and charges the user for nothing but the user's own failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.simulation.history import Event
from controller.simulation.promises.rounds import Rounds
from controller.simulation.promises.rule import (
    TERMINAL,
    End,
    JobEnd,
    Rule,
    See,
    job_of,
)
from runner.model import Kind, Retry, Status


@dataclass
class OneRecord(Rule):
    """Promise 1: every submitted task ends in exactly one terminal record a round, which nothing changes.

    Seen in the ledger: no second terminal record in a round, no attempt after a success or before `retry` opened a new
    round, no record changed or erased. In the end each task of each registered job has a terminal status, and the job's
    counts add up to just these.
    """

    rounds: Rounds = field(default_factory=Rounds)
    _terminal: dict[str, Event] = field(default_factory=dict)

    @property
    def handlers(self) -> Mapping[str, See]:
        own = {
            "begun": self._begun,
            "recorded": self._recorded,
            "rewritten": self._changed,
            "erased": self._changed,
        }
        return {**self.rounds.handlers, **own}

    def _begun(self, event: Event) -> None:
        before = self._terminal.pop(event.subject, None)
        if before is None:
            return
        reopened = self.rounds.now(job_of(event.subject)) > event.more["settled"]
        if before.more["status"] == Status.SUCCEEDED or not reopened:
            self.broken(1, event.subject, "begun again after its terminal record", before, event)

    def _recorded(self, event: Event) -> None:
        before = self._terminal.get(event.subject)
        if before is not None:
            self.broken(1, event.subject, "recorded after its terminal record", before, event)
        if event.more["status"] in TERMINAL:
            self._terminal[event.subject] = event

    def _changed(self, event: Event) -> None:
        self.broken(1, event.subject, "a record of it was changed", event)

    def end(self, end: End) -> None:
        for job in self.rounds.registered:
            if job in end.unfinished:
                continue
            if job not in end.jobs:
                self.broken(1, job, "was registered, and the ledger does not know it")
                continue
            self._see_end(job, end.jobs[job])

    def _see_end(self, job: str, found: JobEnd) -> None:
        size = found.record.job.array.size
        statuses = Counter(task.status for task in found.tasks.values())
        if left := [str(index) for index, task in found.tasks.items() if not task.status.terminal]:
            self.broken(1, f"{job}/{','.join(left)}", "has no terminal status though its job is over")
        if len(found.tasks) != size:
            self.broken(1, job, f"has {size} tasks, and {len(found.tasks)} are listed")
        counts = found.record.counts
        counted = {
            Status.SUCCEEDED: counts.succeeded,
            Status.FAILED: counts.failed,
            Status.CANCELLED: counts.cancelled,
        }
        if any(counted[status] != statuses[status] for status in counted):
            told = {str(status): count for status, count in statuses.items()}
            self.broken(1, job, f"its counts are {counts}, its tasks {told}")


@dataclass
class Fenced(Rule):
    """Promise 2: only the current attempt writes, and a late or duplicate write changes nothing.

    Seen in the ledger: attempts are numbered one after the other; each is recorded at most once; by the agent that
    owns it or a successor on the same machine, unless it is given up as lost, a lease at least after its last beat;
    nobody else changes its metadata. And what the record says is what became of that attempt's own container.

    An owner that gets no answer as it begins claims nothing, and drops the attempt from its beats: an earlier one for
    it does not count then, unless its container was started.
    """

    _owners: dict[str, Event] = field(default_factory=dict)
    _recorded: dict[tuple[str, int], Event] = field(default_factory=dict)
    _incarnations: dict[str, int] = field(default_factory=dict)
    _lives: Counter[str] = field(default_factory=Counter)
    _started: set[str] = field(default_factory=set)
    _containers: dict[tuple[str, int], Event] = field(default_factory=dict)
    _renewed: dict[str, Event] = field(default_factory=dict)

    @property
    def handlers(self) -> Mapping[str, See]:
        return {
            "agent-started": self._agent_started,
            "container-started": self._container_started,
            "container-ended": self._container_ended,
            "begun": self._see_begun,
            "beat": self._see_beat,
            "recorded": self._see_recorded,
            "annotated": self._see_annotated,
        }

    def _agent_started(self, event: Event) -> None:
        self._lives[event.subject] += 1
        self._incarnations[f"{event.subject}#{event.more['incarnation']}"] = self._lives[event.subject]

    def _container_started(self, event: Event) -> None:
        self._started.add(_name_of(event))

    def _container_ended(self, event: Event) -> None:
        self._containers[event.subject, event.more["attempt"]] = event

    def _see_begun(self, event: Event) -> None:
        before = self._owners.get(event.subject)
        expected = before.more["attempt"] + 1 if before else 1
        if event.more["attempt"] != expected:
            self.broken(2, event.subject, f"attempt {expected} should be the next", event)
        self._owners[event.subject] = event
        self._renewed[_name_of(event)] = event

    def _see_beat(self, event: Event) -> None:
        self._renewed.update(dict.fromkeys(event.more["attempts"], event))
        for name in event.more["dropped"]:
            if name not in self._started:
                self._renewed[name] = self._owners[name.partition("#")[0]]

    def _see_recorded(self, event: Event) -> None:
        key = event.subject, event.more["attempt"]
        if key in self._recorded:
            self.broken(2, event.subject, "an attempt was recorded twice", self._recorded[key], event)
        self._recorded[key] = event
        begun = self._owners[event.subject]
        if self._may_write(begun.more["owner"], event.by):
            self._compare(event)
        elif event.more["kind"] != Kind.LOST:
            self.broken(2, event.subject, "recorded by somebody else than its owner", begun, event)
        else:
            self._see_given_up(event)

    def _see_given_up(self, event: Event) -> None:
        renewed = self._renewed[_name_of(event)]
        silence = event.at - renewed.at
        if silence < self.terms.lease:
            self.broken(
                2, event.subject, f"given up though its owner beat {silence:.1f} s ago", renewed, event
            )

    def _see_annotated(self, event: Event) -> None:
        begun = self._owners[event.subject]
        if not self._may_write(begun.more["owner"], event.by):
            self.broken(2, event.subject, "annotated by somebody else than its owner", begun, event)

    def _may_write(self, owner: str, process: str) -> bool:
        host, _, incarnation = owner.partition("#")
        if host == "controller":
            return process == incarnation
        life = process.removeprefix(f"{host}/agent")
        return life.isdigit() and int(life) >= self._incarnations.get(owner, 0)

    def _compare(self, event: Event) -> None:
        """A success and a failure are ends of the attempt's own container."""
        if event.more["kind"] not in (Kind.SUCCEEDED, Kind.FAILED):
            return
        ended = self._containers.get((event.subject, event.more["attempt"]))
        success = event.more["kind"] == Kind.SUCCEEDED
        told = ended is not None and ended.more["how"] == "itself" and (ended.more["exit"] == 0) is success
        if not told:
            shown = [ended] if ended else []
            self.broken(2, event.subject, "its record is not what became of its container", *shown, event)


def _name_of(event: Event) -> str:
    """Its attempt's, as in beats."""
    return f"{event.subject}#{event.more['attempt']}"


# Of a time limit, what must have passed when it ends a task: clocks may be slightly apart.
LIMIT_SHARE = 0.98
PAYERS = ("user", "infra")


@dataclass
class Charged(Rule):
    """Promise 7: the loss of a machine is not charged to the user's retries; nor is whatever else was not the user's.

    Seen in the ledger: an attempt is charged to the user only if its container ended by itself and without success,
    ran for its whole time limit, or could not be started by the user's own doing; and a task ends as FAILED only when
    those, or the losses to the infrastructure, are more than its job allows: since it was first begun, or was begun
    anew after it had ended. What had not ended when `retry` opened a round has no more tries for that.
    """

    _started: dict[tuple[str, int], Event] = field(default_factory=dict)
    _ended: dict[tuple[str, int], Event] = field(default_factory=dict)
    _refused: dict[str, Event] = field(default_factory=dict)
    _charges: Counter[tuple[str, str]] = field(default_factory=Counter)
    _failed: dict[str, tuple[Event, int, int]] = field(default_factory=dict)
    _timed_out: list[Event] = field(default_factory=list)

    @property
    def handlers(self) -> Mapping[str, See]:
        return {
            "begun": self._see_begun,
            "container-started": self._see_started,
            "container-ended": self._see_ended,
            "start-refused": self._see_refused,
            "recorded": self._see_recorded,
        }

    def _see_begun(self, event: Event) -> None:
        if event.more["was"] in (Status.FAILED, Status.CANCELLED):
            for payer in PAYERS:
                self._charges[event.subject, payer] = 0

    def _see_started(self, event: Event) -> None:
        self._started[event.subject, event.more["attempt"]] = event

    def _see_ended(self, event: Event) -> None:
        self._ended[event.subject, event.more["attempt"]] = event

    def _see_refused(self, event: Event) -> None:
        self._refused[event.subject] = event

    def _see_recorded(self, event: Event) -> None:
        for payer in PAYERS:
            self._charges[event.subject, payer] += event.more[payer]
        if event.more["status"] == Status.FAILED:
            user, infra = (self._charges[event.subject, payer] for payer in PAYERS)
            self._failed[event.subject] = event, user, infra
        if event.more["kind"] == Kind.TIMED_OUT:
            self._timed_out.append(event)
        elif event.more["user"] and not self._own_doing(event):
            ended = self._ended.get((event.subject, event.more["attempt"]))
            shown = [ended] if ended else []
            self.broken(7, event.subject, "the user is charged for what was not their doing", *shown, event)

    def _own_doing(self, event: Event) -> bool:
        ended = self._ended.get((event.subject, event.more["attempt"]))
        if ended is None:
            return event.subject in self._refused or job_of(event.subject) in self._refused
        return bool(ended.more["how"] == "itself" and ended.more["exit"] != 0)

    def end(self, end: End) -> None:
        for event in self._timed_out:
            self._see_time_limit(event, end)
        for task, (event, user, infra) in self._failed.items():
            found = end.jobs.get(job_of(task))
            if found is not None and event.more["kind"] not in (Kind.IMAGE_ERROR, Kind.START_ERROR):
                self._see_bounds(event, user, infra, found.record.job.retry)

    def _see_time_limit(self, event: Event, end: End) -> None:
        key, found = (event.subject, event.more["attempt"]), end.jobs.get(job_of(event.subject))
        limit = found.record.job.limits.timeout if found else None
        if limit is None or key not in self._started or key not in self._ended:
            return
        ran = self._ended[key].at - self._started[key].at
        if ran < LIMIT_SHARE * limit:
            problem = f"its time limit of {limit:g} s ended it after {ran:.1f} s"
            self.broken(7, event.subject, problem, self._started[key], self._ended[key], event)

    def _see_bounds(self, event: Event, user: int, infra: int, retry: Retry) -> None:
        if user <= retry.retries and infra <= retry.infra_retries:
            problem = f"FAILED after {user} failures of its own and {infra} losses; {retry.retries} and "
            self.broken(7, event.subject, problem + f"{retry.infra_retries} were allowed", event)
