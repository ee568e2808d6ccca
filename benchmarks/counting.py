"""ministack, with a count of the requests that it answers: `python -m benchmarks.counting`, set up by its variables.

`GET /_counts` tells, as JSON, the requests since the start by service and operation, and the processor time in seconds
that the emulator has used. It counts itself out.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

PATH = "/_counts"
READY = "/_ministack/health"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# `…Credential=ID/DAY/REGION/SERVICE/aws4_request…`, of every signed request.
_SIGNED = re.compile(rb"Credential=[^/,]+/\d+/[^/,]+/([a-z0-9-]+)/")


class Counting:
    def __init__(self, inner: Application) -> None:
        self._inner = inner
        self._counts: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
        elif scope["path"] == PATH:
            await self._tell(send)
        else:
            self._counts[_operation(scope)] += 1
            await self._inner(scope, receive, send)

    async def _tell(self, send: Send) -> None:
        body = json.dumps({"requests": self._counts, "cpu": time.process_time()}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _operation(scope: Scope) -> str:
    """Such as `dynamodb PutItem`, `s3 PUT`."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    signed = _SIGNED.search(headers.get(b"authorization", b""))
    service = signed[1].decode() if signed else "unsigned"
    target = headers.get(b"x-amz-target", b"").decode()
    return f"{service} {target.rpartition('.')[2] or scope['method']}"


def main() -> None:
    from ministack import app  # dear to import, and only the emulator's own process needs it

    app.app = Counting(app.app)
    sys.exit(app.main())


if __name__ == "__main__":
    main()
