"""Real agents in virtual time: the loop, executions, heartbeat, recovery and drain, over SQLite in memory.

Emulated: the engine, the host and the log store (`fakes`). Queue, ledger and everything in `runner.agent` are real.
"""

from __future__ import annotations

import asyncio

import pytest

from controller.simulation.clock import now
from runner.agent.upkeep import Terms
from runner.array import Array
from runner.errors import EngineError, EngineUnavailable, ImageError, StartError
from runner.model import Kind, Limits, Retry, Rule, Secret, Status, TaskId
from runner.ports import Notice
from runner.records import Ending
from tests.agent.fakes import Behaviour
from tests.agent.play import Play, by_try, started
from tests.agent.world import LEASE, World, a_job


def test_every_task_of_a_job_runs_once_and_its_message_is_gone(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=20))
        started(world.agent())
        record = await world.until_over()
        assert record.counts.succeeded == 20
        assert sorted(spec.env["RUNNER_TASK_INDEX"] for spec in world.engine.specs) == sorted(
            map(str, range(20))
        )
        await asyncio.sleep(1)
        assert (await world.queue.backlog())["default"].total == 0

    play(scene)


def test_no_more_run_at_once_than_fit_the_machine(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=10))
        started(world.agent(vcpus=3.0))
        await world.until_over()
        assert world.engine.most_at_once == 3

    play(scene)


def test_a_job_never_has_more_at_once_than_its_max_parallel(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=10, max_parallel=2))
        started(world.agent(vcpus=8.0))
        await asyncio.sleep(60)
        assert world.engine.most_at_once == 2
        assert len(world.engine.specs) == 2  # the supervisor, who would send the next ones, does not run here

    play(scene)


def test_a_failed_attempt_is_tried_again_after_its_backoff_and_both_are_kept(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(retry=Retry(retries=1, backoff=60.0)))
        started(world.agent())
        assert (await world.until_over()).counts.succeeded == 1
        first, second = await world.records.attempts(TaskId("job1", 0))
        assert (first.outcome.kind, second.outcome.kind) == (Kind.FAILED, Kind.SUCCEEDED)
        assert second.begun_at - (first.outcome.finished_at or 0) >= 30

    play(scene, by_try(Behaviour(exit_code=7, output=b"one\ntwo\n"), Behaviour()))


def test_a_failure_keeps_its_exit_code_and_last_lines(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await world.until_over()
        outcome = (await world.task()).outcome
        assert outcome is not None
        assert (outcome.kind, outcome.exit_code, outcome.tail) == (Kind.FAILED, 7, ("one", "two"))

    play(scene, by_try(Behaviour(exit_code=7, output=b"one\ntwo\n")))


def test_the_time_limit_counts_from_the_start_and_is_no_success(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(timeout=20.0, grace=5.0)))
        started(world.agent())
        await world.until_over()
        outcome = (await world.task()).outcome
        assert outcome is not None
        assert outcome.kind is Kind.TIMED_OUT
        assert outcome.duration == pytest.approx(20, abs=0.1)

    play(scene, by_try(Behaviour(seconds=500, exit_on_term=0)))


def test_a_task_that_ignores_sigterm_is_killed_after_its_grace(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(timeout=20.0, grace=5.0)))
        started(world.agent())
        await world.until_over()
        outcome = (await world.task()).outcome
        assert outcome is not None
        assert outcome.duration == pytest.approx(25, abs=0.1)

    play(scene, by_try(Behaviour(seconds=500, survives_term=True)))


