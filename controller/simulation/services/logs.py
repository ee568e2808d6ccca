"""One log group of CloudWatch Logs behind the `Aws` port, for what this project asks of it.

Emulated: streams, the limits of a batch (bytes, events, order of time), filtering by stream, time and a quoted phrase,
pages, and the errors of a missing group or stream. Not emulated: retention, delay until events are found, quotas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.simulation.services.service import Simulated, refused

MOST_BYTES = 1_048_576
PAGE = 1000


class SimulatedLogs(Simulated):
    service = "logs"

    def __init__(self, group: str = "group") -> None:
        super().__init__()
        self._group = group
        self.streams: dict[str, list[dict[str, Any]]] = {}
        self.page = PAGE
        self.rejecting = False

    def messages(self) -> list[str]:
        return [event["message"] for events in self.streams.values() for event in events]

    def _create_log_stream(self, logGroupName: str, logStreamName: str) -> None:
        self._check(logGroupName)
        if logStreamName in self.streams:
            raise refused("ResourceAlreadyExistsException", "The specified log stream already exists")
        self.streams[logStreamName] = []

    def _put_log_events(
        self, logGroupName: str, logStreamName: str, logEvents: Sequence[dict[str, Any]]
    ) -> dict[str, Any] | None:
        stream = self._stream(logGroupName, logStreamName)
        size = sum(len(event["message"].encode()) + 26 for event in logEvents)
        times = [event["timestamp"] for event in logEvents]
        if size > MOST_BYTES or not 1 <= len(logEvents) <= 10_000 or times != sorted(times):
            raise refused("InvalidParameterException", "not a batch")
        if self.rejecting:
            return {"rejectedLogEventsInfo": {"tooNewLogEventStartIndex": 0}}
        stream.extend(logEvents)
        return None

    def _filter_log_events(
        self,
        logGroupName: str,
        logStreamNames: Sequence[str],
        startTime: int,
        filterPattern: str,
        nextToken: str = "0",
    ) -> dict[str, Any]:
        phrase = filterPattern.strip('"')
        found = [
            event
            for name in logStreamNames
            for event in self._stream(logGroupName, name)
            if phrase in event["message"] and event["timestamp"] >= startTime
        ]
        begin = int(nextToken)
        more = {"nextToken": str(begin + self.page)} if begin + self.page < len(found) else {}
        return {"events": found[begin : begin + self.page], **more}

    def _stream(self, group: str, stream: str) -> list[dict[str, Any]]:
        self._check(group)
        if stream not in self.streams:
            raise refused("ResourceNotFoundException", "The specified log stream does not exist.")
        return self.streams[stream]

    def _check(self, group: str) -> None:
        if group != self._group:
            raise refused("ResourceNotFoundException", "The specified log group does not exist.")
