"""Plans of mischief: seeded, printed, over at their end."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from controller.simulation.faults import Effect, Fault
from controller.simulation.mischief import MISCHIEF, Act
from controller.simulation.nemesis import Nemesis, a_plan, ends, printed
from controller.simulation.play import play
from controller.simulation.services.sqs_behaviour import Behaviour
from controller.simulation.workload import steady
from controller.simulation.world import World


def test_the_same_seed_draws_the_same_plan() -> None:
    assert a_plan(Random(3)) == a_plan(Random(3))


def test_another_seed_draws_another() -> None:
    assert a_plan(Random(3)) != a_plan(Random(4))


def test_every_mischief_is_drawn_in_the_end() -> None:
    drawn = {act.what for seed in range(300) for act in a_plan(Random(seed))}
    assert drawn == set(MISCHIEF)


def test_a_plan_prints_a_line_for_each_act() -> None:
    plan = [
        Act(30.0, "kill-agent", pick=0.5),
        Act(40.0, "network", 10.0, fault=Fault(Effect.LOST, service="sqs")),
    ]
    assert list(printed(plan)) == [
        "  0     30.0  kill-agent (pick 0.500, value 0.000)",
        "  1     40.0  network for 10.0 s (pick 0.000, value 0.000): lost: sqs:* from *",
    ]


def test_a_plan_ends_when_its_last_act_is_undone() -> None:
    assert ends([Act(30.0, "freeze-agent", 50.0), Act(60.0, "kill-agent")]) == 80.0


@pytest.mark.parametrize("what", MISCHIEF)
def test_once_a_mischief_is_over_nothing_of_it_lasts(what: str) -> None:
    """But for what cannot be undone: a machine that is gone, a job that was cancelled."""

    async def scene(world: World) -> None:
        world.start_controller()
        await world.submit(array=4)
        act = Act(100.0, what, 5.0, pick=0.1, value=0.5, fault=Fault(Effect.SLOW, seconds=1.0))
        Nemesis(world, [act])
        await asyncio.sleep(100.5)
        assert [event.subject for event in world.history.of("mischief")] == [what]
        await asyncio.sleep(60)
        assert not world.network.faults
        assert world.sqs.behaviour == Behaviour()
        assert world.dynamodb.behaviour == type(world.dynamodb.behaviour)()
        for machine in world.alive:
            assert machine.life is None or not machine.life.process.frozen
            assert not (machine.site.daemon.hung)
            assert not (machine.site.daemon.down)
            assert not (machine.site.metadata.down)
            assert not machine.site.hardware.trouble
        assert not any(group.starved or group.lag for group in world.autoscaling.groups.values())
        assert all(
            each.process is not None and not each.process.frozen for each in world.controllers.values()
        )

    play(scene, behave=steady(120.0))
