"""A registry of one image on this machine, that fails as told. Engines take plain HTTP from 127.0.0.1."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.images import busybox_archive

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NAME_UNKNOWN", 500: "UNKNOWN", 503: "UNAVAILABLE"}
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass
class Registry:
    """`failures`: how many requests for the manifest get `failure` before one is answered."""

    port: int = 0
    failures: int = 0
    failure: int = 500
    login: tuple[str, str] | None = None
    pulls: int = 0
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes = b""
    pause: float = 0.0

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self.port}/tests/busybox:1"

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"

    def fill(self) -> None:
        layer = busybox_archive()
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], "Labels": {"once": secrets.token_hex(8)}},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "tests"}],
        }
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, **self._blob(json.dumps(config).encode())},
                "layers": [{"mediaType": LAYER, **self._blob(gzip.compress(layer, 1, mtime=0))}],
            }
        ).encode()

    def _blob(self, content: bytes) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return {"size": len(content), "digest": digest}

    async def handle(self, request: web.Request) -> web.Response:
        if self.login and request.headers.get("Authorization") != _basic(*self.login):
            headers = {"WWW-Authenticate": 'Basic realm="tests"'}
            return web.json_response(_error("UNAUTHORIZED"), status=401, headers=headers)
        kind, _, reference = request.path.rpartition("/")
        if kind.endswith("/manifests"):
            return await self._manifest(request, reference)
        if kind.endswith("/blobs"):
            return web.Response(body=self.blobs[reference])
        return web.json_response({})

    async def _manifest(self, request: web.Request, reference: str) -> web.Response:
        await asyncio.sleep(self.pause)
        if self.failures:
            self.failures -= 1
            return web.json_response(_error(CODES[self.failure]), status=self.failure)
        if reference not in ("1", self.digest):
            return web.json_response(_error("MANIFEST_UNKNOWN"), status=404)
        self.pulls += request.method == "GET"
        headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": self.digest}
        return web.Response(body=self.manifest, headers=headers)


@asynccontextmanager
async def registry() -> AsyncIterator[Registry]:
    made = Registry()
    made.fill()
    application = web.Application()
    application.router.add_get("/{path:.*}", made.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        await runner.cleanup()


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _error(code: str) -> dict[str, object]:
    return {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}
