"""What becomes of leases that cannot be renewed and results that cannot be written. Real agents in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from controller.simulation.clock import VirtualTimeLoop, now
from runner.agent.heartbeat import Heartbeat
from runner.agent.holding import Holding
from runner.agent.upkeep import Terms
from runner.model import Attempt, Kind, Lease, Limits, Status, TaskId
from runner.outcomes import StopCause
from tests.agent.fakes import Behaviour
from tests.agent.play import Play, by_try, started
from tests.agent.world import BEAT, LEASE, World, a_job


def test_a_container_whose_lease_cannot_be_renewed_is_stopped_before_another_may_start_it(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(grace=60.0)))
        started(world.agent("host-a"))
        await asyncio.sleep(5)
        world.refuse("host-a", "touch", "extend", "finish", "receive")
        started(world.agent("host-b"))
        refused_at = now()
        await world.until_over(limit=10 * LEASE)
        first, second = await world.records.attempts(TaskId("job1", 0))
        assert (first.outcome.kind, second.outcome.kind) == (Kind.LOST, Kind.SUCCEEDED)
        assert (second.owner.partition("#")[0], (await world.task()).user_failures) == ("host-b", 0)
        stopped_at = (await world.engine.ends[0]).finished_at
        assert refused_at + LEASE / 2 < stopped_at < refused_at + LEASE
        assert stopped_at < second.begun_at

    play(scene, by_try(Behaviour(seconds=1000, survives_term=True), Behaviour()))


def test_a_lease_that_is_renewed_late_but_in_time_is_kept(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(5)
        world.refuse("host-a", "touch", "extend")
        await asyncio.sleep(LEASE / 2)
        world.refuse("host-a")
        await world.until_over()
        assert (await world.task()).attempt == 1

    play(scene, by_try(Behaviour(seconds=100)))


@pytest.mark.parametrize(("exit_code", "kind"), [(137, Kind.LOST), (0, Kind.SUCCEEDED)])
def test_a_kill_while_the_agent_was_frozen_is_a_loss_and_a_success_stands(
    play: Play, exit_code: int, kind: Kind
) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(5)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        (container,) = world.engine.running.values()
        loop.jump(LEASE - 1)  # nothing of the agent's ran meanwhile
        container.end(exit_code, 9 if exit_code else None)
        loop.jump(1)
        await asyncio.sleep(1)
        assert (await world.records.attempts(TaskId("job1", 0)))[0].outcome.kind is kind

    play(scene, by_try(Behaviour(seconds=1000), Behaviour()))


def test_a_kill_while_the_agent_was_frozen_is_a_loss_though_a_drain_would_have_stopped_it_by_then(
    play: Play,
) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(5)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        (container,) = world.engine.running.values()
        loop.jump(LEASE - 1)
        container.end(137, 9)
        loop.jump(2)
        (holding,) = world.stations["host-a"].heartbeat.held
        holding.stop(StopCause.INTERRUPTED, "draining")
        await world.stations["host-a"].heartbeat.beat()
        await asyncio.sleep(1)
        assert (await world.records.attempts(TaskId("job1", 0)))[0].outcome.kind is Kind.LOST
        assert (await world.task()).user_failures == 0

    play(scene, by_try(Behaviour(seconds=1000), Behaviour()))


def test_a_result_that_cannot_be_written_for_a_while_is_written_in_the_end(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(5)
        world.refuse("host-a", "finish")
        await asyncio.sleep(3 * LEASE)
        assert (await world.task()).status is Status.RUNNING
        assert (await world.queue.backlog())["default"].in_flight == 1
        world.refuse("host-a")
        await asyncio.sleep(10)
        task = await world.task()
        assert (task.status, task.attempt) == (Status.SUCCEEDED, 1)
        assert (await world.queue.backlog())["default"].total == 0

    play(scene, by_try(Behaviour(seconds=10)))


def test_a_result_that_is_never_written_costs_its_message_nothing(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent("host-a"))
        await asyncio.sleep(5)
        world.refuse("host-a", "finish", "touch", "extend", "receive")
        await asyncio.sleep(2 * LEASE)
        assert len(world.stations["host-a"].heartbeat) == 0
        started(world.agent("host-b"))
        assert (await world.until_over(limit=10 * LEASE)).counts.succeeded == 1

    play(scene, by_try(Behaviour(seconds=10)))


def test_letting_go_of_one_attempt_keeps_another_at_the_same_task(play: Play) -> None:
    async def scene(world: World) -> None:
        heartbeat = Heartbeat(world.queue, world.ledger, lease=LEASE, beat=BEAT, pulse=lambda: None)
        task = TaskId("job1", 0)
        lease = Lease(task, "default", "1", "token", 1, LEASE)
        first, second = (Holding(lease, Attempt(task, number, number, "h#1", 1), 10.0) for number in (1, 2))
        heartbeat.hold(first)
        heartbeat.hold(second)
        await heartbeat.drop(first)
        assert heartbeat.held == (second,)

    play(scene)


def test_a_draining_agent_reports_that_it_drains(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        agent = world.agent(terms=Terms(drain=100))
        started(agent)
        await asyncio.sleep(3)
        agent.drain()
        await asyncio.sleep(30)
        assert (await world.records.hosts())[0].state == "draining"

    play(scene, by_try(Behaviour(seconds=1000)))


def test_an_unfit_host_does_not_take_even_a_first_batch(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        agent = world.agent()
        world.hosts["host-a"].trouble = "disk low"
        started(agent)
        await asyncio.sleep(30)
        assert world.engine.specs == []
        assert (await world.queue.backlog())["default"].visible == 1

    play(scene)
