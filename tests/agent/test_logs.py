"""What becomes of an attempt's log when it ends, and of an agent's when it goes. Emulated: see `test_agent`."""

from __future__ import annotations

import asyncio

import pytest

from runner.array import Array
from runner.errors import EngineError, StartError, Unavailable
from runner.model import Charge, Kind
from tests.agent.fakes import Behaviour
from tests.agent.play import Play, by_try, started
from tests.agent.world import World, a_job

PLACE = "logs/host/1/1-1:0:3"


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(output=b"out"),
        Behaviour(output=b"out", exit_code=1),
        Behaviour(output=b"out", on_wait=EngineError("it is gone")),
    ],
    ids=["succeeded", "failed", "lost sight of"],
)
def test_the_record_says_where_the_log_lies(play: Play, behaviour: Behaviour) -> None:
    async def scene(world: World) -> None:
        world.logs.place = PLACE
        await world.submit(a_job())
        started(world.agent())
        await asyncio.sleep(5)
        [first, *_] = await world.records.attempts((await world.task()).task)
        assert (first.outcome.log, first.outcome.log_bytes) == (PLACE, 3)

    play(scene, by_try(behaviour, Behaviour()))


def test_an_agent_that_leaves_first_puts_its_logs_where_others_can_read_them(play: Play) -> None:
    async def scene(world: World) -> None:
        agent = world.agent()
        running = started(agent)
        await asyncio.sleep(1)
        assert world.logs.flushed == 0
        agent.drain()
        await running
        assert world.logs.flushed == 1

    play(scene)


def test_output_of_a_container_that_did_not_start_is_closed(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        started(world.agent())
        await world.until_over()
        assert world.logs.by_attempt["job1/0#1"].closed == 1

    play(scene, by_try(Behaviour(error=StartError("no such program"))))


def test_items_that_cannot_be_read_just_now_are_not_the_users_failure(play: Play) -> None:
    class Away:
        async def put(self, items: object) -> str:
            raise AssertionError

        async def get(self, manifest: str, index: int) -> str:
            raise Unavailable("s3:GetObject failed: SlowDown")

    async def scene(world: World) -> None:
        world.manifests = Away()  # type: ignore[assignment]
        await world.submit(a_job(array=Array.of_size(1, "0" * 64)))
        started(world.agent())
        await asyncio.sleep(2)
        [first, *_] = await world.records.attempts((await world.task()).task)
        assert (first.outcome.kind, first.outcome.charge) == (Kind.START_ERROR, Charge.INFRA)
        assert "SlowDown" in first.outcome.reason

    play(scene)
