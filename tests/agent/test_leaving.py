"""When, why and how an agent leaves, in virtual time over real queue and ledger: notices, idleness, a signal.

Emulated: the engine, the host and the log store (`fakes`).
"""

from __future__ import annotations

import asyncio
import math

import pytest

from controller.simulation.clock import now
from runner.agent.departure import RELEASE_BEFORE
from runner.agent.upkeep import ABANDONED, GIVEN_UP_AFTER, Terms
from runner.codec import encode_note
from runner.errors import EngineUnavailable, RunnerError
from runner.model import Kind, Limits, Status, TaskId
from runner.ports import Notice
from runner.records import Note
from tests.agent.fakes import Behaviour, FakeEngine, FakeHost
from tests.agent.play import Play, by_try, started
from tests.agent.world import LEASE, World, a_job

TASK = TaskId("job1", 0)
FOR_EVER = 1_000_000.0
CONFIRMED = Terms(drain=10, idle=30, confirm=60)


async def given_notice(world: World, seconds: float | None, host: str = "host-a") -> float:
    """Returns when the host ends."""
    at = None if seconds is None else now() + seconds
    world.hosts[host].going = Notice("spot reclaim", at)
    return at or math.inf


async def freed_at(world: World) -> float:
    """When its message could be received again."""
    while (await world.task()).status is not Status.RUNNABLE:
        await asyncio.sleep(0.25)
    while (await world.queue.backlog())["default"].visible == 0:
        await asyncio.sleep(0.25)
    return now()


async def lead(world: World, demand: int, note: str = "") -> None:
    await world.records.lead("me", FOR_EVER)
    await world.records.publish("me", demand, note)


def test_a_noticed_agent_stops_receiving_within_five_seconds(play: Play) -> None:
    async def scene(world: World) -> None:
        started(world.agent())
        await asyncio.sleep(3)
        await given_notice(world, 120)
        await asyncio.sleep(5)
        await world.submit(a_job())
        await asyncio.sleep(60)
        assert world.engine.specs == []

    play(scene)


def test_what_runs_at_a_notice_is_free_twenty_seconds_before_the_end(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(grace=30)))
        started(world.agent())
        await asyncio.sleep(3)
        ends_at = await given_notice(world, 120)
        assert await freed_at(world) <= ends_at - RELEASE_BEFORE
        assert [a.outcome.kind for a in await world.records.attempts(TASK)] == [Kind.INTERRUPTED]

    play(scene, by_try(Behaviour(seconds=FOR_EVER, survives_term=True)))


def test_at_a_notice_a_task_has_all_its_grace_time_and_no_less_time_to_run_than_that_leaves(
    play: Play,
) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(grace=30)))
        started(world.agent())
        await asyncio.sleep(3)
        (container,) = world.engine.running.values()
        ends_at = await given_notice(world, 120)
        await freed_at(world)
        latest = ends_at - RELEASE_BEFORE - 30
        assert container.told_to_stop_at is not None
        assert latest - 10 <= container.told_to_stop_at <= latest

    play(scene, by_try(Behaviour(seconds=FOR_EVER, survives_term=True)))


def test_a_grace_longer_than_a_notice_is_cut_to_what_is_left(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(grace=3600)))
        started(world.agent())
        await asyncio.sleep(3)
        ends_at = await given_notice(world, 120)
        freed = await freed_at(world)
        assert ends_at - RELEASE_BEFORE - 10 <= freed <= ends_at - RELEASE_BEFORE

    play(scene, by_try(Behaviour(seconds=FOR_EVER, survives_term=True)))


def test_what_ends_in_time_after_a_notice_is_not_interrupted(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(grace=5)))
        started(world.agent(terms=Terms(drain=1)))
        await asyncio.sleep(3)
        await given_notice(world, 120)
        record = await world.until_over(limit=100)
        assert record.counts.succeeded == 1

    play(scene, by_try(Behaviour(seconds=80)))


def test_a_notice_that_comes_too_late_interrupts_at_once(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(3)
        noticed_at = now()
        await given_notice(world, 5)
        assert await freed_at(world) - noticed_at < 4

    play(scene, by_try(Behaviour(seconds=FOR_EVER, survives_term=True)))


def test_after_a_rebalance_recommendation_what_runs_is_finished_however_long_it_takes(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=3))
        life = started(world.agent(terms=Terms(drain=1)))
        await asyncio.sleep(3)
        await given_notice(world, None)
        await life
        assert (await world.record()).counts.succeeded == 2

    play(scene, by_try(Behaviour(seconds=20_000)))


