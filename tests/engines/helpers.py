"""Steps that the tests of several engines share."""

from __future__ import annotations

import asyncio

from runner.ports import Container, Exit
from tests.engines.rigs import Bench, Capture


async def run(bench: Bench, text: str, **changes: object) -> tuple[Exit, Capture]:
    """Run a shell script to its end and remove it."""
    container, output = await bench.start(bench.script(text, **changes))
    try:
        return await within(container, 30.0), output
    finally:
        await container.remove()


async def within(container: Container, seconds: float) -> Exit:
    async with asyncio.timeout(seconds):
        return await container.wait()


async def gone(bench: Bench, seconds: float = 5.0) -> list[str]:
    """What exists of attempts, once nothing does or after so many seconds."""
    left: list[str] = []
    for _ in range(int(seconds / 0.05)):
        left = list(await bench.rig.leftovers(bench.host))
        if not left:
            break
        await asyncio.sleep(0.05)
    return left


async def has_written(output: Capture, text: bytes, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        await output.contains(text)
