"""A job's role reaches its tasks, by way of an agent in virtual time. Emulated: who grants it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from runner.model import Attempt, Job, Status
from tests.agent.fakes import Behaviour
from tests.agent.play import Play, by_try, started
from tests.agent.world import World, a_job

ROLE = "arn:aws:iam::111122223333:role/data"


class Grants:
    def __init__(self) -> None:
        self.given: list[str] = []
        self.open: set[str] = set()

    async def grant(self, job: Job, attempt: Attempt) -> Mapping[str, str]:
        self.given.append(str(attempt))
        self.open.add(str(attempt))
        return {"TOKEN": "token-of-" + str(attempt)}

    def withdraw(self, attempt: Attempt) -> None:
        self.open.discard(str(attempt))


def test_a_task_is_given_its_jobs_role_while_it_runs(play: Play) -> None:
    async def scene(world: World) -> None:
        world.roles = grants = Grants()
        await world.submit(a_job(role=ROLE))
        started(world.agent())
        await asyncio.sleep(5)
        assert world.engine.specs[0].env["TOKEN"] == "token-of-job1/0#1"
        assert grants.open == {"job1/0#1"}
        await world.until_over()
        assert grants.open == set()

    play(scene, by_try(Behaviour(seconds=10)))


def test_what_it_is_given_stands_in_no_log(play: Play) -> None:
    async def scene(world: World) -> None:
        world.roles = Grants()
        await world.submit(a_job(role=ROLE))
        started(world.agent())
        await world.until_over()
        assert world.logs.by_attempt["job1/0#1"].data == b"I was told ***\n"

    play(scene, by_try(Behaviour(output=b"I was told token-of-job1/0#1\n")))


def test_an_adopted_task_keeps_its_role(play: Play) -> None:
    async def scene(world: World) -> None:
        world.roles = grants = Grants()
        await world.submit(a_job(role=ROLE))
        started(world.agent())
        await asyncio.sleep(5)
        world.kill("host-a")
        grants.open.clear()
        started(world.agent("host-a"))
        await asyncio.sleep(5)
        assert grants.open == {"job1/0#1"}
        await world.until_over()
        assert grants.open == set()

    play(scene, by_try(Behaviour(seconds=30)))


def test_where_nobody_grants_roles_the_task_does_not_start_without(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job(role=ROLE))
        started(world.agent())
        record = await world.until_over()
        assert record.status is Status.FAILED
        (attempt,) = await world.records.attempts((await world.task()).task)
        assert "needs mode fleet" in attempt.outcome.reason
        assert world.engine.specs == []

    play(scene)


def test_what_kind_of_machine_it_was_is_recorded(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent(machine_type="m7i.large"))
        await world.until_over()
        (attempt,) = await world.records.attempts((await world.task()).task)
        assert attempt.outcome.machine_type == "m7i.large"

    play(scene)
