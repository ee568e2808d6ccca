"""Turns what services do into events of the history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from controller.simulation.clock import current_process
from controller.simulation.history import History
from controller.simulation.network import Network
from controller.simulation.services.autoscaling import Group, Member
from controller.simulation.services.sqs_message import Message
from runner.codec import DecodeError, decode_pointer


class Watch:
    """`network` says whose request is being carried out."""

    def __init__(self, history: History, network: Network) -> None:
        self._history = history
        self._network = network
        self._tasks: dict[str, str] = {}

    def message(self, what: str, queue: str, message: Message) -> None:
        if what != "hidden":  # beats: too many to be of use
            by, receives = self._network.caller, message.receives
            self._history.add(
                what, self._task(message), by, message=message.id, queue=queue, receives=receives
            )

    def member(self, group: Group, member: Member) -> None:
        what = {"Pending": "launched", "InService": "in-service", "Terminated": "terminated"}
        self._history.add(what.get(member.state, member.state), member.id, group=group.name)

    def item(self, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        """A write to the ledger's table, in the service's own form."""
        key = str((after or before or {})["pk"]["S"])
        kind, _, rest = key.partition("#")
        if kind == "T" and after is not None:
            self._task_item(rest.partition("#")[0], before, after)
        elif kind == "J" and after is not None and after["sk"]["S"] == "state":
            self._job_item(rest, before)

    def log(self, method: str, event: Mapping[str, Any]) -> None:
        """What the product logs."""
        process = current_process()
        more = {name: str(value) for name, value in event.items() if name not in ("event", "exc_info")}
        if event.get("exc_info"):
            more["crash"] = repr(event["exc_info"])
        name = process.name if process else ""
        self._history.add("says", str(event["event"]).replace(" ", "-"), name, level=method, **more)

    def _task(self, message: Message) -> str:
        task = self._tasks.get(message.body)
        if task is None:
            try:
                task = str(decode_pointer(message.body))
            except DecodeError:
                task = message.id
            self._tasks[message.body] = task
        return task

    def _task_item(self, job: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        task = f"{job}/{int(after['sk']['S'].partition('#')[0])}"
        number, status = int(after["n"]["N"]), after["s"]["S"]
        was_number = int(before["n"]["N"]) if before else 0
        was_status = before["s"]["S"] if before else ""
        if number != was_number:
            self._history.add("begun", task, self._network.caller, attempt=number, owner=after["o"]["S"])
        if status != was_status and status != "RUNNING":
            outcome = json.loads(after["out"]["S"]) if "out" in after else {}
            self._history.add(
                "recorded",
                task,
                self._network.caller,
                attempt=number,
                status=status,
                kind=outcome.get("kind", ""),
            )

    def _job_item(self, job: str, before: Mapping[str, Any] | None) -> None:
        if before is None:
            self._history.add("registered", job, self._network.caller)
