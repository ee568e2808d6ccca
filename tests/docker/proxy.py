"""A proxy before the real engine, that loses replies, makes up failures and hangs as told."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

import aiohttp
from aiohttp import web

from runner.adapters.docker.address import Address

PASSED_ON = ("Content-Type", "X-Docker-Container-Path-Stat", "X-Registry-Auth")


class Action(Enum):
    LOSE = auto()  # done by the engine, but the reply never comes: the connection breaks
    DENY = auto()  # done by the engine, and answered with an error
    FAIL = auto()  # not done, and answered with an error
    HANG = auto()  # not done, and never answered


@dataclass
class Fault:
    """What happens to the next `times` requests whose method and path match."""

    pattern: str
    action: Action
    times: int = 1
    status: int = 500
    message: str = "made up"


@dataclass
class Proxy:
    engine: Address
    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def count(self, pattern: str) -> int:
        return sum(bool(re.search(pattern, request)) for request in self.seen)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        what = f"{request.method} {request.path}"
        self.seen.append(what)
        fault = self._fault(what)
        if fault is None:
            return await self._forward(request)
        if fault.action is Action.HANG:
            await asyncio.sleep(3600)
        if fault.action in (Action.LOSE, Action.DENY):
            await self._forward(request, quietly=True)
        if fault.action is Action.LOSE:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"message": fault.message}, status=fault.status)

    def _fault(self, what: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and re.search(fault.pattern, what):
                fault.times -= 1
                return fault
        return None

    async def _forward(self, request: web.Request, *, quietly: bool = False) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        connector = aiohttp.UnixConnector(self.engine.socket or "")
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession("http://docker", connector=connector, timeout=timeout) as session,
            session.request(
                request.method, request.rel_url, data=await request.read(), headers=headers
            ) as reply,
        ):
            passed = {name: reply.headers[name] for name in PASSED_ON if name in reply.headers}
            response = web.StreamResponse(status=reply.status, headers=passed)
            if not quietly:
                await response.prepare(request)
            async for chunk in reply.content.iter_any():
                if not quietly:
                    await response.write(chunk)
            return response


@asynccontextmanager
async def proxy(engine: Address) -> AsyncIterator[Proxy]:
    made = Proxy(engine)
    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    # A socket's path may have 108 bytes, which pytest's own directories can exceed.
    with tempfile.TemporaryDirectory(prefix="runner-") as directory:
        path = Path(directory) / "docker.sock"
        await web.UnixSite(runner, str(path)).start()
        made.url = f"unix://{path}"
        try:
            yield made
        finally:
            await runner.cleanup()
