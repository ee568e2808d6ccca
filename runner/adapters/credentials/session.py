"""One attempt's session in its job's role: assumed when first asked for, renewed before it ends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from runner.aws import Aws, AwsError
from runner.ports import Clock

log = structlog.get_logger()

# As long as a role assumed by another role's session can be.
SECONDS = 3600
# AWS libraries begin to ask for new ones 15 minutes before the end: what they are given must last longer.
RENEW_BEFORE = 1200.0
# A refusal is believed for so long: a program that asks in a loop must not become one here.
REFUSED_FOR = 10.0

_NOT_IN_A_NAME = re.compile(r"[^\w+=,.@-]", re.ASCII)
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class _Refused:
    error: AwsError
    until: float


class RoleSession:
    """`name` is what the account's own logs will show of it."""

    def __init__(self, aws: Aws, role: str, name: str, now: Clock) -> None:
        self.role = role
        self._aws = aws
        self._name = session_name(name)
        self._now = now
        self._given: Mapping[str, str] | None = None
        self._ends = 0.0
        self._refused: _Refused | None = None
        self._renewing = asyncio.Lock()

    async def credentials(self) -> Mapping[str, str]:
        """As container credentials are written. Raises AwsError."""
        async with self._renewing:
            if self._given is None or self._now() >= self._ends - RENEW_BEFORE:
                await self._renew()
            assert self._given is not None
            return self._given

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        if self._refused is not None and loop.time() < self._refused.until:
            raise self._refused.error
        try:
            reply = await self._aws.call(
                "sts",
                "assume_role",
                RoleArn=self.role,
                RoleSessionName=self._name,
                DurationSeconds=SECONDS,
            )
        except AwsError as error:
            log.warning("cannot assume a job's role", role=self.role, session=self._name, error=str(error))
            if self._given is not None and self._now() < self._ends:
                return  # they last a little longer, and the next who asks tries again
            self._refused = _Refused(error, loop.time() + REFUSED_FOR)
            raise
        self._take(reply["Credentials"])

    def _take(self, credentials: Mapping[str, Any]) -> None:
        ends: datetime = credentials["Expiration"]
        self._refused, self._ends = None, ends.timestamp()
        self._given = {
            "AccessKeyId": credentials["AccessKeyId"],
            "SecretAccessKey": credentials["SecretAccessKey"],
            "Token": credentials["SessionToken"],
            "Expiration": ends.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "RoleArn": self.role,
        }


def session_name(text: str) -> str:
    """Its last 64 characters, of those that may be in one."""
    return _NOT_IN_A_NAME.sub("-", text)[-LONGEST_NAME:]