def test_out_of_memory_is_tried_again_with_more_memory_by_rule(play: Play) -> None:
    async def scene(world: World) -> None:
        rule = Rule(retry=True, kinds=frozenset({Kind.OUT_OF_MEMORY}), memory_factor=2.0)
        await world.submit(a_job(retry=Retry(retries=3, rules=(rule,))))
        started(world.agent())
        assert (await world.until_over()).counts.succeeded == 1
        assert [spec.memory // 1024**2 for spec in world.engine.specs] == [512, 1024]

    play(scene, by_try(Behaviour(exit_code=137, out_of_memory=True), Behaviour()))


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ImageError("no such image"), Kind.IMAGE_ERROR), (StartError("no sh"), Kind.START_ERROR)],
)
def test_what_cannot_start_fails_without_retry(play: Play, error: ImageError, kind: Kind) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(retry=Retry(retries=5)))
        started(world.agent())
        await world.until_over()
        task = await world.task()
        assert task.outcome is not None
        assert (task.status, task.outcome.kind, task.tries) == (Status.FAILED, kind, 1)
        assert str(error) in task.reason

    play(scene, by_try(Behaviour(error=error)))


def test_an_engine_that_does_not_answer_costs_the_user_no_retry(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(retry=Retry(retries=0)))
        started(world.agent())
        assert (await world.until_over()).status is Status.SUCCEEDED
        task = await world.task()
        assert (task.user_failures, task.infra_failures) == (0, 2)

    trouble = Behaviour(error=EngineUnavailable("no answer"))
    play(scene, by_try(trouble, trouble, Behaviour()))


def test_a_container_the_engine_loses_runs_again_at_the_infrastructures_cost(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        assert (await world.until_over()).status is Status.SUCCEEDED
        assert (await world.records.attempts(TaskId("job1", 0)))[0].outcome.kind is Kind.LOST

    play(scene, by_try(Behaviour(vanishes=True), Behaviour()))


def test_losing_sight_of_a_container_is_a_loss_and_not_a_crash(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        assert (await world.until_over()).status is Status.SUCCEEDED
        assert (await world.records.attempts(TaskId("job1", 0)))[0].outcome.kind is Kind.LOST

    play(scene, by_try(Behaviour(on_wait=EngineError("gone")), Behaviour()))


def test_a_cancelled_job_stops_at_the_next_beat(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=5))
        started(world.agent())
        await asyncio.sleep(10)
        await world.records.end("job1", Ending(Status.CANCELLED, "by hand", now()))
        record = await world.until_over(limit=10)
        assert (record.status, record.counts.cancelled) == (Status.CANCELLED, 5)
        assert len(world.engine.specs) == 2

    play(scene, by_try(Behaviour(seconds=1000)))


def test_a_task_much_longer_than_its_lease_runs_once(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent("host-a"))
        await asyncio.sleep(1)
        started(world.agent("host-b"))
        await world.until_over(limit=10_000)
        assert len(world.engine.specs) == 1

    play(scene, by_try(Behaviour(seconds=3000)))


def test_a_duplicate_message_starts_no_second_container(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent("host-a"))
        started(world.agent("host-b"))
        await asyncio.sleep(5)
        await world.queue.send("default", [TaskId("job1", 0)] * 3)
        await world.until_over()
        assert len(world.engine.specs) == 1
        await asyncio.sleep(200)
        assert (await world.queue.backlog())["default"].total == 0

    play(scene, by_try(Behaviour(seconds=300)))


def test_a_message_after_the_record_is_deleted_and_changes_nothing(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await world.until_over()
        before = await world.task()
        await world.queue.send("default", [TaskId("job1", 0)])
        await asyncio.sleep(5)
        assert await world.task() == before
        assert (await world.queue.backlog())["default"].total == 0

    play(scene)


def test_a_message_for_a_job_nobody_knows_is_dealt_with_once(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.queue.send("default", [TaskId("nosuchjob", 0)])
        started(world.agent())
        await asyncio.sleep(5)
        assert (await world.queue.backlog())["default"].total == 0

    play(scene)


def test_a_killed_agents_tasks_are_taken_over_by_another_host(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=2))
        started(world.agent("host-a"))
        await asyncio.sleep(5)
        world.kill("host-a")
        started(world.agent("host-b"))
        record = await world.until_over(limit=10 * LEASE + 100)
        assert record.counts.succeeded == 2
        assert [a.outcome.kind for a in await world.records.attempts(TaskId("job1", 0))] == [
            Kind.LOST,
            Kind.SUCCEEDED,
        ]

    play(scene, by_try(Behaviour(seconds=100), Behaviour(seconds=1)))


def test_a_restarted_agent_adopts_the_containers_it_finds(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=2))
        started(world.agent("host-a"))
        await asyncio.sleep(5)
        world.kill("host-a")
        started(world.agent("host-a"))
        record = await world.until_over()
        assert record.counts.succeeded == 2
        assert len(world.engine.specs) == 2
        assert (await world.task()).infra_failures == 0

    play(scene, by_try(Behaviour(seconds=100)))


def test_an_adopted_containers_time_limit_counts_from_its_own_start(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(timeout=60.0)))
        started(world.agent("host-a"))
        await asyncio.sleep(40)
        world.kill("host-a")
        started(world.agent("host-a"))
        await world.until_over()
        outcome = (await world.task()).outcome
        assert outcome is not None
        assert outcome.kind is Kind.TIMED_OUT
        assert outcome.duration == pytest.approx(60, abs=1)

    play(scene, by_try(Behaviour(seconds=1000)))


