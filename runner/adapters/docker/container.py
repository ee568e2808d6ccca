"""One attempt in its container, from its start to its removal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import structlog

from runner.adapters.docker.api import KILL, Details
from runner.adapters.docker.client import ApiError, NoAnswerError
from runner.adapters.docker.ending import exit_code, exit_of, is_running, signal_of
from runner.adapters.docker.output import pump
from runner.adapters.docker.sandbox import Sandbox
from runner.adapters.docker.site import MetadataFile, Site
from runner.adapters.docker.usage import Meter
from runner.errors import EngineUnavailable
from runner.ports import Exit, Output

log = structlog.get_logger()

# What a container wrote comes within milliseconds of its end, or not at all.
DRAIN = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
# What an engine that starts says of containers that ended without it, with the machine say.
EXIT_UNKNOWN = 255
SIGNAL_TRIES = 2
BEING_REMOVED = ("removing", "dead")
REMOVED = "somebody removed the container"


@dataclass(frozen=True, slots=True)
class Made:
    """The pieces of an attempt. `stream` brings its output from the start; None: it is read from the
    engine's log.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    started_at: float
    meter: Meter
    metadata: MetadataFile
    grace: float = 0.0
    shard: str = ""
    sandbox: Sandbox | None = None
    sidecars: tuple[str, ...] = ()
    stream: aiohttp.ClientResponse | None = None
    ended_unseen: bool = False


