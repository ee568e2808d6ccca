"""The image that benchmarks run: the tests' own busybox, which needs no registry."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runner.adapters.docker.address import find_address
from runner.adapters.docker.api import Api
from runner.adapters.docker.client import Client
from tests.images import busybox_image


@asynccontextmanager
async def open_api() -> AsyncIterator[Api]:
    """The engine that the `docker` command would speak to."""
    client = Client(find_address(None, os.environ, Path.home()))
    try:
        yield Api(client)
    finally:
        await client.close()


async def ready() -> str:
    """The image's name, imported if it is not there yet."""
    async with open_api() as api:
        return await busybox_image(api)
