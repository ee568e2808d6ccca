"""Secrets by ARN: of Secrets Manager and of the Systems Manager Parameter Store.

Needs secretsmanager:GetSecretValue or ssm:GetParameter on each, and kms:Decrypt where it has a key of its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from runner.aws import Aws, AwsError
from runner.errors import EngineUnavailable, StartError
from runner.model import Job, Secret
from runner.ports import Secrets
from runner.secret_arn import FORMS, SecretArn, parse_secret_arn

# A new value is seen after that many seconds. A busy agent asks so seldom that it costs nothing per task.
KEPT = 60.0
MOST_KEPT = 1000
LARGEST = 64 * 1024

# What somebody must mend; anything else may pass by itself, or on another host.
LASTING = {
    "AccessDenied": "the host's role may not read it",
    "AccessDeniedException": "the host's role may not read it",
    "DecryptionFailure": "it cannot be decrypted with its key",
    "InvalidKeyId": "its key cannot be used",
    "InvalidParameterException": "the service does not take this ARN",
    "InvalidRequestException": "it is being deleted, or has no value",
    "ParameterNotFound": "no such parameter",
    "ParameterVersionNotFound": "no such version of it",
    "ResourceNotFoundException": "no such secret, or no such version of it",
    "ValidationException": "the service does not take this ARN",
}


class AwsSecrets:
    """Implements `runner.ports.Secrets`; what is no ARN is for `local`. Errors name the secret, never a value.

    `connect` gives the services of a region; it is asked once for each, but not for those `connected` to already, which
    are somebody else's to close.
    """

    def __init__(
        self,
        local: Secrets,
        connect: Callable[[str], Aws],
        connected: Mapping[str, Aws] | None = None,
    ) -> None:
        self._local = local
        self._connect = connect
        self._regions: dict[str, Aws] = dict(connected or {})
        self._own: list[Aws] = []
        self._kept: dict[SecretArn, tuple[float, str]] = {}
        # One asks, the others find it there: tasks of one job begin together.
        self._asking = asyncio.Lock()

    async def resolve(self, job: Job) -> Mapping[str, str]:
        own = tuple(secret for secret in job.secrets if secret.source != "arn")
        values = dict(await self._local.resolve(replace(job, secrets=own)))
        for secret in job.secrets:
            if secret.source == "arn":
                values[secret.name] = await self._value(secret)
        return values

    async def close(self) -> None:
        for aws in self._own:
            await aws.close()

    async def _value(self, secret: Secret) -> str:
        place = parse_secret_arn(secret.reference)
        if place is None:
            raise _failure(secret, f"must be {FORMS}")
        whole = replace(place, key="")
        text = self._known(whole)
        if text is None:
            async with self._asking:
                text = self._known(whole)
                if text is None:
                    text = await self._fetched(secret, whole)
        return _checked(secret, _member(secret, text, place.key) if place.key else text)

    def _known(self, place: SecretArn) -> str | None:
        until, text = self._kept.get(place, (0.0, ""))
        return text if asyncio.get_running_loop().time() < until else None

    async def _fetched(self, secret: Secret, place: SecretArn) -> str:
        try:
            text = await self._asked(secret, place)
        except AwsError as error:
            # The service's own words name role and action, and never the value.
            if why := LASTING.get(error.code):
                raise _failure(secret, f"{why}: {error}") from None
            raise EngineUnavailable(_said(secret, str(error))) from None
        self._kept.pop(place, None)
        self._kept[place] = (asyncio.get_running_loop().time() + KEPT, text)
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return text

    async def _asked(self, secret: Secret, place: SecretArn) -> str:
        if place.region not in self._regions:
            self._regions[place.region] = self._connect(place.region)
            self._own.append(self._regions[place.region])
        aws = self._regions[place.region]
        if place.service == "ssm":
            reply = await aws.call("ssm", "get_parameter", Name=place.arn, WithDecryption=True)
            return str(reply["Parameter"]["Value"])
        named = (("VersionStage", place.stage), ("VersionId", place.version))
        wanted: dict[str, Any] = {name: value for name, value in named if value}
        reply = await aws.call("secretsmanager", "get_secret_value", SecretId=place.arn, **wanted)
        if "SecretString" in reply:
            return str(reply["SecretString"])
        try:
            return bytes(reply["SecretBinary"]).decode()
        except UnicodeDecodeError:
            raise _failure(secret, "not text in UTF-8") from None  # the cause would quote the content


def _member(secret: Secret, text: str, key: str) -> str:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise _failure(secret, f"has no key {key!r}: it is not JSON") from None  # the cause would quote it
    value = content.get(key) if isinstance(content, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _failure(secret, f"has no key {key!r} with a text or a number")
    return value if isinstance(value, str) else json.dumps(value)


def _checked(secret: Secret, value: str) -> str:
    if "\0" in value:
        raise _failure(secret, "holds a NUL, which no environment variable can")
    if len(value) > LARGEST:
        raise _failure(secret, f"larger than {LARGEST} characters")
    return value


def _failure(secret: Secret, problem: str) -> StartError:
    return StartError(_said(secret, problem))


def _said(secret: Secret, problem: str) -> str:
    return f"secret {secret.name!r} from {secret.source} {secret.reference!r}: {problem}"
