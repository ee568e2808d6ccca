"""The engine's verbs that we use, each with its time limit. All raise ApiError and NoAnswerError."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import aiohttp

from runner.adapters.docker.client import PREFERRED, ApiError, Client, Query

# A busy disk makes these slow without anything being wrong.
CREATE = 30.0
START = 60.0
REMOVE = 30.0
KILL = 20.0

Details = dict[str, Any]
"""What the engine says of a container or an image, as in its API reference."""


class Api:
    def __init__(self, client: Client) -> None:
        self.client = client

    async def negotiate(self) -> Details:
        """Agree on a version of the API. Returns what the engine says of itself."""
        versions = await self.client.call("GET", "/version")
        oldest, newest = _version(versions.get("MinAPIVersion")), _version(versions.get("ApiVersion"))
        self.client.version = ".".join(map(str, max(oldest, min(newest, PREFERRED))))
        info: Details = await self.client.call("GET", "info")
        return info

    async def create(self, name: str, body: Mapping[str, object]) -> str:
        reply = await self.client.call(
            "POST", "containers/create", query={"name": name}, body=body, seconds=CREATE
        )
        return str(reply["Id"])

    async def attach(self, container: str) -> aiohttp.ClientResponse:
        """What it writes from now on. Before its start: all of it."""
        query = {"stream": 1, "stdout": 1, "stderr": 1}
        return await self.client.stream("POST", f"containers/{container}/attach", query=query)

    async def logs(self, container: str, since: float) -> aiohttp.ClientResponse:
        """What the engine kept of what it wrote since then (epoch seconds), and writes from now on."""
        query: Query = {"follow": 1, "stdout": 1, "stderr": 1, "since": f"{since:.9f}"}
        return await self.client.stream("GET", f"containers/{container}/logs", query=query)

    async def start(self, container: str) -> None:
        await self.client.call("POST", f"containers/{container}/start", seconds=START)

    async def wait(self, container: str) -> None:
        """Until it is not running; for as long as that takes."""
        query = {"condition": "not-running"}
        await self.client.call("POST", f"containers/{container}/wait", query=query, seconds=None)

    async def inspect(self, container: str) -> Details:
        details: Details = await self.client.call("GET", f"containers/{container}/json")
        return details

    async def find(self, container: str) -> Details | None:
        """By name or id; None if there is none."""
        try:
            return await self.inspect(container)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def kill(self, container: str, signal: str) -> bool:
        """Send a signal. False if it does not run any more."""
        query = {"signal": signal}
        try:
            await self.client.call("POST", f"containers/{container}/kill", query=query, seconds=KILL)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            return False
        return True

    async def stop(self, container: str, grace: float) -> None:
        """SIGTERM, so many seconds, SIGKILL. Harmless if it does not run."""
        query = {"t": math.ceil(grace)}
        await self.client.call("POST", f"containers/{container}/stop", query=query, seconds=grace + KILL)

    async def unpause(self, container: str) -> None:
        """Harmless if it is not paused."""
        try:
            await self.client.call("POST", f"containers/{container}/unpause", seconds=KILL)
        except ApiError:
            return

    async def remove(self, container: str) -> bool:
        """By force, with its anonymous volumes. True once it is gone, False while its removal is under way."""
        query = {"force": 1, "v": 1}
        try:
            await self.client.call("DELETE", f"containers/{container}", query=query, seconds=REMOVE)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            return error.status == 404
        return True

    async def containers(self, labels: Mapping[str, str]) -> list[Details]:
        """All of them that carry the labels, running or not."""
        query: Query = {"all": 1, "filters": _filters(labels)}
        found: list[Details] = await self.client.call("GET", "containers/json", query=query)
        return found

    async def images(self) -> list[Details]:
        """Those that nothing else is made of."""
        found: list[Details] = await self.client.call("GET", "images/json")
        return found

    async def remove_image(self, name: str) -> bool:
        """That name of an image, and the image with its last one. False if something uses it, or it is gone."""
        try:
            await self.client.call("DELETE", f"images/{name}", seconds=REMOVE)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            return False
        return True

    async def prune_volumes(self, labels: Mapping[str, str]) -> None:
        await self.client.call("POST", "volumes/prune", query={"filters": _filters(labels)}, seconds=REMOVE)

    async def kill_events(self, labels: Mapping[str, str]) -> aiohttp.ClientResponse:
        """A line of JSON for each signal the engine sends to one of those containers."""
        filters = json.dumps({"type": ["container"], "event": ["kill"], "label": _equations(labels)})
        return await self.client.stream("GET", "events", query={"filters": filters})

    async def stats(self, container: str) -> Details:
        query = {"stream": 0, "one-shot": 1}
        stats: Details = await self.client.call("GET", f"containers/{container}/stats", query=query)
        return stats

    async def stat(self, container: str, path: str) -> str | None:
        """Base64 of JSON about the file at `path` inside the container; None if there is none."""
        where = f"containers/{container}/archive"
        return await self.client.header("HEAD", where, {"path": path}, "X-Docker-Container-Path-Stat")

    async def extract(self, container: str, archive: bytes) -> None:
        """Unpack a tar archive at the container's root."""
        query = {"path": "/"}
        await self.client.call("PUT", f"containers/{container}/archive", query=query, data=archive)


def _version(text: object) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in str(text).split("."))
    except ValueError:
        return PREFERRED


def _equations(labels: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in labels.items()]


def _filters(labels: Mapping[str, str]) -> str:
    return json.dumps({"label": _equations(labels)})
