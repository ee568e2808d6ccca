"""The agent and what it runs: it dies, containers end in every way, output comes in every form.

| case | fault | scenarios |
|---|---|---|
| 20 | agent killed with -9 | `…_restarted_agent_…`, `…_killed_again_…`, `test_what_a_dead_agent_left_…` |
| 24 | out of memory | `test_an_end_for_want_of_memory_…`, `test_a_kill_that_nobody_…` |
| 25 | a time limit, SIGTERM ignored | `test_what_ignores_sigterm_…`, `…_after_the_time_limit_…`, `…_own_124_…` |
| 26 | codes that engines use, too | `test_a_code_that_…`, `test_what_cannot_be_started_…`, `…_fails_to_start_…` |
| 29 | a flood of output, the log service down | `test_a_flood_…`, `test_without_the_log_services_…` |
| 30 | output that is no text | `test_whatever_a_task_writes_…` |

Also with real processes that are killed (20): `tests/faults/test_processes.py`, `tests/docker/test_recovery.py`. With a
real Docker engine: `tests/docker/test_limits.py` (24), `tests/engines` (25, 26, 29, 30: there also a line of 100 MB).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from controller.simulation.faults import Effect, Fault
from controller.simulation.machine import RESTART
from controller.simulation.workload import Behaviour, steady
from controller.simulation.world import World
from runner.agent.capture import TAIL_LINE_LENGTH, TAIL_LINES
from runner.errors import EngineUnavailable, StartError
from runner.model import Outcome, Status, TaskId
from runner.records import Recorded
from runner.settings import FLEET_AGENT, Settings
from tests.simulation.faults.proof import proven
from tests.simulation.faults.scenes import (
    LEASE,
    attempts,
    hosts,
    kinds,
    one_kind,
    one_runs,
    seen,
    tasks_on,
    three_on_two,
    time,
)

FOREVER = 10**6
SOON = 5.0


async def the_outcome(world: World, job: str) -> Outcome:
    (attempt,) = await attempts(world, job)
    return attempt.outcome


# 20: an agent that is killed


def test_a_restarted_agent_adopts_what_its_predecessor_ran() -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        adopted = tasks_on(full)
        full.kill_agent()
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert [kinds(world, task) for task in adopted] == [["succeeded"]] * 2
        assert [len(seen(world, "container-started", task)) for task in adopted] == [1, 1]

    proven(scene, settings=one_kind(), behave=steady(100.0))


def test_an_agent_that_is_killed_again_as_it_restarts_loses_nothing() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        for after in (0.0, RESTART, RESTART + 0.05, RESTART + 0.2, RESTART + 1.0):
            await asyncio.sleep(after)
            machine.kill_agent()
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert kinds(world, f"{job}/0") == ["succeeded"]
        assert len(seen(world, "container-started", f"{job}/0")) == 1

    proven(scene, settings=one_kind(), behave=steady(100.0))


def test_a_restarted_agent_removes_what_others_have_taken_over_and_keeps_the_rest() -> None:
    async def scene(world: World) -> None:
        job, full, other = await three_on_two(world)
        both = tasks_on(full)
        full.kill_agent(restart=None)
        full.kill_watchdogs()
        await world.until(lambda: any(len(seen(world, "container-started", task)) == 2 for task in both))
        taken, kept = sorted(both, key=lambda task: -len(hosts(world, task)))
        assert tasks_on(full) == both
        full.start_agent()
        await world.until(lambda: tasks_on(full) == [kept], limit=SOON)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert (hosts(world, taken), kinds(world, taken)) == ([full.id, other.id], ["lost", "succeeded"])
        assert (hosts(world, kept), kinds(world, kept)) == ([full.id], ["succeeded"])

    proven(scene, settings=one_kind(), behave=steady(400.0))


def test_what_a_dead_agent_left_is_gone_after_its_lease_though_nobody_restarts_it() -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        left = tasks_on(full)
        full.kill_agent(restart=None)
        killed = time()
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        for task in left:
            first, again = seen(world, "container-started", task)
            ended = seen(world, "container-ended", task)[0]
            assert ended.more["how"] == "removed"
            assert ended.at <= min(killed + LEASE + SOON, again.at)
            assert first.by == full.id != again.by
        assert not full.site.daemon.containers

    proven(scene, settings=one_kind(), behave=steady(200.0))


# 24: memory


def test_an_end_for_want_of_memory_is_told_from_others_by_its_evidence_and_charged_to_the_user() -> None:
    async def scene(world: World) -> None:
        job, _ = await one_runs(world, retries=0)
        assert (await world.until_ended(job)).status is Status.FAILED
        outcome = await the_outcome(world, job)
        assert (outcome.kind, outcome.exit_code) == ("out_of_memory", 137)
        assert [(each.more["user"], each.more["infra"]) for each in seen(world, "recorded", f"{job}/0")] == [
            (1, 0)
        ]

    proven(scene, settings=one_kind(), behave=steady(10.0, exit_code=137, out_of_memory=True))


def test_a_kill_that_nobody_can_explain_is_no_want_of_memory() -> None:
    async def scene(world: World) -> None:
        job, _ = await one_runs(world, retries=0)
        assert (await world.until_ended(job)).status is Status.FAILED
        outcome = await the_outcome(world, job)
        assert (outcome.kind, outcome.exit_code) == ("killed", 137)

    proven(scene, settings=one_kind(), behave=steady(10.0, exit_code=137))


# 25: time limits


def test_what_ignores_sigterm_is_killed_when_its_grace_is_over() -> None:
    async def scene(world: World) -> None:
        job, _ = await one_runs(world, timeout="40s", grace="7s", retries=0)
        assert (await world.until_ended(job)).status is Status.FAILED
        (started,) = seen(world, "container-started", f"{job}/0")
        (ended,) = seen(world, "container-ended", f"{job}/0")
        assert ended.more["how"] == "kill"
        assert 47.0 <= ended.at - started.at <= 48.0
        assert kinds(world, f"{job}/0") == ["timed_out"]

    proven(scene, settings=one_kind(), behave=steady(FOREVER, on_term=None))


def test_a_success_after_the_time_limit_is_none() -> None:
    async def scene(world: World) -> None:
        job, _ = await one_runs(world, timeout="40s", retries=1)
        assert (await world.until_ended(job)).status is Status.FAILED
        assert kinds(world, f"{job}/0") == ["timed_out", "timed_out"]
        assert [attempt.outcome.exit_code for attempt in await attempts(world, job)] == [0, 0]
        assert [each.more["user"] for each in seen(world, "recorded", f"{job}/0")] == [1, 1]

    proven(scene, settings=one_kind(), behave=steady(FOREVER, on_term=0))


def test_the_programs_own_124_is_a_failure_of_its_own() -> None:
    async def scene(world: World) -> None:
        job, _ = await one_runs(world, timeout="40s", retries=0)
        await world.until_ended(job)
        outcome = await the_outcome(world, job)
        assert (outcome.kind, outcome.exit_code) == ("failed", 124)

    proven(scene, settings=one_kind(), behave=steady(10.0, exit_code=124))


# 26: exit codes


@pytest.mark.parametrize("code", [125, 126, 127])
def test_a_code_that_engines_use_too_is_the_programs_failure(code: int) -> None:
    async def scene(world: World) -> None:
        job, _ = await one_runs(world, retries=1)
        assert (await world.until_ended(job)).status is Status.FAILED
        assert kinds(world, f"{job}/0") == ["failed", "failed"]
        assert [attempt.outcome.exit_code for attempt in await attempts(world, job)] == [code, code]
        assert [each.more["user"] for each in seen(world, "recorded", f"{job}/0")] == [1, 1]

    proven(scene, settings=one_kind(), behave=steady(5.0, exit_code=code))


def test_what_cannot_be_started_is_a_start_error_and_not_tried_again() -> None:
    async def scene(world: World) -> None:
        world.start_controller()
        job = await world.submit(retries=3)
        assert (await world.until_ended(job)).status is Status.FAILED
        assert kinds(world, f"{job}/0") == ["start_error"]
        assert not seen(world, "container-started", f"{job}/0")
        assert "no such program" in (await the_outcome(world, job)).reason

    proven(scene, settings=one_kind(), behave=steady(error=StartError("no such program")))


def test_an_engine_that_fails_to_start_what_it_could_start_is_not_the_users_to_pay_for() -> None:
    tries = iter([EngineUnavailable("internal error"), EngineUnavailable("internal error")])

    async def scene(world: World) -> None:
        world.start_controller()
        job = await world.submit(retries=0)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert kinds(world, f"{job}/0") == ["start_error", "start_error", "succeeded"]
        assert [each.more["user"] for each in seen(world, "recorded", f"{job}/0")] == [0, 0, 0]

    proven(scene, settings=one_kind(), behave=lambda _: Behaviour(5.0, error=next(tries, None)))


# 29: floods, and nowhere to write

FLOOD = b"x" * 999 + b"\n"


def talkative(log_limit: int) -> Settings:
    settings = one_kind(log_group="group")
    return replace(settings, agent=replace(FLEET_AGENT, log_limit=log_limit))


async def log_of(world: World, job: str) -> bytes:
    task = await world.records.task(TaskId(job, 0))
    assert task is not None
    assert task.outcome is not None
    recorded = Recorded(task.owner, task.begun_at, task.outcome)
    return b"".join([part async for part in world.logs.read(task.task, task.attempt, 0, recorded)])


def test_a_flood_of_output_is_cut_counted_and_keeps_nobody_waiting() -> None:
    async def scene(world: World) -> None:
        job, _ = await one_runs(world)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        (ended,) = seen(world, "container-ended", f"{job}/0")
        (recorded,) = seen(world, "recorded", f"{job}/0")
        assert recorded.at - ended.at < SOON
        outcome = await the_outcome(world, job)
        assert outcome.log_bytes == 2000 * len(FLOOD)
        assert outcome.log_dropped >= 1900 * len(FLOOD)
        await world.until_empty()
        assert len(await log_of(world, job)) <= 101 * len(FLOOD)

    proven(scene, settings=talkative(100 * len(FLOOD)), behave=steady(10.0, output=2000 * FLOOD))


@pytest.mark.parametrize("effect", [Effect.UNREACHABLE, Effect.THROTTLED, Effect.DENIED])
def test_without_the_log_services_tasks_start_run_and_end_as_ever(effect: Effect) -> None:
    async def scene(world: World) -> None:
        async with world.fault(Fault(effect, "logs")), world.fault(Fault(effect, "s3")):
            job, _ = await one_runs(world, array=4)
            assert (await world.until_ended(job)).status is Status.SUCCEEDED
            for index in range(4):
                (ended,) = seen(world, "container-ended", f"{job}/{index}")
                (recorded,) = seen(world, "recorded", f"{job}/{index}")
                assert recorded.at - ended.at < SOON

    proven(scene, settings=one_kind(log_group="group"), behave=steady(10.0))


# 30: output that is no text

OUTPUTS = {
    "invalid UTF-8": b"\xff\xfe\xc3\x28\xa0\xa1\n" * 40,
    "NUL": b"a\0b\n\0\0\0",
    "escape codes": b"\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J\n",
    "one long line": b"0123456789" * 200_000,
    "many lines": b"".join(b"line %d\n" % number for number in range(10_000)),
    "nothing": b"",
    "half a character": "日".encode()[:2],
    "no newline": b"the end",
    "lone returns": b"50%\r60%\r70%\r",
}


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_whatever_a_task_writes_its_record_is_valid_and_its_tail_short(output: bytes) -> None:
    async def scene(world: World) -> None:
        job, _ = await one_runs(world, retries=0)
        assert (await world.until_ended(job)).status is Status.FAILED
        outcome = await the_outcome(world, job)
        assert (outcome.exit_code, outcome.log_bytes) == (1, len(output))
        assert len(outcome.tail) <= TAIL_LINES
        assert all(len(line) <= TAIL_LINE_LENGTH for line in outcome.tail)
        assert all(character.isprintable() or character == "\t" for character in "".join(outcome.tail))
        json.dumps(outcome.tail).encode()
        assert bool(outcome.tail) == bool(output)
        await world.until_empty()
        assert output.startswith((await log_of(world, job))[: len(output)])

    proven(scene, settings=one_kind(), behave=steady(5.0, exit_code=1, output=output))
