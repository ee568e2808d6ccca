"""Whether the program a task is to run is there at all.

The engine says so when it starts a program directly. Ours is started by an init process (so that signals
reach it and its orphans are reaped), and then a missing program looks like one that ran and exited with
127. So it is looked for, the first time a job's container is made: about ten milliseconds, once.
"""

from __future__ import annotations

import base64
import json
import posixpath
from collections import OrderedDict
from collections.abc import Mapping

import structlog

from runner.adapters.docker.api import Api
from runner.adapters.docker.client import ApiError
from runner.adapters.docker.images import Image
from runner.errors import StartError

log = structlog.get_logger()

MOST_REMEMBERED = 1000
USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# File modes as the engine writes them (Go's): these bits say what kind of file it is.
DIRECTORY = 1 << 31
SYMLINK = 1 << 27
EXECUTABLE = 0o111


class Executables:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._found: OrderedDict[tuple[str, ...], None] = OrderedDict()

    async def check(
        self, container: str, image: Image, command: tuple[str, ...], env: Mapping[str, str], job_id: str
    ) -> None:
        """Raises StartError if a container that was made, and not started, has nothing to run. Where the
        engine cannot tell, the start will. Raises NoAnswerError.
        """
        words = image.entrypoint + (command or image.command)
        if not words:
            message = f"no command was given, and image {image.name} has none of its own"
            raise StartError(message)
        paths = _candidates(words[0], env, image)
        seen = (job_id, image.id, *paths)
        if seen in self._found:
            return
        try:
            found = await self._find(container, paths)
        except ApiError as error:
            log.debug("cannot look for the program", container=container, error=str(error))
            return
        if found:
            self._found[seen] = None
            if len(self._found) > MOST_REMEMBERED:
                self._found.popitem(last=False)
            return
        where = "is not a program" if "/" in words[0] else "is not a program on the PATH"
        message = f"{words[0]!r} {where} in image {image.name}"
        raise StartError(message)

    async def _find(self, container: str, paths: list[str]) -> bool:
        for path in paths:
            if await self._is_program(container, path):
                return True
        return False

    async def _is_program(self, container: str, path: str) -> bool:
        mode, target = await self._stat(container, path)
        if mode & SYMLINK and target:
            mode, _ = await self._stat(container, target)
        return not mode & DIRECTORY and bool(mode & EXECUTABLE)

    async def _stat(self, container: str, path: str) -> tuple[int, str]:
        """Its mode, 0 if there is none, and for a symbolic link where it leads in the end."""
        text = await self._api.stat(container, path)
        if text is None:
            return 0, ""
        content = json.loads(base64.b64decode(text))
        return int(content["mode"]), str(content.get("linkTarget") or "")


def _candidates(program: str, env: Mapping[str, str], image: Image) -> list[str]:
    if "/" in program:
        return [posixpath.join(image.directory, program)]
    path = env.get("PATH", image.path or USUAL_PATH)
    return [posixpath.join(image.directory, part, program) for part in path.split(":")]
