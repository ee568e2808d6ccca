"""Why a task ended: by itself, at its limit, by a cancel, a drain or a lost lease. Real agents in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from controller.simulation.clock import now
from runner.agent.upkeep import Terms
from runner.model import Kind, Limits, Outcome, Secret, Status, TaskId
from runner.records import Ending
from tests.agent.fakes import Behaviour
from tests.agent.play import Play, by_job, by_try, started
from tests.agent.world import World, a_job


async def outcome_of(world: World, job_id: str = "job1") -> Outcome:
    outcome = (await world.task(job_id=job_id)).outcome
    assert outcome is not None
    return outcome


async def cancel(world: World, job_id: str = "job1") -> None:
    await world.records.end(job_id, Ending(Status.CANCELLED, "by hand", now()))


def test_a_task_that_ended_before_its_limit_has_succeeded_though_its_sidecars_took_longer(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(timeout=20.0)))
        started(world.agent())
        await world.until_over()
        assert (await outcome_of(world)).kind is Kind.SUCCEEDED

    play(scene, by_try(Behaviour(seconds=15, lingers=10)))


def test_a_task_that_failed_before_its_limit_has_not_timed_out(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(timeout=20.0)))
        started(world.agent())
        await world.until_over()
        outcome = await outcome_of(world)
        assert (outcome.kind, outcome.exit_code) == (Kind.FAILED, 3)

    play(scene, by_try(Behaviour(seconds=15, exit_code=3, lingers=10)))


def test_an_adopted_container_that_ended_in_time_has_not_timed_out(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(timeout=20.0)))
        started(world.agent())
        await asyncio.sleep(5)
        world.kill("host-a")
        await asyncio.sleep(25)
        started(world.agent())
        await world.until_over()
        assert (await outcome_of(world)).kind is Kind.SUCCEEDED

    play(scene, by_try(Behaviour(seconds=15, lingers=30)))


def test_a_task_that_ended_before_a_cancel_keeps_its_result(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(16)
        await cancel(world)
        await asyncio.sleep(20)
        assert (await outcome_of(world)).kind is Kind.SUCCEEDED

    play(scene, by_try(Behaviour(seconds=15, lingers=10)))


def test_a_task_that_ended_before_it_was_interrupted_keeps_its_result(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        agent = world.agent(terms=Terms(drain=1))
        life = started(agent)
        await asyncio.sleep(16)
        agent.drain()
        await life
        assert (await outcome_of(world)).kind is Kind.SUCCEEDED

    play(scene, by_try(Behaviour(seconds=15, lingers=10)))


def test_a_cancelled_task_that_waits_for_room_ends_at_the_next_beat_and_lets_others_in(play: Play) -> None:
    async def scene(world: World) -> None:
        small = Limits(vcpus=1.0)
        await world.submit(a_job(id="long", limits=small))
        started(world.agent(vcpus=2.0))
        await asyncio.sleep(2)
        await world.submit(a_job(id="large", limits=Limits(vcpus=2.0)))
        await asyncio.sleep(2)
        await world.submit(a_job(id="small", limits=small))
        await asyncio.sleep(10)
        assert [spec.job_id for spec in world.engine.specs] == ["long"]
        await cancel(world, "large")
        await asyncio.sleep(5)
        assert [spec.job_id for spec in world.engine.specs] == ["long", "small"]
        assert (await world.record("large")).counts.cancelled == 1

    play(scene, by_job(long=Behaviour(seconds=1000), large=Behaviour(), small=Behaviour()))


def test_drain_does_not_wait_for_a_pull(play: Play) -> None:
    async def scene(world: World) -> None:
        world.engine.preparing = 1000.0
        await world.submit(a_job())
        agent = world.agent(terms=Terms(drain=5))
        life = started(agent)
        await asyncio.sleep(2)
        agent.drain()
        async with asyncio.timeout(10):
            await life
        task = await world.task()
        assert (task.status, task.user_failures) == (Status.RUNNABLE, 0)
        assert world.engine.specs == []
        assert (await world.records.attempts(TaskId("job1", 0)))[0].outcome.kind is Kind.INTERRUPTED

    play(scene)


def test_an_unsupervised_agent_lets_a_task_end_that_takes_longer_than_drain(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=10))
        await started(world.agent(terms=Terms(drain=5, unsupervised=10)))
        counts = (await world.record()).counts
        assert (counts.succeeded, counts.runnable) == (2, 8)
        assert [(await world.task(index)).infra_failures for index in range(2)] == [0, 0]

    play(scene, by_try(Behaviour(seconds=100)))


def test_an_agent_with_a_long_task_takes_work_again_once_somebody_supervises_again(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(id="long"))
        life = started(world.agent(terms=Terms(drain=5, unsupervised=10)))
        await asyncio.sleep(20)
        await world.submit(a_job(id="short"))
        await asyncio.sleep(20)
        assert (await world.record("short")).counts.runnable == 1
        await world.records.lead("me", 2000)
        await world.until_over("short", limit=5)
        await asyncio.sleep(3000)
        assert life.done()

    play(scene, by_job(long=Behaviour(seconds=1000), short=Behaviour()))


@pytest.mark.parametrize("times", [1, 2])
def test_an_unsupervised_agent_that_is_asked_to_stop_is_bound_by_drain(play: Play, times: int) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        agent = world.agent(terms=Terms(drain=30, unsupervised=10))
        life = started(agent)
        await asyncio.sleep(20)
        asked_at = now()
        for _ in range(times):
            agent.drain()
        await life
        assert now() - asked_at == pytest.approx(30 if times == 1 else 0, abs=1)

    play(scene, by_try(Behaviour(seconds=1000)))


def test_a_secret_written_as_metadata_is_masked_live_and_in_the_outcome(play: Play) -> None:
    async def scene(world: World) -> None:
        world.secrets.values = {"TOKEN": "hunter2hunter2"}
        await world.submit(a_job(secrets=(Secret("TOKEN", "env", "TOKEN"),)))
        started(world.agent())
        await asyncio.sleep(10)
        assert (await world.task()).metadata == {"url": "https://u:***@h"}
        await world.until_over()
        assert (await outcome_of(world)).metadata == {"url": "https://u:***@h"}

    play(scene, by_try(Behaviour(seconds=30, metadata=b"url=https://u:hunter2hunter2@h\n")))
