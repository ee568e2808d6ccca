"""What every engine promises of agents that end, die and begin anew."""

from __future__ import annotations

import asyncio

import pytest

from tests.engines.helpers import gone, has_written, run, within
from tests.engines.rigs import Ability, Bench, Capture


async def test_a_sweep_ends_and_removes_all_of_the_host(bench: Bench) -> None:
    containers = [(await bench.start(bench.script("trap '' TERM; sleep 1000")))[0] for _ in range(2)]
    assert await bench.engine.sweep(bench.host) == 2
    assert await gone(bench) == []
    for container in containers:
        assert (await within(container, 20.0)).exit_code != 0
        await container.remove()


async def test_a_sweep_that_is_not_wanted_once_it_knows_what_there_is_leaves_all_alone(bench: Bench) -> None:
    container, output = await bench.start(
        bench.script("echo ready; sleep 1; echo >> $RUNNER_METADATA a=b; exit 9")
    )
    await has_written(output, b"ready\n")
    other = await bench.rig.engine("watchdog")
    assert await other.sweep(bench.host, lambda: False) == 0
    assert (await within(container, 20.0)).exit_code == 9
    assert await container.metadata() == b"a=b\n"
    await container.remove()


async def test_a_sweep_leaves_other_hosts_alone(bench: Bench) -> None:
    other = Bench(bench.rig, f"{bench.host}-2", await bench.rig.engine(f"{bench.host}-2"))
    container, output = await other.start(other.script("echo ready; sleep 1; exit 9"))
    await has_written(output, b"ready\n")
    assert await bench.engine.sweep(bench.host) == 0
    assert (await within(container, 20.0)).exit_code == 9
    await container.remove()


async def test_what_a_killed_agent_left_is_adopted_with_all_its_output(bench: Bench) -> None:
    bench.needs(Ability.ADOPTION)
    spec = bench.script("echo before; sleep 1.5; echo after; exit 6", labels={"attempt": "a/1#1"})
    _, output = await bench.start(spec)
    await has_written(output, b"before\n")
    await bench.rig.crash(bench.engine)
    again, taken = await bench.rig.engine(bench.host), Capture()
    [container] = await again.recover(
        bench.host, lambda labels: taken if labels["attempt"] == "a/1#1" else None
    )
    ended = await within(container, 30.0)
    assert (ended.exit_code, taken.data) == (6, b"before\nafter\n")
    await container.remove()


async def test_what_ended_while_no_agent_was_there_is_adopted_too(bench: Bench) -> None:
    bench.needs(Ability.ADOPTION)
    _, output = await bench.start(bench.script("echo ready; sleep 0.3; echo done; exit 6"))
    await has_written(output, b"ready\n")
    await bench.rig.crash(bench.engine)
    await asyncio.sleep(1.0)
    again, taken = await bench.rig.engine(bench.host), Capture()
    [container] = await again.recover(bench.host, lambda _: taken)
    ended = await within(container, 30.0)
    assert (ended.exit_code, taken.data) == (6, b"ready\ndone\n")
    await container.remove()


async def test_an_adopted_container_is_what_it_was(bench: Bench) -> None:
    bench.needs(Ability.ADOPTION)
    script = 'echo k=v >> "$RUNNER_METADATA"; echo ready; sleep 60'
    container, output = await bench.start(bench.script(script, labels={"attempt": "x"}))
    await has_written(output, b"ready\n")
    await bench.rig.crash(bench.engine)
    again = await bench.rig.engine(bench.host)
    [adopted] = await again.recover(bench.host, lambda _: Capture())
    assert (adopted.name, dict(adopted.labels)) == (container.name, dict(container.labels))
    assert adopted.started_at == pytest.approx(container.started_at, abs=1.0)
    assert await adopted.metadata() == b"k=v\n"
    await adopted.stop(5.0)
    assert (await within(adopted, 10.0)).signal == 15
    await adopted.remove()
    assert await gone(Bench(bench.rig, bench.host, again)) == []


async def test_what_nobody_wants_is_removed_by_recovery(bench: Bench) -> None:
    await bench.start(bench.script("trap '' TERM; sleep 1000"))
    await bench.rig.crash(bench.engine)
    again = await bench.rig.engine(bench.host)
    assert list(await again.recover(bench.host, lambda _: None)) == []
    assert await gone(Bench(bench.rig, bench.host, again)) == []


async def test_recovery_leaves_other_hosts_alone(bench: Bench) -> None:
    other = Bench(bench.rig, f"{bench.host}-2", await bench.rig.engine(f"{bench.host}-2"))
    container, output = await other.start(other.script("echo ready; sleep 1; exit 9"))
    await has_written(output, b"ready\n")
    assert list(await bench.engine.recover(bench.host, lambda _: None)) == []
    assert (await within(container, 20.0)).exit_code == 9
    await container.remove()


async def test_another_installations_host_of_the_same_name_is_let_be(bench: Bench) -> None:
    other = Bench(bench.rig, bench.host, await bench.rig.engine(bench.host, elsewhere=True))
    container, output = await other.start(other.script("echo ready; sleep 1.5; exit 9"))
    await has_written(output, b"ready\n")
    assert list(await bench.engine.recover(bench.host, lambda _: Capture())) == []
    assert await bench.engine.sweep(bench.host) == 0
    assert (await within(container, 20.0)).exit_code == 9
    await container.remove()


async def test_closing_removes_what_was_kept_ready(bench: Bench) -> None:
    await bench.engine.prepare(bench.rig.job("job"), 2)
    await run(bench, "true")
    await asyncio.sleep(0.5)
    other = await bench.rig.engine("another")
    await bench.engine.close()
    assert await bench.rig.everything(bench.host) == []
    await other.close()


async def test_a_start_that_is_cancelled_leaves_nothing(bench: Bench) -> None:
    starting = asyncio.create_task(bench.start(bench.script("sleep 1000")))
    await asyncio.sleep(0.03)
    starting.cancel()
    try:
        container, _ = await starting
        await container.remove()
    except asyncio.CancelledError:
        pass
    assert await gone(bench) == []
