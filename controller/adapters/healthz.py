"""`GET /healthz` over plain HTTP: 200 while the supervisor's steps go well, 503 otherwise, as one JSON object.

Meant for the machine's own supervisor or a load balancer. It tells nothing that would have to be kept secret, and reads
no more of a request than its first line.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from runner.errors import Unavailable

Report = Callable[[], tuple[bool, Mapping[str, object]]]
"""Whether all is well, and what is to be told of it."""

PATIENCE = 5.0
LONGEST_LINE = 8192
REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


@asynccontextmanager
async def healthz(listen: str, report: Report) -> AsyncIterator[int]:
    """Answers meanwhile. `listen` is HOST:PORT; yields the port, for which 0 is any free one. Raises Unavailable."""
    host, _, port = listen.rpartition(":")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(_reply(await reader.readline(), report))
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # whoever asks badly, or not to the end, gets no answer
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, host.strip("[]"), int(port), limit=LONGEST_LINE)
    except (OSError, OverflowError) as error:
        message = (
            f"cannot answer /healthz on {listen}: {error}; choose another address with supervisor.listen"
        )
        raise Unavailable(message) from error
    async with server:
        yield server.sockets[0].getsockname()[1]


def _reply(line: bytes, report: Report) -> bytes:
    method, _, rest = line.decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if path != "/healthz":
        return _response(404, {"error": "there is only /healthz"})
    if method not in ("GET", "HEAD"):
        return _response(405, {"error": "GET it"})
    well, told = report()
    return _response(200 if well else 503, told, with_body=method == "GET")


def _response(status: int, told: Mapping[str, object], *, with_body: bool = True) -> bytes:
    body = json.dumps(told).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")
