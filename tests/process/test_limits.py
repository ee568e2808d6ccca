"""Memory and what was used."""

from __future__ import annotations

import resource
import sys

from tests.engines.rigs import Bench

MIB = 1024**2
HUNGRY = "x = bytearray(200 << 20); import time; time.sleep(60)"


async def test_a_tree_above_its_limit_is_killed_with_the_evidence(bench: Bench) -> None:
    script = f"{sys.executable} -c '{HUNGRY}' & wait"
    container, _ = await bench.start(bench.script(script, memory=100 * MIB))
    ended = await container.wait()
    assert (ended.exit_code, ended.out_of_memory) == (137, True)


async def test_a_child_above_its_limit_is_found_in_a_session_of_its_own(bench: Bench) -> None:
    script = f"setsid {sys.executable} -c '{HUNGRY}' & sleep 60"
    container, _ = await bench.start(bench.script(script, memory=100 * MIB))
    assert (await container.wait()).out_of_memory


async def test_pages_that_a_forked_family_shares_count_once(bench: Bench) -> None:
    family = """
import os, time
pages = bytearray(150 << 20)
for _ in range(4):
    if os.fork() == 0:
        time.sleep(1.2)
        os._exit(0)
for _ in range(4):
    os.wait()
"""
    container, _ = await bench.start(bench.spec(sys.executable, "-c", family, memory=300 * MIB))
    ended = await container.wait()
    assert (ended.exit_code, ended.out_of_memory) == (0, False)


async def test_a_kill_from_elsewhere_is_no_evidence_of_too_much_memory(bench: Bench) -> None:
    container, _ = await bench.start(bench.script("kill -9 $$"))
    ended = await container.wait()
    assert (ended.exit_code, ended.signal, ended.out_of_memory) == (137, 9, False)


async def test_a_large_tasks_peak_memory_is_told(bench: Bench) -> None:
    """Larger than this process ever was: what a task had before its program began counts for nothing."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 200 * MIB
    task = bench.spec(sys.executable, "-c", f"x = bytearray({size})", memory=2 * size)
    container, _ = await bench.start(task)
    peak = (await container.wait()).usage.peak_memory
    assert peak is not None
    assert size < peak < size + 100 * MIB


async def test_a_small_task_is_not_given_the_agents_own_peak(bench: Bench) -> None:
    agents_own = bytearray(300 * MIB)
    short, _ = await bench.start(bench.spec("true"))
    longer, _ = await bench.start(bench.spec("sleep", "0.8"))
    del agents_own
    assert (await short.wait()).usage.peak_memory is None
    peak = (await longer.wait()).usage.peak_memory
    assert peak is not None
    assert peak < 50 * MIB


async def test_cpu_time_counts_children_and_orphans_too(bench: Bench) -> None:
    burn = f"{sys.executable} -c 'import time\nwhile time.process_time() < 0.2: pass'"
    container, _ = await bench.start(bench.script(f"{burn}; {burn}"))
    cpu = (await container.wait()).usage.cpu_seconds
    assert cpu is not None
    assert 0.4 <= cpu < 5