def test_what_a_restarted_agent_cannot_find_runs_again_at_once(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent("host-a"))
        await asyncio.sleep(5)
        world.kill("host-a")
        for container in list(world.engine.running.values()):
            await container.remove()
        restarted_at = now()
        started(world.agent("host-a"))
        await world.until_over()
        lost, succeeded = await world.records.attempts(TaskId("job1", 0))
        assert lost.outcome.kind is Kind.LOST
        assert succeeded.begun_at - restarted_at < 2

    play(scene, by_try(Behaviour(seconds=1000), Behaviour()))


def test_a_restarted_agent_removes_containers_that_are_not_its_any_more(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent("host-a"))
        await asyncio.sleep(5)
        world.kill("host-a")
        started(world.agent("host-b"))
        while (await world.task()).attempt < 2:
            await asyncio.sleep(1)
        started(world.agent("host-a"))
        await asyncio.sleep(1)
        assert [c.spec.host for c in world.engine.running.values()] == ["host-b"]

    play(scene, by_try(Behaviour(seconds=5000)))


def test_a_draining_agent_lets_short_tasks_end_and_takes_no_more(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=10))
        agent = world.agent(terms=Terms(drain=60))
        life = started(agent)
        await asyncio.sleep(1)
        agent.drain()
        await life
        assert (await world.record()).counts.succeeded == 2

    play(scene, by_try(Behaviour(seconds=30)))


