"""An instance metadata service on loopback: version 2 only, as documented.

Emulated: session tokens with their time to live, 401 without one, 404 for what is not there, the `Date` header.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

from aiohttp import web

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


class FakeMetadata:
    """`values` by path below /latest/meta-data; an int is a status without a body."""

    def __init__(self) -> None:
        self.values: dict[str, str | int] = {
            "instance-id": "i-0123456789abcdef0",
            "instance-type": "m7i.large",
        }
        self.tokens: set[str] = set()
        self.asked: list[str] = []
        self.issued = 0
        self.clock: float | None = None
        self.url = ""

    def forget_tokens(self) -> None:
        self.tokens.clear()

    async def _token(self, request: web.Request) -> web.Response:
        if not request.headers.get(TTL, "").isdigit():
            return web.Response(status=400)
        self.issued += 1
        self.tokens.add(f"token-{self.issued}")
        return web.Response(text=f"token-{self.issued}")

    async def _read(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.asked.append(path)
        if request.headers.get(TOKEN) not in self.tokens:
            return web.Response(status=401)
        value = self.values.get(path, 404)
        headers = {} if self.clock is None else {"Date": formatdate(self.clock, usegmt=True)}
        if isinstance(value, int):
            return web.Response(status=value, headers=headers)
        return web.Response(text=value, headers=headers)


@asynccontextmanager
async def metadata_service() -> AsyncIterator[FakeMetadata]:
    fake = FakeMetadata()
    app = web.Application()
    app.router.add_put("/latest/api/token", fake._token)
    app.router.add_get("/latest/meta-data/{path:.*}", fake._read)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.url = f"http://{host}:{port}"
    try:
        yield fake
    finally:
        await runner.cleanup()