class DockerContainer:
    def __init__(self, site: Site, made: Made, output: Output) -> None:
        self._site = site
        self._made = made
        self._output = output
        self._sandbox = made.sandbox
        self._stop_by: float | None = None  # the loop's time by which all of it is to have ended
        self._stopping = False
        self._breaks: int | None = None  # while it is out of sight: the events' breaks before that
        self._unread_since: float | None = None  # epoch seconds; None: whatever feeds has it all
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._feed: asyncio.Task[bool] | None = None
        self._removal: asyncio.Task[None] | None = None
        site.signals.add(made.id)
        site.live.update(self.parts)
        self._life = site.background.spawn(self._live())

    @property
    def name(self) -> str:
        return self._made.name

    @property
    def parts(self) -> set[str]:
        """Ids of all containers that are this attempt's."""
        return {self._made.id, *self._made.sidecars}

    @property
    def labels(self) -> Mapping[str, str]:
        return self._made.labels

    @property
    def started_at(self) -> float:
        return self._made.started_at

    async def wait(self) -> Exit:
        self._look_again()
        return await asyncio.shield(self._life)

    async def stop(self, grace: float) -> None:
        """Raises EngineUnavailable if the engine cannot say that it has ended."""
        self._stopping = True
        self._look_again()
        stop_by = asyncio.get_running_loop().time() + grace
        self._stop_by = stop_by if self._stop_by is None else min(stop_by, self._stop_by)
        for signal, patience in (("SIGTERM", grace), ("SIGKILL", KILL)):
            await self._signal(signal)
            if await self._over_within(patience):
                return
        self._site.remover.later(self._made.id, shard=self._made.shard)
        if not await self._over_within(KILL):
            message = f"the engine does not say whether {self.name} has ended"
            raise EngineUnavailable(message)

    async def metadata(self) -> bytes:
        return self._made.metadata.read()

    async def remove(self) -> None:
        if self._removal is None:
            self._removal = self._site.remover.background.spawn(self._remove())
        await asyncio.shield(self._removal)

    async def _signal(self, signal: str) -> None:
        for _ in range(SIGNAL_TRIES):
            try:
                await self._site.api.unpause(self._made.id)
                await self._site.api.kill(self._made.id, signal)
            except (ApiError, NoAnswerError) as error:
                log.warning("cannot signal the container", name=self.name, signal=signal, error=str(error))
            else:
                return

    async def _over_within(self, seconds: float) -> bool:
        await asyncio.wait((self._over, self._life), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return self._over.done()

    def _look_again(self) -> None:
        """The engine may be back after it was away for longer than anybody waited."""
        life = self._life
        if life.done() and not life.cancelled() and isinstance(life.exception(), EngineUnavailable):
            self._life = self._site.background.spawn(self._live())

    async def _live(self) -> Exit:
        watching = self._site.background.spawn(self._made.meter.watch(self._made.id))
        try:
            self._listen()
            details, lost = await self._until_ended()
        finally:
            watching.cancel()
        self._over.set_result(None)
        warning = await self._drain()
        await asyncio.gather(*(self._stop_sidecar(sidecar) for sidecar in self._made.sidecars))
        if not self._made.sidecars:
            self._leave_sandbox()
        measured = self._made.meter.read()
        if details is None:
            return Exit(
                None, self.started_at, self._site.now(), vanished=True, warning=lost, usage=measured.usage
            )
        return exit_of(details, measured, await self._site.images.reference(details["Image"]), warning)

    async def _until_ended(self) -> tuple[Details | None, str]:
        """What the engine says of its end; or nothing, and why that cannot be told."""
        pause = FIRST_PAUSE
        while True:
            details = await self._next_word()
            if details is None:
                return None, REMOVED
            if not is_running(details):
                return await self._believed(details, self._breaks)
            if self._breaks is None:
                pause = FIRST_PAUSE
            else:
                self._breaks = None
                self._listen()
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)

    async def _next_word(self) -> Details | None:
        """What the engine says of it, once it has ended or was out of sight; None: there is no such container."""
        if self._breaks is None:
            breaks = self._site.signals.breaks
            try:
                await self._site.api.wait(self._made.id)
                return await self._site.api.inspect(self._made.id)
            except (ApiError, NoAnswerError) as error:
                log.debug("no word of the end", name=self.name, error=str(error))
                self._breaks = breaks
                if self._unread_since is None:
                    self._unread_since = self._site.now()
        return await self._find_again()

    async def _believed(self, details: Details, breaks: int | None) -> tuple[Details | None, str]:
        """An end we did not ask for may be the program's own or somebody's doing, but not the engine's
        leaving. `breaks`: what they were before a reply was lost, if one was.
        """
        if self._stopping or details["State"]["OOMKilled"]:
            return details, ""
        if details["State"].get("Status") in BEING_REMOVED:
            return None, REMOVED
        ended_by_signal = signal_of(exit_code(details)) is not None
        if self._made.ended_unseen and (ended_by_signal or exit_code(details) == EXIT_UNKNOWN):
            return None, "it was ended while nobody watched: by a signal, or with the machine"
        signals = self._site.signals
        suspect = breaks is not None or ended_by_signal or signals.signalled(self._made.id)
        if suspect and (breaks not in (None, signals.breaks) or await signals.engine_is_leaving()):
            return None, "the engine was stopped or restarted, and ended it"
        return details, ""

    async def _find_again(self) -> Details | None:
        loop = asyncio.get_running_loop()
        pause, end = FIRST_PAUSE, loop.time() + self._site.patience
        while True:
            try:
                return await self._site.api.find(self._made.id)
            except (ApiError, NoAnswerError) as error:
                if loop.time() + pause > end:
                    message = f"the engine did not answer for {self._site.patience:g} s: {error}"
                    raise EngineUnavailable(message) from error
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)

    def _listen(self) -> None:
        """See that its output is delivered: from the stream attached at the start, else from the engine's
        log, for which nobody waits: an engine may not begin to answer before there is something to tell.
        """
        if self._feed is None and self._made.stream is not None:
            self._feed = self._site.background.spawn(pump(self._made.stream, self._output))
        elif self._feed is None or self._feed.done():
            self._feed = self._site.background.spawn(self._read_log(self._unread_since or 0.0))
        self._unread_since = None

    async def _read_log(self, since: float) -> bool:
        try:
            stream = await self._site.api.logs(self._made.id, since)
        except (ApiError, NoAnswerError) as error:
            log.warning("cannot read the output", name=self.name, error=str(error))
            self._unread_since = since
            return False
        return await pump(stream, self._output)

    async def _drain(self) -> str:
        assert self._feed is not None
        await asyncio.wait((self._feed,), timeout=DRAIN)
        if self._feed.done():
            return "" if self._feed.result() else "the end of its output may be missing"
        self._feed.cancel()
        return "the end of its output may be missing"

    async def _stop_sidecar(self, sidecar: str) -> None:
        grace = self._made.grace
        if self._stop_by is not None:
            grace = max(0.0, min(grace, self._stop_by - asyncio.get_running_loop().time()))
        try:
            await self._site.api.stop(sidecar, grace)
        except (ApiError, NoAnswerError) as error:
            log.warning("cannot stop a sidecar", name=self.name, error=str(error))

    async def _remove(self) -> None:
        self._stopping = True
        gone = await self._site.remover.remove(*self._made.sidecars, self._made.id, shard=self._made.shard)
        self._made.meter.close()
        self._made.metadata.remove()
        self._site.signals.discard(self._made.id)
        self._site.live.difference_update(self.parts)
        if gone:
            self._leave_sandbox()
        elif (sandbox := self._give_up_sandbox()) is not None:
            self._site.sandboxes.lost(sandbox)

    def _leave_sandbox(self) -> None:
        if (sandbox := self._give_up_sandbox()) is not None:
            self._site.sandboxes.release(sandbox)

    def _give_up_sandbox(self) -> Sandbox | None:
        """The first time; later it may be another task's already."""
        sandbox, self._sandbox = self._sandbox, None
        return sandbox
