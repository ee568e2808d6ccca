"""Images on the engine: looked up, pulled once however many ask, known by their digest."""

from __future__ import annotations

import asyncio
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from runner.adapters.docker.api import Api, Details
from runner.adapters.docker.background import Background
from runner.adapters.docker.client import ApiError, NoAnswerError
from runner.adapters.docker.credentials import authorization, has_helper
from runner.errors import EngineUnavailable, ImageError

TRIES = 5
FIRST_PAUSE = 0.5

# How long what we know of an image is believed: its tag may be moved to another one.
FRESH = 5.0

# A pull that says nothing for so long has died.
SILENCE = 120.0

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.:@/-]*")

# What registries and the engine say, with whatever status, of an image nobody will give us.
HOPELESS = re.compile(
    r"denied|unauthorized|(manifest|name) unknown|not found|no matching manifest|invalid reference format"
    r"|no basic auth credentials|authentication required|does not exist",
    re.IGNORECASE,
)
# The same, unless somebody was to give them.
NO_CREDENTIALS = "no basic auth credentials"


@dataclass(frozen=True, slots=True)
class Image:
    """`reference` names its very content: with its repository if it came from one, else the id alone."""

    name: str
    id: str
    reference: str
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    path: str = ""
    directory: str = "/"

    @property
    def runs_as_root(self) -> bool:
        return self.user.partition(":")[0] in ("", "0", "root")


class Images:
    """`settings` is the `docker` command's directory, where credentials are."""

    def __init__(self, api: Api, settings: Path) -> None:
        self._api = api
        self._settings = settings
        self._known: dict[str, tuple[float, Image]] = {}
        self._references: dict[str, str] = {}
        self._pulls: dict[str, asyncio.Task[Image]] = {}
        self._background = Background()

    async def ensure(self, name: str) -> Image:
        """The image called `name`, pulled if it is not here. Raises ImageError, EngineUnavailable."""
        if not NAME.fullmatch(name) or ".." in name:
            message = f"image {name!r}: that is no name of an image"
            raise ImageError(message)
        seen, image = self._known.get(name, (-FRESH, None))
        if image is not None and asyncio.get_running_loop().time() < seen + FRESH:
            return image
        pull = self._pulls.get(name)
        if pull is None:
            pull = self._pulls[name] = self._background.spawn(self._get(name))
            pull.add_done_callback(lambda _: self._pulls.pop(name, None))
        return await asyncio.shield(pull)

    def forget(self, name: str) -> None:
        """The engine says it is not there any more."""
        self._known.pop(name, None)

    def needed(self, seconds: float) -> set[str]:
        """Ids of the images that were asked for within so many seconds: a container of them may be about to start."""
        since = asyncio.get_running_loop().time() - seconds
        return {image.id for seen, image in self._known.values() if seen >= since}

    async def reference(self, image_id: str) -> str:
        """What names the content of the image with this id."""
        if image_id not in self._references:
            try:
                self._learn(await self._inspect(image_id))
            except (ApiError, NoAnswerError):
                return image_id
        return self._references[image_id]

    async def load(self, name: str, archive: bytes) -> None:
        """Make a root file system, a tar archive, into an image, if there is none of that name."""
        try:
            await self._inspect(name)
        except ApiError as error:
            if error.status != 404:
                raise
            repository, _, tag = name.rpartition(":")
            query = {"fromSrc": "-", "repo": repository, "tag": tag}
            await self._api.client.call("POST", "images/create", query=query, data=archive, seconds=60.0)

    async def close(self) -> None:
        await self._background.cancel()

    async def _get(self, name: str) -> Image:
        try:
            image = await self._local(name) or await self._pull(name)
        except NoAnswerError as error:
            message = f"image {name}: the engine does not answer: {error}"
            raise EngineUnavailable(message) from error
        self._known[name] = (asyncio.get_running_loop().time(), image)
        return image

    async def _local(self, name: str) -> Image | None:
        try:
            return self._learn(await self._inspect(name), name)
        except ApiError as error:
            if error.status == 404:
                return None
            if error.final:
                message = f"image {name}: {error}"
                raise ImageError(message) from error
            message = f"image {name}: {error}"
            raise EngineUnavailable(message) from error

    async def _inspect(self, name: str) -> Details:
        details: Details = await self._api.client.call("GET", f"images/{name}/json")
        return details

    async def _pull(self, name: str) -> Image:
        problem = ""
        for tried in range(TRIES):
            if tried:
                await asyncio.sleep(FIRST_PAUSE * 2**tried * random.random())
            try:
                await self._pull_once(name)
            except (ApiError, NoAnswerError, TimeoutError) as error:
                problem = str(error)
                if NO_CREDENTIALS in problem and has_helper(name, self._settings):
                    problem += ": the credential helper gave nothing"
                elif isinstance(error, ApiError) and (error.final or HOPELESS.search(problem)):
                    message = f"image {name}: {problem}"
                    raise ImageError(message) from error
            else:
                image = await self._local(name)
                if image is not None:
                    return image
                problem = "it was pulled and is not there"
        message = f"image {name} could not be pulled, {TRIES} times: {problem}"
        raise EngineUnavailable(message)

    async def _pull_once(self, name: str) -> None:
        credentials = await authorization(name, self._settings)
        response = await self._api.client.stream(
            "POST",
            "images/create",
            query=_pull_query(name),
            headers={"X-Registry-Auth": credentials} if credentials else {},
            silence=SILENCE,
        )
        try:
            async with response:
                async for line in response.content:
                    _check_progress(line)
        except (aiohttp.ClientError, OSError) as error:
            message = f"the pull broke off: {error or 'nothing more came'}"
            raise NoAnswerError(message) from error

    def _learn(self, details: Details, name: str = "") -> Image:
        image = _image(details, name)
        self._references[image.id] = image.reference
        return image


def _pull_query(name: str) -> dict[str, str]:
    # Without a tag the engine would pull every one there is.
    tagged = "@" in name or ":" in name.rpartition("/")[2]
    return {"fromImage": name} if tagged else {"fromImage": name, "tag": "latest"}


def _check_progress(line: bytes) -> None:
    """A pull's errors come within a reply that began as a success."""
    try:
        step = json.loads(line)
    except ValueError:
        return
    if isinstance(step, dict) and "error" in step:
        raise ApiError(500, str((step.get("errorDetail") or {}).get("message") or step["error"]))


def _image(details: Details, name: str) -> Image:
    config: dict[str, Any] = details.get("Config") or {}
    digests: list[str] = details.get("RepoDigests") or []
    repository = _repository(name)
    env = dict(entry.partition("=")[::2] for entry in config.get("Env") or [])
    return Image(
        name=name,
        id=details["Id"],
        reference=next(
            (digest for digest in digests if digest.partition("@")[0] == repository),
            digests[0] if digests else details["Id"],
        ),
        user=config.get("User") or "",
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        path=env.get("PATH", ""),
        directory=config.get("WorkingDir") or "/",
    )


def _repository(name: str) -> str:
    base = name.partition("@")[0]
    head, slash, last = base.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
