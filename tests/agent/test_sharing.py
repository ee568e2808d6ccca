"""Which messages an agent asks for, keeps and hands back. Real agents in virtual time."""

from __future__ import annotations

import asyncio

from runner.model import Limits
from tests.agent.fakes import Behaviour
from tests.agent.play import Play, by_job, started
from tests.agent.world import World, a_job


def test_a_small_task_runs_beside_a_large_one(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(id="large", limits=Limits(vcpus=2.0)))
        started(world.agent(vcpus=3.0))
        await asyncio.sleep(5)
        await world.submit(a_job(id="small"))
        await world.until_over("small", limit=5)

    play(scene, by_job(large=Behaviour(seconds=1000), small=Behaviour()))


def test_long_tasks_that_follow_short_ones_are_not_hoarded(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(id="short", tasks=200))
        started(world.agent("host-a"))
        await world.until_over("short")
        await world.submit(a_job(id="long", tasks=20))
        await asyncio.sleep(5)
        started(world.agent("host-b"))
        await asyncio.sleep(5)
        assert (await world.record("long")).counts.running == 4
        assert (await world.queue.backlog())["default"].in_flight == 4
        assert world.engine.most_at_once == 4

    play(scene, by_job(short=Behaviour(seconds=0.001), long=Behaviour(seconds=1000)))


def test_a_long_task_among_many_short_ones_is_not_put_off_until_they_are_done(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(id="short", tasks=500))
        started(world.agent())
        await asyncio.sleep(0.5)
        await world.submit(a_job(id="long"))
        await world.submit(a_job(id="more", tasks=500))
        await world.until_over("more")
        started_before_it = [spec.job_id for spec in world.engine.specs].index("long")
        assert started_before_it < 700

    play(
        scene,
        by_job(short=Behaviour(seconds=0.005), long=Behaviour(seconds=10), more=Behaviour(seconds=0.005)),
    )


def test_what_is_handed_back_is_not_asked_for_again_in_a_hot_loop(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(id="short", tasks=200))
        started(world.agent(vcpus=2.5))
        await world.until_over("short")
        await world.submit(a_job(id="long", tasks=50))
        await asyncio.sleep(1000)
        leases = await world.queue.receive(50, wait=0, hide=1)
        assert len(leases) == 47  # two run, one waits for what is left of the machine
        assert sum(lease.receives for lease in leases) < 3 * 47

    play(scene, by_job(short=Behaviour(seconds=0.001), long=Behaviour(seconds=5000)))


def test_two_machines_with_room_for_one_each_run_two_tasks_at_once(play: Play) -> None:
    async def scene(world: World) -> None:
        world.alone = False
        await world.submit(a_job(tasks=2, limits=Limits(vcpus=2.0)))
        for host in ("host-a", "host-b"):
            started(world.agent(host, vcpus=3.0))
        await world.until_over(limit=1010)

    play(scene, lambda _: Behaviour(seconds=1000))


def test_what_no_machine_has_room_for_waits_unbegun_and_is_not_passed_around_in_a_hot_loop(
    play: Play,
) -> None:
    async def scene(world: World) -> None:
        world.alone = False
        await world.submit(a_job(tasks=3, limits=Limits(vcpus=2.0)))
        for host in ("host-a", "host-b"):
            started(world.agent(host, vcpus=3.0))
        await asyncio.sleep(3600)
        assert (await world.record()).counts.running == 2
        lease = None
        while lease is None:
            lease = next(iter(await world.queue.receive(1, wait=1, hide=1)), None)
        assert lease.receives < 200

    play(scene, lambda _: Behaviour(seconds=5000))
