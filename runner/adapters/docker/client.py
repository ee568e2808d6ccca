"""HTTP to the engine: every call has its time limit, every failure is one of two kinds."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from runner.adapters.docker.address import Address

# Ours was written for PREFERRED; an engine too old or too new for it is spoken to in the nearest version it
# has.
PREFERRED = (1, 41)

CONNECT = 5.0
QUICK = 15.0

Query = Mapping[str, str | int]


class ApiError(Exception):
    """The engine answered, and refused."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def final(self) -> bool:
        """What was asked cannot be done: asking again will not help."""
        return self.status < 500 and self.status not in (408, 429)


class NoAnswerError(Exception):
    """No connection, a broken one, or no reply in time. What was asked may have been done or not."""


class Client:
    """One engine. Not for use in more than one event loop."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.version = ".".join(map(str, PREFERRED))
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        data: bytes | None = None,
        seconds: float | None = QUICK,
    ) -> Any:
        """The decoded JSON of the reply, None if it has none. Raises ApiError, NoAnswerError.

        `body` is sent as JSON, `data` as a tar archive. `seconds` None waits for as long as it takes.
        """
        limit = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT)
        try:
            async with self._request(method, path, query, body, data, {}, limit) as response:
                text = await response.read()
                await _refuse(response, text)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NoAnswerError(_say(error)) from error
        return _decode(text)

    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float | None = None,
    ) -> aiohttp.ClientResponse:
        """A reply to be read as it comes; the caller closes it. `silence`: seconds without a byte that end
        it.

        Raises ApiError, NoAnswerError.
        """
        limit = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=silence)
        try:
            response: aiohttp.ClientResponse = await self._request(
                method, path, query, None, None, headers or {}, limit
            )
            if response.status >= 400:
                async with response:
                    await _refuse(response, await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NoAnswerError(_say(error)) from error
        return response

    async def header(self, method: str, path: str, query: Query, name: str) -> str | None:
        """One header of the reply; None if the engine has no such thing. Raises ApiError, NoAnswerError."""
        limit = aiohttp.ClientTimeout(total=QUICK, sock_connect=CONNECT)
        try:
            async with self._request(method, path, query, None, None, {}, limit) as response:
                if response.status == 404:
                    return None
                await _refuse(response, await response.read())
                value: str | None = response.headers.get(name)
                return value
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NoAnswerError(_say(error)) from error

    async def answers_anew(self, seconds: float) -> bool:
        """Whether the engine takes a new connection: one that is shutting down still serves the old ones."""
        other = Client(self.address)
        try:
            await other.call("GET", "/_ping", seconds=seconds)
        except (ApiError, NoAnswerError):
            return False
        finally:
            await other.close()
        return True

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _request(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: object,
        data: bytes | None,
        headers: Mapping[str, str],
        limit: aiohttp.ClientTimeout,
    ) -> Any:
        self._session = self._session or _open(self.address)
        url = path if path.startswith("/") else f"/v{self.version}/{path}"
        if data is not None:
            headers = {**headers, "Content-Type": "application/x-tar"}
        return self._session.request(
            method, url, params=query, json=body, data=data, headers=headers, timeout=limit
        )


def _open(address: Address) -> aiohttp.ClientSession:
    # No limit on connections: each running container holds two for as long as it lives.
    connector: aiohttp.BaseConnector
    if address.socket is not None:
        connector = aiohttp.UnixConnector(address.socket, limit=0)
        return aiohttp.ClientSession("http://docker", connector=connector)
    secure = _tls(address.certificates) if address.certificates else None
    connector = aiohttp.TCPConnector(limit=0, ssl=secure or True)
    scheme = "https" if secure else "http"
    return aiohttp.ClientSession(address.url.replace("tcp", scheme, 1), connector=connector)


def _tls(certificates: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(str(certificates / "cert.pem"), str(certificates / "key.pem"))
    return context


async def _refuse(response: aiohttp.ClientResponse, text: bytes) -> None:
    if response.status < 400:
        return
    content = _decode(text)
    message = content.get("message") if isinstance(content, dict) else None
    raise ApiError(response.status, str(message or response.reason or response.status))


def _decode(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _say(error: BaseException) -> str:
    return str(error) or ("no reply in time" if isinstance(error, TimeoutError) else type(error).__name__)
