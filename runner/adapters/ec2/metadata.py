"""The instance metadata service, version 2 only: a session's token first, then plain reads."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp

from runner.errors import Unavailable

ENDPOINT = "http://169.254.169.254"
TOKEN_SECONDS = 21600
# It is one hop away and answers within milliseconds, or it does not answer.
TIMEOUT = aiohttp.ClientTimeout(total=2.0, connect=1.0)

_TOKEN = "X-aws-ec2-metadata-token"  # noqa: S105  # a header's name
_INSTANCE_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_INSTANCE_TYPE = re.compile(r"[a-z0-9.-]{1,64}")


class NoMetadata(Unavailable):
    """The service does not answer, or not as it should."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`at`: when it was given by the service's own clock, epoch seconds; None if it did not say."""

    text: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    instance_id: str
    instance_type: str


class InstanceMetadata:
    """`endpoint` as in AWS_EC2_METADATA_SERVICE_ENDPOINT. Connects when first asked."""

    def __init__(self, endpoint: str | None = None) -> None:
        self._endpoint = (endpoint or ENDPOINT).rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._token = ""
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()

    async def get(self, path: str) -> Answer | None:
        """What stands at `path` below `/latest/meta-data`; None if nothing does. Raises NoMetadata."""
        answer = await self._get(path)
        if answer.status == 401:  # the token was forgotten, as after the instance was stopped and started
            self._token = ""
            answer = await self._get(path)
        if answer.status == 404:
            return None
        if answer.status != 200:
            message = f"the instance metadata service answers {answer.status} to {path}"
            raise NoMetadata(message)
        return Answer(answer.text, answer.at)

    async def identity(self) -> Identity:
        """Raises NoMetadata: nothing can be done on an instance that does not know itself."""
        instance_id, instance_type = await self.get("instance-id"), await self.get("instance-type")
        if instance_id is None or not _INSTANCE_ID.fullmatch(instance_id.text):
            message = f"{self._endpoint} names no instance: is this an EC2 instance, with metadata enabled?"
            raise NoMetadata(message)
        known = instance_type is not None and _INSTANCE_TYPE.fullmatch(instance_type.text)
        return Identity(instance_id.text, instance_type.text if known and instance_type else "")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _get(self, path: str) -> _Reply:
        return await self._ask("GET", f"/latest/meta-data/{path}", {_TOKEN: await self._session_token()})

    async def _session_token(self) -> str:
        async with self._renewing:
            now = asyncio.get_running_loop().time()
            if not self._token or now >= self._renew_at:
                reply = await self._ask(
                    "PUT", "/latest/api/token", {f"{_TOKEN}-ttl-seconds": str(TOKEN_SECONDS)}
                )
                if reply.status != 200:
                    message = f"the instance metadata service gives no token: {reply.status}"
                    raise NoMetadata(message)
                self._token, self._renew_at = reply.text, now + TOKEN_SECONDS / 2
            return self._token

    async def _ask(self, method: str, path: str, headers: dict[str, str]) -> _Reply:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT, trust_env=False)
        try:
            async with self._session.request(
                method, f"{self._endpoint}{path}", headers=headers, allow_redirects=False
            ) as response:
                text = (await response.text(errors="replace")).strip()
                return _Reply(response.status, text, _epoch(response.headers.get("Date")))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            message = f"the instance metadata service does not answer: {error or type(error).__name__}"
            raise NoMetadata(message) from error


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    text: str
    at: float | None


def _epoch(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None
