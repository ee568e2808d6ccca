"""Turns what services do into events of the history: those of the ledger, by what is written to its table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

from controller.simulation.clock import current_process
from controller.simulation.history import History
from controller.simulation.network import Network
from controller.simulation.services.autoscaling import Group, Member
from controller.simulation.services.sqs_message import Message
from runner.adapters.sqs.quarantine import CUT, EMPTY, REASON
from runner.codec import DecodeError, decode_pointer

Item = Mapping[str, Any]


class Watch:
    """`network` says whose request is being carried out."""

    def __init__(self, history: History, network: Network) -> None:
        self._history = history
        self._network = network
        self._tasks: dict[str, str] = {}
        self._kinds: dict[str, Callable[[str, Item | None, Item | None], None]] = {
            "T": self._task_item,
            "A": self._attempt_item,
            "J": self._job_item,
            "B": self._beats_item,
            "LEADER": self._leader_item,
        }

    def message(self, what: str, queue: str, message: Message) -> None:
        if what != "hidden":  # beats: too many to be of use
            reason = message.attributes.get(REASON, {}).get("StringValue")
            self._tell(
                what,
                self._task(message),
                message=message.id,
                queue=queue,
                receives=message.receives,
                **({"reason": reason} if reason else {}),
            )

    def member(self, group: Group, member: Member) -> None:
        what = {"Pending": "launched", "InService": "in-service", "Terminated": "terminated"}
        self._tell(what.get(member.state, member.state), member.id, group=group.name)

    def desired(self, group: Group, before: int) -> None:
        self._tell("desired", group.name, before=before, now=group.desired)

    def item(self, before: Item | None, after: Item | None) -> None:
        """A write to the ledger's table, in the service's own form."""
        kind, _, rest = str((after or before or {})["pk"]["S"]).partition("#")
        see = self._kinds.get(kind)
        if see is not None:
            see(rest, before, after)

    def log(self, method: str, event: Mapping[str, Any]) -> None:
        """What the product logs."""
        process = current_process()
        more = {name: str(value) for name, value in event.items() if name not in ("event", "exc_info")}
        if event.get("exc_info"):
            more["crash"] = repr(event["exc_info"])
        name = process.name if process else ""
        self._history.add("says", str(event["event"]).replace(" ", "-"), name, level=method, **more)

    def _tell(self, what: str, subject: str, **more: Any) -> None:
        self._history.add(what, subject, self._network.caller, **more)

    def _task(self, message: Message) -> str:
        """Of one that cannot be read something that its copies have, too."""
        was_empty = message.attributes.get(CUT, {}).get("StringValue") == EMPTY
        body = "" if was_empty else message.body
        task = self._tasks.get(body)
        if task is None:
            try:
                task = str(decode_pointer(body))
            except DecodeError:
                task = f"?{crc32(body.encode('utf-8', 'replace')):08x}"
            self._tasks[body] = task
        return task

    def _task_item(self, rest: str, before: Item | None, after: Item | None) -> None:
        task = _task_of(rest, before, after)
        if after is None:
            self._tell("erased", task)
            return
        number, status = _number(after, "n"), after["s"]["S"]
        was = before["s"]["S"] if before else ""
        if before is None or number != _number(before, "n"):
            self._begun(task, before, after)
        elif status != was and status != "RUNNING":
            self._recorded(task, before, after)
        elif was != "RUNNING" and before.get("out") != after.get("out"):
            self._tell("rewritten", task, attempt=number, status=status)
        elif _number(before, "q") != _number(after, "q"):
            self._tell("counted-again", task, attempt=number, round=_number(after, "q"))
        if status == was == "RUNNING" and before is not None and before.get("md") != after.get("md"):
            self._tell("annotated", task, attempt=number)

    def _begun(self, task: str, before: Item | None, after: Item) -> None:
        self._tell(
            "begun",
            task,
            attempt=_number(after, "n"),
            owner=after["o"]["S"],
            round=_number(after, "r"),
            was=before["s"]["S"] if before else "",
            settled=_number(before, "q"),
        )

    def _recorded(self, task: str, before: Item, after: Item) -> None:
        outcome = json.loads(after["out"]["S"]) if "out" in after else {}
        self._tell(
            "recorded",
            task,
            attempt=_number(after, "n"),
            status=after["s"]["S"],
            kind=outcome.get("kind", ""),
            round=_number(after, "q") or _number(after, "r"),
            user=_number(after, "uf") - _number(before, "uf"),
            infra=_number(after, "xf") - _number(before, "xf"),
        )

    def _attempt_item(self, rest: str, before: Item | None, after: Item | None) -> None:
        """One before the latest: kept for ever, as it is."""
        task, number = (
            _task_of(rest, before, after),
            str((after or before or {})["sk"]["S"]).partition("#")[2],
        )
        if after is None or (before is not None and before.get("out") != after.get("out")):
            self._tell("rewritten", task, attempt=int(number), status="")

    def _job_item(self, job: str, before: Item | None, after: Item | None) -> None:
        if after is None or after["sk"]["S"] != "state":
            return
        if before is None:
            waits = "N" not in after.get("released_at", {})
            self._tell("registered", job, size=_number(after, "size"), waits=waits)
            return
        if _number(after, "round") != _number(before, "round"):
            self._tell("reopened", job, round=_number(after, "round"))
        ending = after.get("ending", {}).get("L")
        if "NULL" in before.get("released_at", {"NULL": True}) and "N" in after.get("released_at", {}):
            self._tell("released", job)
        if ending and not before.get("ending", {}).get("L"):
            self._tell("ended", job, status=ending[0]["S"])

    def _beats_item(self, _rest: str, before: Item | None, after: Item | None) -> None:
        """Which attempts it renewed, and which it names no more."""
        if after is None:
            return
        beats, earlier = _beats(after), _beats(before or {})
        same = before is not None and before["name"] == after["name"]
        renewed = [name for name, beat in beats.items() if not same or earlier.get(name) != beat]
        dropped = [name for name in earlier if name not in beats]
        self._tell("beat", after["name"]["S"], attempts=renewed, dropped=dropped)

    def _leader_item(self, _rest: str, before: Item | None, after: Item | None) -> None:
        before, after = before or {}, after or {}
        if after.get("holder") != before.get("holder"):
            self._tell("leads", after.get("holder", {}).get("S", "nobody"))
        if after.get("demand") != before.get("demand"):
            self._tell("published", "demand", demand=_number(after, "demand"))


def _task_of(rest: str, before: Item | None, after: Item | None) -> str:
    index = str((after or before or {})["sk"]["S"]).partition("#")[0]
    return f"{rest.partition('#')[0]}/{int(index)}"


def _number(item: Item | None, name: str) -> int:
    return int(item[name]["N"]) if item and name in item else 0


def _beats(item: Item) -> Mapping[str, str]:
    return {name: beat["N"] for name, beat in item.get("beats", {}).get("M", {}).items()}
