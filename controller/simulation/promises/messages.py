"""Promises about messages: none is deleted before what it stands for is kept elsewhere, none is dropped because nobody
understands it, and none is sent again because somebody overlooked it."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.simulation.history import Event
from controller.simulation.promises.rounds import Rounds
from controller.simulation.promises.rule import TERMINAL, End, Rule, See, job_of
from runner.model import Status


@dataclass
class Mail(Rule):
    """Which messages there are."""

    rounds: Rounds = field(default_factory=Rounds)
    _there: defaultdict[str, dict[str, Event]] = field(default_factory=lambda: defaultdict(dict))
    _received: dict[str, Event] = field(default_factory=dict)

    @property
    def handlers(self) -> Mapping[str, See]:
        own: dict[str, See] = {
            "sent": self._see_sent,
            "reappears": self._see_sent,
            "received": self._see_received,
            "deleted": self._see_deleted,
        }
        return {**self.rounds.handlers, **own, **dict.fromkeys(("expired", "purged"), self._see_gone)}

    def _see_sent(self, event: Event) -> None:
        self._there[event.subject][event.more["message"]] = event

    def _see_received(self, event: Event) -> None:
        self._received[event.more["message"]] = event

    def _see_deleted(self, event: Event) -> None:
        self._see_gone(event)

    def _see_gone(self, event: Event) -> None:
        self._there[event.subject].pop(event.more["message"], None)

    def _is_letter(self, event: Event) -> bool:
        return bool(event.more["queue"] == self.terms.dead_letters)


@dataclass
class Acknowledged(Mail):
    """Promise 3: a message is deleted only after the terminal record, or a durable replacement of it, exists.

    Seen at the queue, when a message is deleted: some time since it was last received its task had a terminal record of
    the current round, or its job was over as a whole; or another message for the task is there, or was until somebody
    purged its queue. Of a message that points to nothing, or cannot be read, a copy lies with the dead letters, with
    the reason; and nobody deletes that.
    """

    _terminal: dict[str, Event] = field(default_factory=dict)
    _purged: dict[str, Event] = field(default_factory=dict)

    @property
    def handlers(self) -> Mapping[str, See]:
        own = {
            "recorded": self._see_recorded,
            "counted-again": self._see_counted_again,
            "purged": self._see_purged,
        }
        return {**super().handlers, **own}

    def _see_purged(self, event: Event) -> None:
        self._see_gone(event)
        self._purged[event.subject] = event

    def _see_recorded(self, event: Event) -> None:
        if event.more["status"] in TERMINAL:
            self._terminal[event.subject] = event

    def _see_counted_again(self, event: Event) -> None:
        if event.subject in self._terminal:
            status = self._terminal[event.subject].more["status"]
            more = {**event.more, "status": status}
            self._terminal[event.subject] = Event(event.at, event.what, event.subject, event.by, more)

    def _see_deleted(self, event: Event) -> None:
        self._see_gone(event)
        others = self._there[event.subject].values()
        if job_of(event.subject) not in self.rounds.registered:
            if self._is_letter(event) or not any(self._explains(each) for each in others):
                self.broken(3, event.subject, "a message that points to nothing is gone", event)
        elif not (others or self._over(event) or self._lost_other(event)):
            received = self._received.get(event.more["message"])
            problem = "its message is deleted, its task has not ended, and there is no other"
            self.broken(3, event.subject, problem, *([received] if received else []), event)

    def _explains(self, letter: Event) -> bool:
        return self._is_letter(letter) and bool(letter.more.get("reason"))

    def _lost_other(self, event: Event) -> bool:
        received = self._received.get(event.more["message"], event)
        return event.subject in self._purged and self._purged[event.subject].at >= received.at

    def _over(self, event: Event) -> bool:
        received = self._received.get(event.more["message"], event)
        if self.rounds.ended_until(job_of(event.subject)) >= received.at:
            return True
        record = self._terminal.get(event.subject)
        if record is None:
            return False
        succeeded = record.more["status"] == Status.SUCCEEDED
        return succeeded or self.rounds.over_at(job_of(event.subject), record.more["round"]) >= received.at


# Of a message that nobody can make anything of: copies for each time it was received, as the client may ask again.
COPIES = 4
# A loop is hot when one message is received so often within so many seconds.
OFTEN, WITHIN = 15, 10.0


@dataclass
class Quarantined(Mail):
    """Promise 8: a bad message is quarantined with its reason, never dropped, never retried in a hot loop; bad input is
    refused before anything is written.

    Seen at the queues: each message that can be made nothing of is either where it was, or with the dead letters, with
    a reason, and not there more often than it was received and asked for again. No message is received time and again
    within seconds. Of a submission that was refused there is no write.
    """

    _bad: dict[str, Event] = field(default_factory=dict)
    _times: Counter[str] = field(default_factory=Counter)
    _copies: defaultdict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    _latest: defaultdict[str, deque[float]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=OFTEN))
    )
    _refused: dict[str, Event] = field(default_factory=dict)
    _writes: dict[str, Event] = field(default_factory=dict)

    @property
    def handlers(self) -> Mapping[str, See]:
        own: dict[str, See] = {
            "bad-message": self._see_bad,
            "submission-refused": self._see_refused,
            "registered": self._see_registered,
            "purged": self._see_purged,
        }
        return {**super().handlers, **own}

    def _see_purged(self, event: Event) -> None:
        self._see_gone(event)
        self._bad.pop(event.subject, None)

    def _see_bad(self, event: Event) -> None:
        self._bad[event.subject] = event

    def _see_refused(self, event: Event) -> None:
        self._refused[event.subject] = event

    def _see_registered(self, event: Event) -> None:
        self._writes.setdefault(event.by, event)

    def _see_sent(self, event: Event) -> None:
        super()._see_sent(event)
        self._writes.setdefault(event.by, event)
        if self._is_letter(event) and event.what == "sent":
            self._copies[event.subject].append(event)
            if not event.more.get("reason"):
                self.broken(8, event.subject, "put aside without a reason", event)

    def _see_received(self, event: Event) -> None:
        super()._see_received(event)
        if self._is_letter(event):
            return
        self._times[event.subject] += 1
        latest = self._latest[event.more["message"]]
        latest.append(event.at)
        if len(latest) == OFTEN and event.at - latest[0] < WITHIN:
            self.broken(8, event.subject, f"received {OFTEN} times in {event.at - latest[0]:.1f} s", event)
            latest.clear()

    def end(self, end: End) -> None:  # noqa: ARG002 - the history says it all
        for subject, put in self._bad.items():
            self._see_end(subject, put)
        for job, refused in self._refused.items():
            if written := self._writes.get(f"submit-{job}"):
                self.broken(8, job, "was refused after something of it was written", written, refused)

    def _see_end(self, subject: str, put: Event) -> None:
        copies, times = self._copies[subject], self._times[subject]
        if not (copies or self._there[subject]):
            self.broken(8, subject, "a bad message was dropped", put)
        if len(copies) > COPIES * times:
            self.broken(8, subject, f"put aside {len(copies)} times, received {times} times", put, *copies)


# In seconds, what sending a job's tasks again takes at most.
SENDING = 120.0


@dataclass
class NotOverlooked(Mail):
    """What all need: tasks are sent again as missing only when some of their messages are.

    Seen when the supervisor says that it has: one of them had not ended and had no message. Where the queues' counts
    are late it may be mistaken.
    """

    _over: set[str] = field(default_factory=set)
    _needed: dict[str, Event] = field(default_factory=dict)

    @property
    def handlers(self) -> Mapping[str, See]:
        own = {"recorded": self._see_recorded, "begun": self._see_begun, "says": self._see_said}
        return {**super().handlers, **own}

    def _see_recorded(self, event: Event) -> None:
        if event.more["status"] in TERMINAL:
            self._over.add(event.subject)

    def _see_begun(self, event: Event) -> None:
        self._over.discard(event.subject)

    def _see_sent(self, event: Event) -> None:
        if not self._there[event.subject] and event.subject not in self._over:
            self._needed[job_of(event.subject)] = event
        super()._see_sent(event)

    def _see_said(self, event: Event) -> None:
        if event.subject != "messages-were-missing" or self.terms.lag:
            return
        job, resent = event.more["job"], int(event.more["resent"])
        needed = self._needed.get(job)
        if resent and (needed is None or needed.by != event.by or event.at - needed.at > SENDING):
            self.broken(0, job, "its messages were sent again, and none was missing", event)
