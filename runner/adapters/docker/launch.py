"""Create and start a container, once only, whichever of the engine's replies get lost."""

from __future__ import annotations

import asyncio
import random
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runner.adapters.docker.api import Api
from runner.adapters.docker.client import ApiError, NoAnswerError
from runner.adapters.docker.ending import has_started
from runner.adapters.docker.spec import HOST, INSTALLATION, LAUNCH, Body
from runner.errors import EngineUnavailable, ImageError, StartError

TRIES = 5
FIRST_PAUSE = 0.1

# A failure of the container runtime: of what it was asked to run, unless the machine was short of something.
RUNTIME = re.compile(r"OCI runtime create failed|error mounting|failed to create task", re.IGNORECASE)
SHORTAGE = re.compile(
    r"no space left|cannot allocate memory|too many open files|resource temporarily unavailable"
    r"|device or resource busy|deadline exceeded|connection|read-only file system",
    re.IGNORECASE,
)

T = TypeVar("T")


class SandboxGoneError(Exception):
    """The container to join the network of is not running any more."""


def launch_number() -> str:
    """Labels what one launch makes, to tell it from what an earlier one of the same name left."""
    return secrets.token_hex(8)


async def create(api: Api, name: str, body: Body) -> str:
    """The id of the container called `name`. Raises ImageError, StartError, EngineUnavailable,
    SandboxGoneError.

    A create whose reply was lost is found again by its name and launch number. What else of ours has the
    name is left over from an earlier life of this host, and replaced.
    """

    async def try_once() -> str:
        try:
            return await api.create(name, body)
        except ApiError as error:
            if error.status != 409:
                raise
            return await _own_or_replace(api, name, body)

    async def look() -> str | None:
        found = await api.find(name)
        ours = found is not None and found["Config"]["Labels"].get(LAUNCH) == body["Labels"][LAUNCH]
        return str(found["Id"]) if found is not None and ours else None

    return await _insist(try_once, look, f"create {name}")


async def start(api: Api, container: str, wanted: Callable[[], bool]) -> None:
    """Start it, if it was not and is still `wanted`. Raises StartError, EngineUnavailable, SandboxGoneError."""

    async def look() -> bool | None:
        # It may have run to its end meanwhile: starting it again would run the task twice.
        found = await api.find(container)
        return True if found is not None and has_started(found) else None

    async def try_once() -> bool:
        if not wanted():
            message = f"{container[:12]} is not wanted any more"
            raise EngineUnavailable(message)
        await api.start(container)
        return True

    await _insist(try_once, look, f"start {container[:12]}")


async def _own_or_replace(api: Api, name: str, body: Body) -> str:
    found = await api.find(name)
    if found is None:
        return await api.create(name, body)
    labels = found["Config"]["Labels"] or {}
    if labels.get(LAUNCH) == body["Labels"][LAUNCH]:
        return str(found["Id"])
    if any(labels.get(name) != body["Labels"][name] for name in (HOST, INSTALLATION)):
        message = f"the name {name} is taken by a container that is not this host's"
        raise StartError(message)
    await api.remove(found["Id"])
    return await api.create(name, body)


async def _insist(
    attempt: Callable[[], Awaitable[T]], look: Callable[[], Awaitable[T | None]], what: str
) -> T:
    """`attempt`, again after a failure that may pass, unless `look` finds that it worked after all."""
    problem: ApiError | NoAnswerError = NoAnswerError("")
    for tried in range(TRIES):
        try:
            if tried:
                await asyncio.sleep(FIRST_PAUSE * 2**tried * random.random())
                done = await look()
                if done is not None:
                    return done
            return await attempt()
        except ApiError as error:
            if error.final:
                raise refusal(error) from error
            problem = error
        except NoAnswerError as error:
            problem = error
    if isinstance(problem, ApiError) and RUNTIME.search(str(problem)) and not SHORTAGE.search(str(problem)):
        raise StartError(str(problem)) from problem
    message = f"cannot {what}, {TRIES} times: {problem}"
    raise EngineUnavailable(message) from problem


def refusal(error: ApiError) -> Exception:
    """What the engine's final answer to a part of a start comes to. A container that is not there was removed by
    somebody meanwhile, such as the watchdog of an agent that was frozen: not the task's failure."""
    message = str(error)
    if "No such image" in message:
        return ImageError(message)
    if "cannot join network" in message or "No such container" in message:
        return SandboxGoneError(message)
    if error.status == 409:
        return EngineUnavailable(message)
    return StartError(message)
