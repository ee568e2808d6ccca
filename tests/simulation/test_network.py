"""Between a process and a service: what is carried out, what the caller is told, how often it asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from controller.simulation.clock import Process, run
from controller.simulation.faults import Effect, Fault
from controller.simulation.network import Network
from runner.aws import AwsError, Reply, Trouble


class Counter:
    """Counts what is carried out."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def answer(self, operation: str, parameters: dict[str, Any], /) -> Reply | Awaitable[Reply]:
        if operation == "wait":
            return self._wait(parameters["seconds"])
        self.done.append(operation)
        return {"done": len(self.done)}

    async def _wait(self, seconds: float) -> Reply:
        await asyncio.sleep(seconds)
        self.done.append("wait")
        return {}


class Place:
    def __init__(self) -> None:
        self.service = Counter()
        self.network = Network({"s": self.service}, Random(1))
        self.process = Process("p")
        self.aws = self.network.aws(self.process)

    async def call(self, operation: str = "do", **more: Any) -> Reply:
        return await self.process.start(self.aws.call("s", operation, **more))


def played(scene: Callable[[Place], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene(Place())

    run(main())


def time() -> float:
    return asyncio.get_running_loop().time()


def test_a_call_takes_time() -> None:
    async def scene(place: Place) -> None:
        assert await place.call() == {"done": 1}
        assert 0.005 < time() < 1

    played(scene)


def test_what_is_under_way_is_carried_out_though_its_caller_is_killed() -> None:
    async def scene(place: Place) -> None:
        place.process.start(place.aws.call("s", "do"))
        await asyncio.sleep(0)
        place.process.kill()
        await asyncio.sleep(1)
        assert place.service.done == ["do"]

    played(scene)


def test_a_cancelled_call_is_waited_for() -> None:
    async def scene(place: Place) -> None:
        call = place.process.start(place.aws.call("s", "wait", seconds=10.0))
        await asyncio.sleep(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert place.service.done == ["wait"]
        assert time() > 10

    played(scene)


@pytest.mark.parametrize(
    ("effect", "trouble", "times"),
    [
        (Effect.THROTTLED, Trouble.THROTTLED, 0),
        (Effect.FAILED, Trouble.SERVER, 0),
        (Effect.FAILED_AFTER, Trouble.SERVER, 4),
        (Effect.REFUSED, Trouble.UNREACHABLE, 0),
        (Effect.UNREACHABLE, Trouble.UNREACHABLE, 0),
        (Effect.RESET, Trouble.UNREACHABLE, 4),
        (Effect.LOST, Trouble.UNREACHABLE, 4),
        (Effect.DENIED, Trouble.DENIED, 0),
    ],
)
def test_a_lasting_fault_fails_the_call_and_is_carried_out_as_often_as_it_got_through(
    effect: Effect, trouble: Trouble, times: int
) -> None:
    async def scene(place: Place) -> None:
        place.network.faults.append(Fault(effect))
        with pytest.raises(AwsError) as error:
            await place.call()
        assert error.value.trouble is trouble
        assert len(place.service.done) == times

    played(scene)


def test_an_urgent_call_is_made_twice_at_most() -> None:
    async def scene(place: Place) -> None:
        place.network.faults.append(Fault(Effect.LOST))
        with pytest.raises(AwsError):
            await place.call(urgent=True)
        assert len(place.service.done) == 2
        assert 10 < time() < 12

    played(scene)


def test_what_must_happen_once_is_asked_for_once() -> None:
    async def scene(place: Place) -> None:
        place.network.faults.append(Fault(Effect.LOST))
        with pytest.raises(AwsError):
            await place.call("terminate_instance_in_auto_scaling_group")
        assert len(place.service.done) == 1

    played(scene)


def test_a_fault_that_passes_is_not_seen() -> None:
    async def scene(place: Place) -> None:
        place.network.faults.append(Fault(Effect.REFUSED, ends=0.01))
        assert await place.call() == {"done": 1}

    played(scene)


def test_a_fault_hits_what_it_names_alone() -> None:
    async def scene(place: Place) -> None:
        place.network.faults += [
            Fault(Effect.DENIED, process="q"),
            Fault(Effect.DENIED, operation="un*"),
            Fault(Effect.DENIED, service="t"),
        ]
        assert await place.call() == {"done": 1}

    played(scene)


def test_a_killed_process_asks_no_second_time() -> None:
    async def scene(place: Place) -> None:
        place.network.faults.append(Fault(Effect.RESET))
        place.process.start(place.aws.call("s", "do"))
        await asyncio.sleep(0.001)
        place.process.kill()
        await asyncio.sleep(60)
        assert len(place.service.done) == 1

    played(scene)
