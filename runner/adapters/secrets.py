"""Secrets of this host: from files and from the agent's own environment."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping

from runner.errors import StartError
from runner.model import Job, Secret

LARGEST = 64 * 1024


class LocalSecrets:
    """Implements `runner.ports.Secrets`. Errors name the secret and its source, never a value."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def resolve(self, job: Job) -> Mapping[str, str]:
        return {secret.name: await self._value(secret) for secret in job.secrets}

    async def _value(self, secret: Secret) -> str:
        if secret.source == "env":
            value = self._environ.get(secret.reference)
            if value is None:
                raise failure(secret, "no such variable in the agent's environment")
            return value
        if secret.source == "file":
            return await asyncio.to_thread(from_file, secret)
        raise failure(secret, "here a secret comes from a file or from env")


def from_file(secret: Secret) -> str:
    """The file's text less one newline at its end."""
    if not os.path.isabs(secret.reference):
        raise failure(secret, "its path must be absolute: agents run elsewhere than the submit")
    try:
        content = read_regular(secret)
    except OSError as error:
        raise failure(secret, os.strerror(error.errno or 0)) from None
    try:
        value = content.decode("utf-8")
    except UnicodeDecodeError:
        raise failure(secret, "not text in UTF-8") from None  # the cause would quote the content
    if "\0" in value:
        raise failure(secret, "holds a NUL, which no environment variable can")
    return value.removesuffix("\n")


def read_regular(secret: Secret) -> bytes:
    """Raises StartError for what is not a plain file: reading a pipe might never end."""
    file = os.open(secret.reference, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode):
            raise failure(secret, "not a regular file")
        if about.st_size > LARGEST:
            raise failure(secret, f"larger than {LARGEST} bytes")
        return os.read(file, LARGEST)
    finally:
        os.close(file)


def failure(secret: Secret, problem: str) -> StartError:
    return StartError(f"secret {secret.name!r} from {secret.source} {secret.reference!r}: {problem}")
