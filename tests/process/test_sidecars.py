"""Companions: there before the command, gone after it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from runner.model import Sidecar
from tests.engines.rigs import Bench

WRITER = Sidecar("writer", "any", ("sh", "-c", "echo from-${NAME} > shared; sleep 60"), {"NAME": "sidecar"})


async def test_command_and_sidecar_share_the_scratch_directory(bench: Bench) -> None:
    wait_and_read = "until test -s shared; do sleep 0.01; done; cat shared"
    container, output = await bench.start(bench.script(wait_and_read, sidecars=(WRITER,)))
    await container.wait()
    await container.remove()
    assert output.data == b"from-sidecar\n"


async def test_a_sidecar_ends_with_the_removal(bench: Bench) -> None:
    container, _ = await bench.start(bench.spec("true", sidecars=(WRITER,)))
    await container.wait()
    assert any(name.startswith("sh ") for name in await bench.rig.leftovers(bench.host))
    await container.remove()
    assert await bench.rig.leftovers(bench.host) == []


async def test_a_sidecar_is_asked_to_end_before_it_is_made_to(bench: Bench, tmp_path: Path) -> None:
    script = f"trap 'echo asked > {tmp_path}/asked; exit' TERM; echo > up; while :; do sleep 0.01; done"
    sidecar = Sidecar("polite", "any", ("sh", "-c", script))
    command = "until test -s up; do sleep 0.01; done"
    container, _ = await bench.start(bench.script(command, sidecars=(sidecar,)))
    await container.wait()
    await container.remove()
    assert (tmp_path / "asked").read_text() == "asked\n"


async def test_a_sidecar_that_will_not_end_is_killed(bench: Bench) -> None:
    stubborn = Sidecar("stubborn", "any", ("sh", "-c", "trap '' TERM; while :; do sleep 1; done"))
    container, _ = await bench.start(bench.spec("true", sidecars=(stubborn,)))
    await container.wait()
    async with asyncio.timeout(8):
        await container.remove()
    assert await bench.rig.leftovers(bench.host) == []


async def test_the_end_of_a_sidecar_is_not_the_commands(bench: Bench) -> None:
    brief = Sidecar("brief", "any", ("false",))
    container, _ = await bench.start(bench.spec("sleep", "0.3", sidecars=(brief,)))
    assert (await container.wait()).exit_code == 0
