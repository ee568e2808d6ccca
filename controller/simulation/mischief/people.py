"""What people do at the wrong moment, and what they do wrong."""

from __future__ import annotations

import asyncio
from typing import Any

from controller.simulation.clock import outside
from controller.simulation.mischief.act import Act, Undo, picked
from controller.simulation.world import World
from runner.codec import encode_pointer
from runner.errors import RunnerError
from runner.model import TaskId

BAD = (
    "not JSON",
    "{}",
    "[" * 2000,
    '{"v":99,"job":"x","index":0}',
    '{"v":1,"job":"../../etc","index":0}',
    '{"v":1,"job":"nobody","index":-1}',
    '{"v":1,"job":"nobody","index":1e400}',
    "\u0085\u202e[2J",
    "",
    encode_pointer(TaskId("nobody", 7)),
)


def bad_message(world: World, act: Act) -> Undo:
    channel = picked(list(world.routes.channels), act.pick)
    jobs = [event.subject for event in world.history.of("registered")]
    bodies = [*BAD, *(encode_pointer(TaskId(job, 999_999)) for job in jobs[:1])]
    world.sqs.put(world.fleet.queue_name(channel or ""), picked(bodies, act.value) or "")
    world.history.add("bad-message", world.history.events[-1].subject)
    return None


def bad_submission(world: World, act: Act) -> Undo:
    wrong: dict[str, Any] = (
        picked(
            (
                {"array": 0},
                {"array": "5-1"},
                {"vcpus": 4000},
                {"queue": "nowhere"},
                {"timeout": "-1s"},
                {"colour": "blue"},
                {"name": "../x"},
                {"after": ["nobody"]},
            ),
            act.value,
        )
        or {}
    )
    process, submitting = world.submitting(**wrong)

    async def hear() -> None:
        try:
            await submitting
        except (RunnerError, TypeError):
            world.history.add("submission-refused", process.name.removeprefix("submit-"))

    outside(asyncio.get_running_loop().create_task, hear())
    return None


def cancel(world: World, act: Act) -> Undo:
    job = picked([event.subject for event in world.history.of("registered")], act.pick)
    if job is not None:
        outside(asyncio.get_running_loop().create_task, world.cancel(job))
    return None


def retry(world: World, act: Act) -> Undo:
    job = picked([event.subject for event in world.history.of("registered")], act.pick)
    if job is not None:
        outside(asyncio.get_running_loop().create_task, world.retry(job))
    return None


def cancel_and_retry(world: World, act: Act) -> Undo:
    cancel(world, act)
    return lambda: (retry(world, act), None)[1]
