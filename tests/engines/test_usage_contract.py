"""What every engine that can measures and limits."""

from __future__ import annotations

from tests.engines.helpers import run, within
from tests.engines.rigs import Ability, Bench


async def test_too_much_memory_is_reported_with_evidence(bench: Bench) -> None:
    bench.needs(Ability.MEMORY_LIMIT)
    hungry = 'BEGIN { s = "x"; while (1) { s = s s } }'
    container, _ = await bench.start(bench.spec("awk", hungry, memory=64 * 1024**2))
    ended = await within(container, 60.0)
    await container.remove()
    assert ended.out_of_memory
    assert ended.exit_code != 0


async def test_sigkill_alone_is_no_evidence_of_too_much_memory(bench: Bench) -> None:
    ended, _ = await run(bench, "kill -9 $$")
    assert not ended.out_of_memory


async def test_cpu_time_is_measured(bench: Bench) -> None:
    bench.needs(Ability.USAGE)
    script = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; sleep 1.5"
    ended, _ = await run(bench, script)
    assert ended.usage.cpu_seconds is not None
    assert 0.05 < ended.usage.cpu_seconds < 30


async def test_peak_memory_is_measured(bench: Bench) -> None:
    bench.needs(Ability.USAGE)
    script = "x=$(head -c 30000000 /dev/zero | tr '\\0' a); sleep 1.5; echo ${#x}"
    ended, output = await run(bench, script)
    assert output.data == b"30000000\n"
    assert ended.usage.peak_memory is not None
    assert ended.usage.peak_memory > 25_000_000
