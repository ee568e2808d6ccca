"""An engine that is not there, or does not answer."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.adapters.docker.address import Address
from runner.adapters.docker.client import Client, NoAnswerError
from runner.adapters.docker.engine import DockerEngine, complaint
from runner.errors import EngineUnavailable


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """A socket that takes connections and never says anything."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    with tempfile.TemporaryDirectory(prefix="runner-") as directory:
        path = f"{directory}/docker.sock"
        server = await asyncio.start_unix_server(listen, path)
        yield f"unix://{path}"
        server.close()


async def test_a_call_to_an_engine_that_hangs_ends_in_time(silent: str) -> None:
    client = Client(Address(silent))
    with pytest.raises(NoAnswerError, match="in time"):
        await client.call("GET", "info", seconds=0.1)
    await client.close()


async def test_a_call_to_no_engine_names_what_is_missing() -> None:
    client = Client(Address("unix:///nowhere/docker.sock"))
    with pytest.raises(NoAnswerError, match="nowhere"):
        await client.call("GET", "info")
    await client.close()


async def test_an_engine_that_is_not_there_is_one_line_of_complaint(tmp_path: Path) -> None:
    engine = DockerEngine("host", 1, tmp_path, "unix:///nowhere/docker.sock", time.time)
    complaint = await engine.check()
    await engine.close()
    assert "nowhere" in complaint
    assert "\n" not in complaint


async def test_an_engine_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    engine = DockerEngine("host", 1, tmp_path, "unix:///nowhere/docker.sock", time.time)
    with pytest.raises(EngineUnavailable, match="nowhere"):
        await engine.sweep("host")
    await engine.close()


def test_without_the_right_to_use_it_the_complaint_says_what_to_do() -> None:
    error = NoAnswerError("Cannot connect to unix socket /docker.sock ssl:default [Permission denied]")
    assert "group" in complaint("unix:///docker.sock", error)
