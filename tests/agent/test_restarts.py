"""What a restarted agent makes of what its predecessor left. Real agents in virtual time."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from controller.simulation.clock import now
from runner.agent.identity import this_boot
from runner.agent.upkeep import Terms
from runner.errors import StorageError
from runner.model import Kind, Limits, Status, TaskId
from tests.agent.fakes import Behaviour
from tests.agent.play import Play, by_try, started
from tests.agent.world import LEASE, World, a_job


def test_an_adopted_task_larger_than_the_room_is_seen_through(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(vcpus=2.0)))
        started(world.agent(vcpus=2.0))
        await asyncio.sleep(5)
        world.kill("host-a")
        started(world.agent(vcpus=1.0))
        assert (await world.until_over(limit=110)).status is Status.SUCCEEDED
        assert (await world.task()).attempt == 1

    play(scene, by_try(Behaviour(seconds=100)))


def test_the_time_limit_of_an_adopted_task_holds_though_the_room_is_full(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=2, limits=Limits(timeout=50.0)))
        started(world.agent(vcpus=2.0))
        await asyncio.sleep(5)
        world.kill("host-a")
        started(world.agent(vcpus=1.0))
        await asyncio.sleep(60)
        for index in range(2):
            outcome = (await world.task(index)).outcome
            assert outcome is not None
            assert outcome.kind is Kind.TIMED_OUT

    play(scene, by_try(Behaviour(seconds=1000)))


def test_a_restarted_agent_that_is_full_asks_for_nothing(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=10))
        started(world.agent())
        await asyncio.sleep(5)
        world.kill("host-a")
        await asyncio.sleep(2)
        agent = world.agent()
        started(agent)
        await asyncio.sleep(5)
        assert (await world.queue.backlog())["default"].in_flight == 2
        assert (await world.record()).counts.running == 2

    play(scene, by_try(Behaviour(seconds=100)))


def test_room_taken_by_adopted_tasks_is_free_again_after_them(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=6))
        started(world.agent())
        await asyncio.sleep(5)
        world.kill("host-a")
        started(world.agent())
        assert (await world.until_over(limit=320)).counts.succeeded == 6
        assert world.engine.most_at_once == 2
        assert world.stations["host-a"].room.free == world.stations["host-a"].room.capacity

    play(scene, by_try(Behaviour(seconds=100)))


def test_containers_are_adopted_though_the_engine_takes_two_leases_to_answer(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=2))
        started(world.agent("host-a"))
        await asyncio.sleep(5)
        world.kill("host-a")
        world.engine.recovering = 2 * LEASE
        started(world.agent("host-b"))
        started(world.agent("host-a"))
        assert (await world.until_over()).counts.succeeded == 2
        assert len(world.engine.specs) == 2
        assert [(await world.task(index)).attempt for index in range(2)] == [1, 1]

    play(scene, by_try(Behaviour(seconds=300)))


def test_the_watchdog_sees_a_pulse_while_containers_are_looked_for(play: Play) -> None:
    async def scene(world: World) -> None:
        world.engine.recovering = 2 * LEASE
        started(world.agent())
        await asyncio.sleep(LEASE)
        assert world.pulses["host-a"] > LEASE / 2

    play(scene)


def test_the_log_of_an_attempt_lost_with_its_agent_can_still_be_read(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(5)
        world.kill("host-a")
        for container in list(world.engine.running.values()):
            await container.remove()
        started(world.agent())
        await world.until_over()
        assert bytes(world.logs.by_attempt["job1/0#1"].data) == b"so far\n"

    play(scene, by_try(Behaviour(seconds=1000, output=b"so far\n"), Behaviour()))


def test_the_log_of_an_adopted_container_is_written_once(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(5)
        world.kill("host-a")
        started(world.agent())
        await world.until_over()
        assert bytes(world.logs.by_attempt["job1/0#1"].data) == b"so far\n"

    play(scene, by_try(Behaviour(seconds=100, output=b"so far\n")))


def test_a_restarted_agent_goes_on_to_stop_what_its_predecessor_had_begun_to(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(grace=20.0)))
        agent = world.agent(terms=Terms(drain=0))
        started(agent)
        await asyncio.sleep(5)
        (container,) = world.engine.running.values()
        agent.drain()
        await asyncio.sleep(5)
        world.kill("host-a")
        killed_at = now()
        started(world.agent())
        await asyncio.sleep(1)
        assert container.told_to_stop_at is not None
        assert container.told_to_stop_at >= killed_at
        await asyncio.sleep(24)
        attempt = next(each for each in await world.records.attempts(TaskId("job1", 0)) if each.number == 1)
        assert attempt.outcome is not None
        assert attempt.outcome.kind is Kind.INTERRUPTED

    play(scene, by_try(Behaviour(seconds=1000, survives_term=True), Behaviour(seconds=1000)))


def test_what_a_predecessor_left_is_taken_over_once_its_leases_are_renewed(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(5)
        world.kill("host-a")
        agent = world.agent()
        world.refuse("host-a", "touch")
        with pytest.raises(StorageError):
            await agent.run()
        assert world.taken_over == ["host-a#1"]
        started(world.agent())
        await asyncio.sleep(5)
        assert world.taken_over == ["host-a#1", "host-a#3"]

    play(scene, by_try(Behaviour(seconds=1000)))


@pytest.mark.parametrize(("boot", "ran"), [("first", 100.0), ("second", 200.0)])
def test_the_rest_of_a_time_limit_is_told_by_the_clock_of_the_boot_or_after_another_by_the_walls(
    play: Play, boot: str, ran: float
) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(timeout=200.0)))
        started(world.agent())
        await asyncio.sleep(5)
        (container,) = world.engine.running.values()
        world.kill("host-a")
        journal = world.folder / "host-a" / "journal"
        begun, start = (json.loads(line) for line in journal.read_text().splitlines())
        start["at"] -= 100.0  # by that clock it has run for longer
        journal.write_text(f"{json.dumps(begun)}\n{json.dumps(start)}\n")
        world.boot = boot
        started(world.agent())
        ended = await container.ended
        assert ended.finished_at - ended.started_at == pytest.approx(ran, abs=1.0)

    play(scene, by_try(Behaviour(seconds=1000)))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has an id of its boot")
def test_a_boot_has_an_id() -> None:
    assert this_boot()
    assert this_boot() == this_boot()
