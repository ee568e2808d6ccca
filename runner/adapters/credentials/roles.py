"""An HTTP endpoint on this host that serves each task the credentials of its job's role, and nobody else's.

A task is told where by AWS_CONTAINER_CREDENTIALS_FULL_URI and must show the token in AWS_CONTAINER_AUTHORIZATION_TOKEN,
both known to every AWS library. Those speak plain HTTP to few addresses only: loopback, and 169.254.170.2, which for
containers is this host once it stands on one of its interfaces (`ip address add 169.254.170.2/32 dev lo`).

Key and port are kept beside the agent's other state: tasks that outlive their agent find the same with its successor.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import structlog
from aiohttp import web

from runner.adapters.credentials.session import RoleSession
from runner.aws import Aws, AwsError, Trouble
from runner.errors import EngineUnavailable
from runner.model import Attempt, Job
from runner.ports import Clock

log = structlog.get_logger()

ADDRESS = "169.254.170.2"
KEY_BYTES = 32
URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105  # a variable's name


class TaskRoles:
    """Implements `runner.ports.Roles`. `state`: the file for key and port. Listens when the first role is granted."""

    def __init__(self, aws: Aws, state: Path, now: Clock, address: str = ADDRESS) -> None:
        self._aws = aws
        self._state = state
        self._now = now
        self._address = address
        self._sessions: dict[str, RoleSession] = {}
        self._opening = asyncio.Lock()
        self._endpoint: _Endpoint | None = None

    async def grant(self, job: Job, attempt: Attempt) -> Mapping[str, str]:
        if job.role is None:
            return {}
        endpoint = await self._opened()
        path = f"/credentials/{attempt.task.job_id}/{attempt.task.index}/{attempt.number}"
        if path not in self._sessions:
            name = path.removeprefix("/credentials/").replace("/", "-")
            self._sessions[path] = RoleSession(self._aws, job.role, name, self._now)
        return {URI: f"http://{self._address}:{endpoint.port}{path}", TOKEN: endpoint.token(path)}

    def withdraw(self, attempt: Attempt) -> None:
        path = f"/credentials/{attempt.task.job_id}/{attempt.task.index}/{attempt.number}"
        self._sessions.pop(path, None)

    async def close(self) -> None:
        if self._endpoint is not None:
            await self._endpoint.close()

    async def _opened(self) -> _Endpoint:
        async with self._opening:
            if self._endpoint is None:
                try:
                    self._endpoint = await _open(self._address, self._state, self._sessions)
                except OSError as error:
                    message = (
                        f"cannot serve credentials on {self._address}: {os.strerror(error.errno or 0)}; the host must "
                        f"have that address (`ip address add {self._address}/32 dev lo`)"
                    )
                    raise EngineUnavailable(message) from error
            return self._endpoint


class _Endpoint:
    def __init__(self, key: bytes, sessions: Mapping[str, RoleSession]) -> None:
        self._key = key
        self._sessions = sessions
        app = web.Application()
        app.router.add_get("/credentials/{rest:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        self.port = 0

    async def listen(self, address: str, port: int) -> None:
        """Raises OSError."""
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port).start()
        self.port = int(self._runner.addresses[0][1])

    async def close(self) -> None:
        await self._runner.cleanup()

    def token(self, path: str) -> str:
        return hmac.new(self._key, path.encode(), hashlib.sha256).hexdigest()

    async def _answer(self, request: web.Request) -> web.Response:
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        session = self._sessions.get(request.path)
        # The same answer whatever was wrong: who has no token learns nothing of others' attempts.
        if not hmac.compare_digest(shown, self.token(request.path).encode()) or session is None:
            return _failure(403, "AccessDenied", "no role is granted to whoever shows this token")
        try:
            return web.json_response(dict(await session.credentials()))
        except AwsError as error:
            status = 403 if error.trouble in (Trouble.DENIED, Trouble.REFUSED) else 503
            return _failure(status, error.code, f"cannot assume {session.role}: {error.code}")


def _failure(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)


async def _open(address: str, state: Path, sessions: Mapping[str, RoleSession]) -> _Endpoint:
    key, port = _remembered(state)
    endpoint = _Endpoint(key, sessions)
    try:
        try:
            await endpoint.listen(address, port)
        except OSError:
            if port == 0:
                raise
            # Somebody took the port since. Tasks of the predecessor's then find no credentials; new ones do.
            log.warning("the port for credentials is taken", port=port)
            await endpoint.close()
            endpoint = _Endpoint(key, sessions)
            await endpoint.listen(address, 0)
    except OSError:
        await endpoint.close()
        raise
    _remember(state, key, endpoint.port)
    return endpoint


def _remembered(state: Path) -> tuple[bytes, int]:
    """Key and port of an earlier agent here, else a new key and any port."""
    try:
        kept = json.loads(state.read_text())
        key, port = bytes.fromhex(kept["key"]), int(kept["port"])
    except (OSError, ValueError, KeyError, TypeError):
        key, port = b"", 0
    return (key, port) if len(key) == KEY_BYTES else (secrets.token_bytes(KEY_BYTES), 0)


def _remember(state: Path, key: bytes, port: int) -> None:
    state.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps({"key": key.hex(), "port": port}))
