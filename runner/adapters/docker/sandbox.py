"""Network sandboxes: network namespaces, each kept open by a container that only sleeps, for others to
join.

Making a private network is nearly all that starting a container costs, so sandboxes are made ahead, off the
critical path. One is bound to the first job that uses it and never serves another; within the job its tasks
use it one at a time. Those of a job that has nothing running are removed after a while.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from runner.adapters.docker import pause
from runner.adapters.docker.api import Api
from runner.adapters.docker.background import Background
from runner.adapters.docker.client import ApiError, NoAnswerError
from runner.adapters.docker.images import Images
from runner.adapters.docker.removal import Remover
from runner.adapters.docker.spec import Owner, sandbox_body
from runner.errors import EngineUnavailable, StartError

log = structlog.get_logger()

# A job with nothing running keeps its sandboxes so many seconds, for its next tasks.
LINGER = 5.0
REFILL_PAUSE = 5.0

# Tasks that start right now make their own sandboxes first, undisturbed.
HEAD_START = 0.3


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`id` is its container's."""

    id: str
    job_id: str


class PauseImage:
    """What sandboxes run, put on the engine when first needed."""

    def __init__(self, images: Images, architecture: str) -> None:
        self._images = images
        self._architecture = architecture
        self._there = False
        self._loading = asyncio.Lock()

    def doubt(self) -> None:
        """Look again next time: somebody may have pruned it."""
        self._there = False

    async def ready(self) -> str:
        """Its name. Raises StartError, ApiError, NoAnswerError."""
        if self._architecture not in pause.NAMES:
            message = f"no network sandboxes for {self._architecture} processors"
            raise StartError(message)
        archive = pause.archive(self._architecture)
        name = pause.image_name(archive)
        async with self._loading:
            if not self._there:
                await self._images.load(name, archive)
                self._there = True
        return name


class Sandboxes:
    """At most `slots` spare ones are kept, as many as jobs have asked to run at once."""

    def __init__(
        self, api: Api, image: PauseImage, remover: Remover, background: Background, owner: Owner, slots: int
    ) -> None:
        self._api = api
        self._image = image
        self._remover = remover
        self._background = background
        self._owner = owner
        self._slots = slots
        self._wanted = 0
        self._spare: deque[str] = deque()
        self._idle: dict[str, list[Sandbox]] = {}
        self._busy: set[Sandbox] = set()
        self._lingering: dict[str, asyncio.TimerHandle] = {}
        self._refill: asyncio.Task[None] | None = None

    def expect(self, concurrency: int) -> None:
        """Some job will run so many containers at once: see that there are spare ones."""
        self._wanted = max(self._wanted, min(self._slots, concurrency))
        if len(self._spare) < self._wanted and (self._refill is None or self._refill.done()):
            self._refill = self._background.spawn(self._fill())

    async def acquire(self, job_id: str) -> Sandbox:
        """One for a task of the job, until it is released. Raises StartError, EngineUnavailable."""
        idle = self._idle.get(job_id)
        if timer := self._lingering.pop(job_id, None):
            timer.cancel()
        if idle:
            sandbox = idle.pop()
        else:
            sandbox = Sandbox(self._spare.popleft() if self._spare else await self._make(), job_id)
            self.expect(self._wanted)
        self._busy.add(sandbox)
        return sandbox

    def adopt(self, sandbox: Sandbox) -> None:
        """A running task of an earlier agent's has joined it."""
        self._busy.add(sandbox)

    def release(self, sandbox: Sandbox) -> None:
        """Nothing of who acquired it runs in it any more. To be called once: it may be another's next."""
        self._busy.remove(sandbox)
        self._idle.setdefault(sandbox.job_id, []).append(sandbox)
        if not any(other.job_id == sandbox.job_id for other in self._busy):
            loop = asyncio.get_running_loop()
            self._lingering[sandbox.job_id] = loop.call_later(LINGER, self._retire, sandbox.job_id)

    def lost(self, sandbox: Sandbox) -> None:
        """It is gone; then the others may be gone as well (the engine was restarted), and none is trusted."""
        self._busy.discard(sandbox)
        doubtful = [sandbox.id, *self._spare, *(each.id for idle in self._idle.values() for each in idle)]
        self._spare.clear()
        self._idle.clear()
        self._remover.later(*doubtful)

    @property
    def known(self) -> set[str]:
        """Ids of all there are."""
        idle = {sandbox.id for sandboxes in self._idle.values() for sandbox in sandboxes}
        return idle | set(self._spare) | {sandbox.id for sandbox in self._busy}

    async def close(self) -> None:
        """Remove those nothing runs in."""
        if self._refill is not None:
            self._refill.cancel()
            await asyncio.gather(self._refill, return_exceptions=True)
        for timer in self._lingering.values():
            timer.cancel()
        unused = self.known - {sandbox.id for sandbox in self._busy}
        self._spare.clear()
        self._idle.clear()
        await asyncio.gather(*(self._remover.remove_once(sandbox) for sandbox in unused))

    def _retire(self, job_id: str) -> None:
        self._lingering.pop(job_id, None)
        self._remover.later(*(sandbox.id for sandbox in self._idle.pop(job_id, [])))

    async def _fill(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(HEAD_START)
        while len(self._spare) < self._wanted:
            began = loop.time()
            try:
                self._spare.append(await self._make())
                # At leisure: whoever starts a task right now needs the machine more.
                await asyncio.sleep(2 * (loop.time() - began))
            except (StartError, EngineUnavailable) as error:
                log.warning("cannot prepare a network sandbox", error=str(error))
                await asyncio.sleep(REFILL_PAUSE)

    async def _make(self) -> str:
        name = f"runner-sandbox-{secrets.token_hex(8)}"
        try:
            image = await self._image.ready()
            container = await _to_its_end(self._api.create(name, sandbox_body(self._owner, image)))
            await self._api.start(container)
        except NoAnswerError as error:
            self._remover.later(name)
            message = f"cannot make a network sandbox: the engine does not answer: {error}"
            raise EngineUnavailable(message) from error
        except ApiError as error:
            self._remover.later(name)
            self._image.doubt()
            message = f"cannot make a network sandbox: {error}"
            raise EngineUnavailable(message) from error
        except asyncio.CancelledError:
            self._remover.later(name)
            raise
        return container


async def _to_its_end(creating: Coroutine[Any, Any, str]) -> str:
    """Also when cancelled: the engine would make it all the same, after a removal that found nothing yet."""
    work = asyncio.create_task(creating)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait((work,))
        raise