def test_a_reclaim_after_a_recommendation_still_interrupts_in_time(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(3)
        await given_notice(world, None)
        await asyncio.sleep(600)
        ends_at = await given_notice(world, 120)
        assert await freed_at(world) <= ends_at - RELEASE_BEFORE

    play(scene, by_try(Behaviour(seconds=FOR_EVER)))


def test_an_image_that_is_still_pulled_at_a_notice_holds_nothing_up(play: Play) -> None:
    async def scene(world: World) -> None:
        world.engine.preparing = 3600.0
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(3)
        ends_at = await given_notice(world, 120)
        assert await freed_at(world) <= ends_at - RELEASE_BEFORE

    play(scene)


@pytest.mark.parametrize("seconds", [120, None])
def test_a_host_that_is_going_away_is_given_back_once_it_is_empty(play: Play, seconds: float | None) -> None:
    async def scene(world: World) -> None:
        life = started(world.agent())
        await asyncio.sleep(3)
        await given_notice(world, seconds)
        await life
        assert world.hosts["host-a"].retired

    play(scene)


def test_a_ledger_that_hangs_does_not_keep_a_notice_from_being_seen(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        agent = world.agent()
        world.stations["host-a"].ledger.hang("report", "supervision")  # type: ignore[attr-defined]
        started(agent)
        await asyncio.sleep(10)
        ends_at = await given_notice(world, 120)
        assert await freed_at(world) <= ends_at - RELEASE_BEFORE

    play(scene, by_try(Behaviour(seconds=FOR_EVER)))


def test_an_agent_that_is_stopped_by_hand_leaves_its_machine(play: Play) -> None:
    async def scene(world: World) -> None:
        agent = world.agent()
        life = started(agent)
        await asyncio.sleep(1)
        agent.drain()
        await life
        assert not world.hosts["host-a"].retired

    play(scene)


def test_a_draining_agent_says_so_until_its_end(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(1)
        await given_notice(world, None)
        await asyncio.sleep(60)
        (report,) = await world.records.hosts()
        assert (report.state, report.note) == ("draining", "spot reclaim")

    play(scene, by_try(Behaviour(seconds=1000)))


def test_an_idle_agent_leaves_after_two_readings_a_minute_apart_and_gives_its_host_back(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 0)
        began = now()
        await started(world.agent(terms=CONFIRMED))
        assert 60 < now() - began < 120
        assert world.hosts["host-a"].retired

    play(scene)


def test_one_reading_of_demand_between_two_empty_ones_keeps_an_agent(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 0)
        life = started(world.agent(terms=CONFIRMED))
        for _ in range(20):
            await asyncio.sleep(40)
            await lead(world, 1)
            await asyncio.sleep(15)
            await lead(world, 0)
        assert not life.done()

    play(scene)


def test_where_nobody_leads_an_agent_that_wants_two_readings_stays(play: Play) -> None:
    async def scene(world: World) -> None:
        life = started(world.agent(terms=CONFIRMED))
        await asyncio.sleep(ABANDONED - 10)
        assert not life.done()

    play(scene)


def test_where_nobody_leads_for_half_an_hour_an_idle_agent_goes(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.records.lead("me", 30)
        await world.records.publish("me", 1, "")
        async with asyncio.timeout(ABANDONED + 130):
            await started(world.agent(terms=CONFIRMED))
        assert world.hosts["host-a"].retired

    play(scene)


def test_where_nobody_leads_an_agent_at_work_stays(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        life = started(world.agent(terms=CONFIRMED))
        await asyncio.sleep(2 * ABANDONED)
        assert not life.done()

    play(scene, lambda _: Behaviour(seconds=3 * ABANDONED))


def test_an_idle_agent_goes_also_if_the_ledger_does_not_answer(play: Play) -> None:
    async def scene(world: World) -> None:
        agent = world.agent(terms=CONFIRMED)
        world.refuse("host-a", "supervision")
        async with asyncio.timeout(ABANDONED + 100):
            await started(agent)

    play(scene)


def test_what_was_read_while_a_task_ran_counts(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 0)
        await world.submit(a_job())
        life = started(world.agent(terms=CONFIRMED))
        await world.until_over()
        await asyncio.sleep(25)
        assert not life.done()
        async with asyncio.timeout(20):
            await life

    play(scene, by_try(Behaviour(seconds=100)))


def test_after_a_short_task_the_two_readings_still_lie_a_minute_apart(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 0)
        await world.submit(a_job())
        began = now()
        await started(world.agent(terms=CONFIRMED))
        assert now() - began > 60

    play(scene, by_try(Behaviour(seconds=5)))


def test_demand_that_shows_when_the_last_task_has_ended_keeps_an_agent(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 0)
        await world.submit(a_job())
        life = started(world.agent(terms=CONFIRMED))
        await world.until_over()
        await asyncio.sleep(15)
        await lead(world, 1)
        await asyncio.sleep(600)
        assert not life.done()

    play(scene, by_try(Behaviour(seconds=100)))


def test_who_found_a_task_held_by_a_silent_agent_stays_to_take_it_over(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 0)
        await world.submit(a_job())
        started(world.agent("host-a"))
        await asyncio.sleep(5)
        world.kill("host-a")
        await asyncio.sleep(20)
        life = started(world.agent("host-b", terms=Terms(drain=10, idle=3, confirm=20)))
        record = await world.until_over()
        assert record.status is Status.SUCCEEDED
        await life

    play(scene, by_try(Behaviour(seconds=FOR_EVER), Behaviour(seconds=5)))


def test_demand_on_channels_that_an_agent_does_not_serve_does_not_keep_it(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 7, encode_note(Note(demand={"elsewhere": 7})))
        async with asyncio.timeout(120):
            await started(world.agent(terms=CONFIRMED))

    play(scene)


def test_an_idle_agent_stays_where_its_fleet_is_at_its_minimum(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 0)
        agent = world.agent(terms=CONFIRMED)
        world.hosts["host-a"].needed = True
        life = started(agent)
        await asyncio.sleep(3600)
        assert not life.done()

    play(scene)


def test_a_host_is_kept_while_it_is_busy_and_not_after(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await world.until_over()
        await asyncio.sleep(5)
        assert world.hosts["host-a"].busy == [False, True, False]

    play(scene, by_try(Behaviour(seconds=10)))


def test_a_full_disk_is_mended_before_anybody_has_to_look(play: Play) -> None:
    def cleaned(host: FakeHost) -> None:
        host.trouble = ""

    async def scene(world: World) -> None:
        agent = world.agent()
        host = world.hosts["host-a"]
        host.trouble, host.mends = "disk low", cleaned
        started(agent)
        await world.submit(a_job())
        await world.until_over(limit=10)

    play(scene)


def test_an_idle_machine_does_not_go_before_its_logs_are_stored(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 0)
        world.logs.away_until = now() + 900
        life = started(world.agent(terms=CONFIRMED))
        await asyncio.sleep(600)
        assert (life.done(), world.hosts["host-a"].retired) == (False, False)
        await life
        assert world.logs.flushed
        assert world.hosts["host-a"].retired

    play(scene)


def test_while_its_logs_are_not_stored_an_idle_machine_takes_what_comes(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 0)
        world.logs.away_until = FOR_EVER + now()
        started(world.agent(terms=CONFIRMED))
        await asyncio.sleep(600)
        await world.submit(a_job())
        await world.until_over(limit=10)

    play(scene)


def test_logs_that_nobody_ever_takes_keep_an_idle_machine_for_an_hour_at_most(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 0)
        world.logs.away_until = FOR_EVER + now()
        async with asyncio.timeout(3600 + 300):
            await started(world.agent(terms=CONFIRMED))
        assert world.hosts["host-a"].retired

    play(scene)


@pytest.mark.parametrize(("seconds", "stored"), [(120, 0), (None, 1)])
def test_a_machine_that_goes_waits_for_its_logs_unless_it_has_no_time(
    play: Play, seconds: float | None, stored: int
) -> None:
    async def scene(world: World) -> None:
        world.logs.away_until = now() + 600
        life = started(world.agent())
        await asyncio.sleep(3)
        await given_notice(world, seconds)
        await life
        assert world.logs.flushed == stored
        assert (now() >= world.logs.away_until) == bool(stored)

    play(scene)


def test_one_that_waits_for_its_logs_goes_on_to_report(play: Play) -> None:
    async def scene(world: World) -> None:
        world.logs.away_until = now() + 900
        started(world.agent())
        await asyncio.sleep(3)
        await given_notice(world, None)
        await asyncio.sleep(600)
        (report,) = await world.records.hosts()
        assert report.state == "draining"
        assert now() - report.seen_at < 60

    play(scene)


def test_work_that_comes_while_the_fleet_is_asked_keeps_a_machine(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 0)
        agent = world.agent(terms=CONFIRMED)
        world.hosts["host-a"].thinks = 10
        life = started(agent)
        while not world.hosts["host-a"].asked:
            await asyncio.sleep(0.5)
        await world.submit(a_job())
        await asyncio.sleep(60)
        (report,) = await world.records.hosts()
        assert (report.state, life.done()) == ("running", False)

    play(scene, by_try(Behaviour(seconds=1000)))


def test_an_agent_gives_signs_of_life_until_its_machine_is_gone(play: Play) -> None:
    async def scene(world: World) -> None:
        await lead(world, 0)
        agent = world.agent(terms=CONFIRMED)
        world.hosts["host-a"].retires_in = 300
        life = started(agent)
        while world.hosts["host-a"].busy[-1:] != [False] or not world.logs.flushed:
            await asyncio.sleep(1)
        await asyncio.sleep(100)
        before = world.pulses["host-a"]
        await asyncio.sleep(100)
        assert not life.done()
        assert world.pulses["host-a"] >= before + 99

    play(scene)


def test_an_agent_that_is_told_to_stop_does_not_grant_a_longer_grace_than_it_has(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(grace=3600)))
        agent = world.agent(terms=Terms(drain=60, grace=30))
        life = started(agent)
        await asyncio.sleep(3)
        (container,) = world.engine.running.values()
        told_at = now()
        agent.drain()
        await life
        assert container.told_to_stop_at is not None
        assert container.told_to_stop_at - told_at >= 60
        assert now() - told_at < 95

    play(scene, by_try(Behaviour(seconds=FOR_EVER, survives_term=True)))


def test_an_agent_that_broke_says_so_in_the_end(play: Play) -> None:
    def breaks(_: FakeHost) -> None:
        raise ZeroDivisionError

    async def scene(world: World) -> None:
        agent = world.agent()
        host = world.hosts["host-a"]
        host.trouble, host.mends = "disk low", breaks
        with pytest.raises(RunnerError, match="cannot go on"):
            await started(agent)
        assert not host.retired

    play(scene)


def test_a_task_in_doubt_stays_so_until_its_message_shows_again_though_it_could_not_be_begun(
    play: Play,
) -> None:
    async def scene(world: World) -> None:
        agent = world.agent()
        doubted = world.stations["host-a"].doubted
        doubted[TASK] = now()
        world.refuse("host-a", "begin")
        await world.submit(a_job())
        running, begun_at = started(agent), asyncio.get_running_loop().time()
        await asyncio.sleep(3)
        assert doubted[TASK] == pytest.approx(begun_at + LEASE, abs=2.5)
        running.cancel()

    play(scene)


class Stuck(FakeEngine):
    """Once `away`, it never answers again: it says so when it is asked, and containers cannot be stopped."""

    away = False

    async def check(self) -> str:
        return "it does not answer" if self.away else ""


async def with_a_stuck_engine(world: World, seconds: float) -> asyncio.Task[None]:
    """For so long, with a task that would run for ever; then the machine is to go, nobody says when."""
    engine = Stuck(lambda _: Behaviour(seconds=FOR_EVER, on_stop=EngineUnavailable("it does not answer")))
    agent = world.agent()
    world.stations["host-a"].engines["process"] = engine  # type: ignore[index]
    await world.submit(a_job())
    running = started(agent)
    await asyncio.sleep(10)
    engine.away = True
    await asyncio.sleep(seconds)
    await given_notice(world, None)
    await asyncio.sleep(60)
    return running


def test_a_machine_that_is_to_go_waits_for_an_engine_that_is_away_for_a_while(play: Play) -> None:
    async def scene(world: World) -> None:
        running = await with_a_stuck_engine(world, GIVEN_UP_AFTER / 2)
        assert not running.done()
        assert not world.hosts["host-a"].retired

    play(scene)


def test_a_machine_that_is_to_go_leaves_what_no_engine_can_end_to_others_without_a_record(play: Play) -> None:
    async def scene(world: World) -> None:
        running = await with_a_stuck_engine(world, GIVEN_UP_AFTER)
        assert running.done()
        assert world.hosts["host-a"].retired
        assert (await world.task()).status is Status.RUNNING
        started(world.agent("host-b"))
        assert (await world.until_over(limit=4 * LEASE)).status is Status.SUCCEEDED
        first, _ = await world.records.attempts(TASK)
        assert first.outcome is not None
        assert (first.outcome.kind, (await world.task()).user_failures) == (Kind.LOST, 0)

    play(scene)


def test_leases_are_renewed_while_a_machine_goes_with_what_no_engine_can_end(play: Play) -> None:
    async def scene(world: World) -> None:
        going = asyncio.create_task(with_a_stuck_engine(world, GIVEN_UP_AFTER))
        await asyncio.sleep(GIVEN_UP_AFTER)
        world.hosts["host-a"].retires_in = 5 * LEASE
        started(world.agent("host-b"))
        await going
        await asyncio.sleep(3 * LEASE)
        assert await world.records.attempts(TASK) == []
        assert (await world.task()).attempt == 1

    play(scene)


def test_an_agent_alone_that_is_asked_to_stop_waits_for_an_engine_however_long_it_is_away(play: Play) -> None:
    async def scene(world: World) -> None:
        engine = Stuck(lambda _: Behaviour(seconds=FOR_EVER, on_stop=EngineUnavailable("it does not answer")))
        agent = world.agent()
        world.stations["host-a"].engines["process"] = engine  # type: ignore[index]
        await world.submit(a_job())
        running = started(agent)
        await asyncio.sleep(10)
        engine.away = True
        agent.drain()
        await asyncio.sleep(3 * GIVEN_UP_AFTER)
        assert not running.done()
        assert (await world.task()).status is Status.RUNNING

    play(scene)