def test_a_draining_agent_interrupts_what_does_not_end_and_it_runs_elsewhere_at_once(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        agent = world.agent("host-a", terms=Terms(drain=10))
        life = started(agent)
        await asyncio.sleep(1)
        agent.drain()
        await life
        task = await world.task()
        assert (task.status, task.user_failures, task.infra_failures) == (Status.RUNNABLE, 0, 1)
        restarted_at = now()
        started(world.agent("host-b"))
        await world.until_over()
        assert (await world.task()).begun_at == pytest.approx(restarted_at, abs=2)

    play(scene, by_try(Behaviour(seconds=1000), Behaviour()))


def test_asked_twice_an_agent_does_not_wait(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        agent = world.agent(terms=Terms(drain=1000))
        life = started(agent)
        await asyncio.sleep(1)
        agent.drain()
        await asyncio.sleep(1)
        asked_at = now()
        agent.drain()
        await life
        assert now() - asked_at < 2

    play(scene, by_try(Behaviour(seconds=5000)))


def test_an_agent_whose_host_is_going_away_drains(play: Play) -> None:
    async def scene(world: World) -> None:
        agent = world.agent(terms=Terms(drain=5))
        life = started(agent)
        await asyncio.sleep(3)
        world.hosts["host-a"].going = Notice("spot reclaim", now() + 120)
        async with asyncio.timeout(10):
            await life

    play(scene)


def test_an_unfit_host_takes_nothing_until_it_is_fit_again(play: Play) -> None:
    async def scene(world: World) -> None:
        life = world.agent()
        world.hosts["host-a"].trouble = "disk low"
        started(life)
        await asyncio.sleep(3)
        await world.submit(a_job())
        await asyncio.sleep(60)
        assert world.engine.specs == []
        assert (await world.records.hosts())[0].note == "disk low"
        world.hosts["host-a"].trouble = ""
        await world.until_over(limit=30)

    play(scene)


def test_a_failure_on_an_unfit_host_is_not_charged_to_the_user(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(1)
        world.hosts["host-a"].trouble = "disk low"
        await asyncio.sleep(20)
        task = await world.task()
        assert (task.status, task.infra_failures) == (Status.RUNNABLE, 1)

    play(scene, by_try(Behaviour(seconds=10, exit_code=1)))


def test_an_idle_agent_without_demand_retires(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.records.lead("me", 1000)
        await world.records.publish("me", 0)
        life = started(world.agent(terms=Terms(drain=10, idle=30)))
        async with asyncio.timeout(40):
            await life

    play(scene)


def test_an_idle_agent_stays_while_demand_is_published(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.records.lead("me", 10_000)
        await world.records.publish("me", 5)
        life = started(world.agent(terms=Terms(drain=10, idle=30)))
        await asyncio.sleep(600)
        assert not life.done()

    play(scene)


def test_a_busy_agent_that_nobody_supervises_ends_what_it_has_and_leaves(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(tasks=10))
        life = started(world.agent(terms=Terms(drain=1000, unsupervised=10)))
        await life
        assert (await world.record()).counts.succeeded == 2

    play(scene, by_try(Behaviour(seconds=100)))


def test_a_task_larger_than_the_machine_fails_with_the_reason_and_blocks_nobody(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(limits=Limits(vcpus=64), retry=Retry(infra_retries=1)))
        started(world.agent())
        await world.until_over()
        assert "needs 64 vCPUs" in (await world.records.attempts(TaskId("job1", 0)))[0].outcome.reason

    play(scene)


def test_an_item_reaches_its_task(play: Play) -> None:
    async def scene(world: World) -> None:
        world.manifests.items = ["a b", "c\nd"]
        await world.submit(a_job(array=Array.of_size(2, "m")))
        started(world.agent())
        await world.until_over()
        seen = {spec.env["RUNNER_TASK_INDEX"]: spec.env["RUNNER_ITEM"] for spec in world.engine.specs}
        assert seen == {"0": "a b", "1": "c\nd"}

    play(scene)


def test_a_secret_reaches_its_task_and_no_record_or_log(play: Play) -> None:
    async def scene(world: World) -> None:
        world.secrets.values = {"TOKEN": "hunter2hunter2"}
        await world.submit(a_job(secrets=(Secret("TOKEN", "env", "TOKEN"),)))
        started(world.agent())
        await world.until_over()
        assert world.engine.specs[0].env["TOKEN"] == "hunter2hunter2"
        assert "hunter2" not in repr(world.engine.specs[0])
        assert "hunter2" not in repr(await world.task())
        assert b"hunter2" not in world.logs.by_attempt["job1/0#1"].data

    play(scene, by_try(Behaviour(exit_code=1, output=b"token is hunter2hunter2\n")))


def test_live_metadata_is_in_the_record_while_the_task_runs_and_after(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(10)
        assert (await world.task()).metadata == {"rows": "12"}
        await world.until_over()
        outcome = (await world.task()).outcome
        assert outcome is not None
        assert outcome.metadata == {"rows": "12"}

    play(scene, by_try(Behaviour(seconds=30, metadata=b"rows=12\n")))
