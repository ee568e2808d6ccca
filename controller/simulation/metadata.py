"""What an instance's metadata service says: `runner.adapters.ec2.host.Metadata`."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from controller.simulation.clock import now
from runner.adapters.ec2 import notices
from runner.adapters.ec2.metadata import Answer, NoMetadata


class SimulatedMetadata:
    """`down`: it does not answer. `pages`: text by path; nothing stands at the others."""

    def __init__(self) -> None:
        self.pages = {notices.LIFECYCLE: "InService"}
        self.down = False

    async def get(self, path: str) -> Answer | None:
        if self.down:
            message = "the instance metadata service does not answer: timeout"
            raise NoMetadata(message)
        text = self.pages.get(path)
        return None if text is None else Answer(text, now())

    def announce_reclaim(self, seconds: float, action: str = "terminate") -> None:
        at = datetime.fromtimestamp(now() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.pages[notices.SPOT_ACTION] = json.dumps({"action": action, "time": at})

    def recommend_rebalance(self) -> None:
        at = datetime.fromtimestamp(now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.pages[notices.REBALANCE] = json.dumps({"noticeTime": at})

    def announce_termination(self) -> None:
        """By the group."""
        self.pages[notices.LIFECYCLE] = "Terminated"
