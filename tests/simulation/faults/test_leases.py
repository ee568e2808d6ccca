"""Leases: beats that do not get through, agents that are frozen, messages that are lost while their task runs.

| case | fault | scenarios |
|---|---|---|
| 3 | heartbeats fail past the local deadline | `test_a_machine_that_is_cut_off_…` |
| 4 | agent frozen for longer than its lease | `test_a_late_result_…`, `test_the_container_of_…`, `test_a_duplicate_…` |
| 5 | a beat finds the message lost | `test_a_beat_that_…`, `test_a_message_…`, `test_an_attempt_that_…` |
| 7 | a task longer than 12 hours | `test_a_task_that_outlives_…`, `test_what_runs_nowhere_…` |

Real processes are killed and frozen (3, 4) in `tests/faults/test_processes.py`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from controller.simulation.clock import Process
from controller.simulation.faults import Effect, Fault
from controller.simulation.play import play
from controller.simulation.workload import Behaviour, steady
from controller.simulation.world import World
from runner.model import Attempt, Charge, Lease, Status, TaskId
from runner.ports import ContainerSpec
from tests.simulation.faults.proof import proven
from tests.simulation.faults.scenes import (
    BEAT,
    LEASE,
    attempts,
    begun,
    hosts,
    kinds,
    never_two_at_once,
    one_kind,
    one_runs,
    said,
    seen,
    send_again,
    tap,
    tasks_on,
    three_on_two,
    time,
)

EXTEND = "change_message_visibility_batch"


def as_asked(spec: ContainerSpec) -> Behaviour:
    return Behaviour(float(spec.env["SECONDS"]))


# 3: no beat gets through


@pytest.mark.parametrize("effect", [Effect.UNREACHABLE, Effect.REFUSED, Effect.FAILED, Effect.LOST])
def test_a_machine_that_is_cut_off_stops_its_containers_in_time_and_others_take_over(effect: Effect) -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        tasks = tasks_on(full)
        cut_off = time()
        async with world.fault(Fault(effect, process=f"{full.id}/*")):
            await world.until(lambda: all(len(hosts(world, task)) > 1 for task in tasks))
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        for task in tasks:
            stopped = seen(world, "container-ended", task)[0].at
            shown = next(event.at for event in seen(world, "received", task) if event.at > cut_off)
            assert stopped < shown
            assert kinds(world, task) == ["lost", "succeeded"]
            assert full.id not in hosts(world, task)[1:]
            lost = (await attempts(world, job, int(task.partition("/")[2])))[0].outcome
            record = await world.records.task(TaskId(job, int(task.partition("/")[2])))
            assert record is not None
            assert lost.charge in (None, Charge.INFRA)
            assert (record.user_failures, record.infra_failures) == (0, 1)

    proven(scene, settings=one_kind(), behave=steady(100.0))


# 4: the agent is frozen


def test_a_late_result_of_an_agent_that_was_frozen_is_rejected_and_the_newer_one_stands() -> None:
    def behave(spec: ContainerSpec) -> Behaviour:
        return Behaviour(50.0 if spec.name.endswith("-1") else 5.0)

    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        tasks, process = tasks_on(full), full.life.process.name
        full.freeze_agent()
        await world.until(lambda: all(kinds(world, task) == ["lost", "succeeded"] for task in tasks))
        full.thaw_agent()
        await world.until(lambda: len(said(world, "attempt ended", stands="False")) == 2)
        assert {event.by for event in said(world, "attempt ended", stands="False")} == {process}
        assert not [event for task in tasks for event in seen(world, "recorded", task) if event.by == process]
        assert (await world.job(job)).counts.succeeded == 3
        for task in tasks:
            found = await attempts(world, job, int(task.partition("/")[2]))
            assert [str(each.outcome.kind) for each in found] == ["lost", "succeeded"]

    proven(scene, settings=one_kind(), behave=behave)


def test_the_container_of_a_frozen_agent_is_gone_before_another_one_runs() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        task = f"{job}/0"
        machine.freeze_agent()
        await world.until(lambda: len(hosts(world, task)) == 2)
        machine.thaw_agent()
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert never_two_at_once(world, task)
        assert kinds(world, task) == ["lost", "succeeded"]

    proven(scene, settings=one_kind(), behave=steady(400.0))


def test_a_duplicate_starts_no_container_before_that_of_a_silent_agent_is_gone() -> None:
    """The note that a take-over waits for was made right after the last beat, and the agent fell silent right before
    the next."""

    async def scene(world: World) -> None:
        _, full, _ = await three_on_two(world)
        task = tasks_on(full)[0]
        beats = len(list(world.history.of("beat")))

        def beat_of_full() -> bool:
            later = list(world.history.of("beat"))[beats:]
            return any(event.by == full.life.process.name for event in later)

        await world.until(beat_of_full, look=0.1)
        send_again(world, task)
        await asyncio.sleep(BEAT - 1.0)
        full.freeze_agent()
        await world.until(lambda: len(seen(world, "container-started", task)) == 2)
        assert never_two_at_once(world, task)

    proven(scene, settings=one_kind(), behave=steady(300.0))


# 5: a beat finds its message lost


@pytest.mark.parametrize(
    "code", ["MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", "ReceiptHandleIsInvalid"]
)
def test_a_beat_that_finds_the_message_lost_leaves_the_task_to_the_ledger_without_a_crash_or_a_loop(
    code: str,
) -> None:
    """Whoever has the message now is refused as long as beats reach the ledger, so the task may go on."""

    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        listening = tap(world, "sqs")

        def lost(operation: str, given: dict[str, Any]) -> Any:
            if operation != EXTEND:
                return None
            failed = [{"Id": each["Id"], "Code": code, "SenderFault": True} for each in given["Entries"]]
            return {"Successful": [], "Failed": failed}

        listening.instead = lost
        began = time()
        await asyncio.sleep(LEASE)
        beats = listening.of(EXTEND)
        assert said(world, "message lost", task=f"{job}/0")
        assert 0 < len(beats) <= (time() - began) / BEAT + 2
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert len(seen(world, "container-started", f"{job}/0")) == 1
        assert not list(world.history.of("agent-ended", "agent-killed", subject=machine.id))

    proven(scene, settings=one_kind(), behave=steady(100.0))


def test_a_message_that_shows_while_its_task_runs_is_refused_to_others_for_longer_each_time() -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        task, began = tasks_on(full)[0], time()
        cannot_extend = Fault(Effect.DENIED, "sqs", EXTEND, f"{full.id}/*")
        async with world.fault(cannot_extend):
            assert (await world.until_ended(job)).status is Status.SUCCEEDED
        shown = [event.at for event in seen(world, "received", task) if event.at > began]
        pauses = [after - before for before, after in pairwise(shown)]
        assert len(pauses) >= 3
        assert all(later > 1.5 * earlier for earlier, later in pairwise(pauses))
        assert len(seen(world, "begun", task)) == len(seen(world, "container-started", task)) == 1

    proven(scene, settings=one_kind(), behave=steady(900.0))


def test_a_message_of_what_runs_here_that_cannot_be_given_back_is_no_surprise() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        async with world.fault(Fault(Effect.DENIED, "sqs", EXTEND, f"{machine.id}/*")):
            send_again(world, f"{job}/0")
            await asyncio.sleep(10.0)
        assert not said(world, "execution failed")

    proven(scene, settings=one_kind(), behave=steady(60.0))


def test_an_attempt_that_was_taken_over_is_stopped_at_its_next_beat() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        task = TaskId(job, 0)
        stranger = Process("stranger")
        aws, random = world.network.aws(stranger), world.random("stranger")
        ledger = world.of.ledger(stranger, aws, stranger.name, random)
        lease = Lease(task, next(iter(world.routes.channels)), "another", "", 2, 0.0)
        taken = await ledger.begin(lease, (await world.job(job)).job, f"{machine.id}#other")
        taken_at = time()
        assert isinstance(taken, Attempt)
        await world.until(lambda: not machine.site.daemon.running, look=0.1)
        assert time() - taken_at <= BEAT + 1.0
        assert [event.by for event in seen(world, "recorded", str(task))] == [stranger.name]
        await world.until(lambda: said(world, "attempt ended", attempt=f"{task}#1", stands="False"))
        assert not said(world, "execution failed")

    play(scene, settings=one_kind(), behave=steady(400.0))


# 7: longer than a message can be hidden


def test_a_task_that_outlives_its_messages_twelve_hours_runs_to_its_end_exactly_once() -> None:
    """The slowest here, as nothing but the time passes; so beats and steps are rarer than usual."""
    most = 12 * 3600.0

    async def scene(world: World) -> None:
        job = await begun(world, vcpus=2, env={"SECONDS": str(most + 600.0)})
        await asyncio.sleep(most - 300.0)
        other = await world.submit(vcpus=2, env={"SECONDS": "200"})
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        task, received = f"{job}/0", seen(world, "received", f"{job}/0")
        assert len(received) > 1
        assert received[1].at - received[0].at == pytest.approx(most, abs=200.0)
        assert received[1].by != received[0].by
        assert said(world, "refused", task=task, why="held")
        assert len(seen(world, "begun", task)) == len(seen(world, "container-started", task)) == 1
        assert kinds(world, task) == ["succeeded"]
        assert (await world.until_ended(other)).status is Status.SUCCEEDED

    settings = one_kind(maximum=2)
    rarely = replace(
        settings,
        agent=replace(settings.agent, lease=600.0, beat=120.0),
        supervisor=replace(settings.supervisor, interval=300.0, lease=1200.0),
    )
    proven(scene, settings=rarely, behave=as_asked)


def test_what_runs_nowhere_any_more_is_not_left_running_for_ever() -> None:
    """Its message is hidden for ever longer while its owner lives, as after 12 hours. Then all machines fail at once,
    and those that replace them find nothing to do and leave before it shows."""

    def behave(spec: ContainerSpec) -> Behaviour:
        return Behaviour(3000.0 if spec.name.endswith("-1") else 20.0)

    async def scene(world: World) -> None:
        job, full, other = await three_on_two(world)
        task = tasks_on(full)[0]
        async with world.fault(Fault(Effect.DENIED, "sqs", EXTEND, f"{full.id}/*")):
            await world.until(lambda: len(said(world, "refused", task=task, why="held")) == 4)
        for machine in (full, other):
            world.lose(machine)
        assert (await world.until_ended(job, limit=3600.0)).status is Status.SUCCEEDED

    proven(scene, settings=one_kind(), behave=behave)
