"""All of it at once, by seed: whatever goes wrong, the promises hold, and in the end nothing is left to do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

import pytest

from controller.adapters.batch.backend import BatchBackend
from controller.simulation.clock import now, run
from controller.simulation.services.batch_job import Run
from controller.simulation.services.service import throttled, unreachable
from runner.array import Array
from runner.errors import RunnerError
from runner.model import Kind, Limits, Retry
from tests.batch.stage import LEDGERS, Stage, make_stage
from tests.batch.test_crashes import Killed, Life, mortal

OPERATIONS = ("submit_job", "describe_jobs", "terminate_job", "list_jobs")
ARRAYS = (Array.of_size(1), Array.of_size(7), Array.of_size(25), Array((range(3, 9), range(20, 40, 3)), 41))
DAY = 86400.0


class Chaos:
    def __init__(self, stage: Stage, random: Random) -> None:
        self.stage, self.random = stage, random
        self.jobs = [f"job{number}" for number in range(random.randint(1, 3))]
        self.backend: BatchBackend = stage.backend

    async def submit(self) -> None:
        choose = self.random.choice
        for number, name in enumerate(self.jobs):
            await self.stage.submit(
                name,
                array=choose(ARRAYS),
                retry=Retry(
                    retries=choose((0, 2, 5)), backoff=choose((0.0, 5.0)), infra_retries=choose((3, 10))
                ),
                limits=Limits(timeout=choose((None, 100.0))),
                max_parallel=choose((None, None, 3)),
                after=(self.jobs[number - 1],) if number and choose((True, False, False)) else (),
            )

    async def disturb(self) -> None:
        stage, random = self.stage, self.random
        what = random.choices(range(8), (85, 3, 3, 3, 3, 1, 2, 1))[0]
        if what == 1:
            self.backend = mortal(stage, Life(random.randint(1, 60), random.random() < 0.5))
        elif what == 2 and stage.batch.hosts():
            stage.batch.lose(random.choice(stage.batch.hosts()))
        elif what == 3:
            stage.batch.deaf[random.choice(OPERATIONS)] += 1
        elif what == 4:
            stage.batch.failing[random.choice(OPERATIONS)].append(random.choice((throttled(), unreachable())))
        elif what == 5:
            await stage.cancel(random.choice(self.jobs))
        elif what == 6:
            await stage.retry(random.choice(self.jobs))
        elif what == 7:
            await asyncio.sleep(random.choice((100.0, 1000.0, 3 * DAY, 9 * DAY)))

    async def step(self) -> None:
        try:
            await self.stage.step(self.backend)
        except RunnerError:
            pass  # the supervisor logs it and goes on
        except Killed:
            self.backend = self.stage.another()
        await asyncio.sleep(5)

    async def settle(self) -> None:
        self.stage.batch.failing.clear()
        self.stage.batch.deaf.clear()
        self.backend = self.stage.another()
        until = now() + DAY
        while await self.stage.records.jobs(unfinished=True):
            assert now() < until, "it does not come to an end"
            await self.step()
        for _ in range(150):
            await self.step()

    async def check(self) -> None:
        assert not self.stage.live()
        for name in self.jobs:
            record = await self.stage.job(name)
            waiting = record.counts.runnable + record.counts.pending
            assert record.counts.finished + (waiting if record.ending else 0) == record.job.array.size
            for index in record.job.array:
                attempts = await self.stage.attempts(index, name)
                numbers = [each.number for each in attempts]
                assert numbers == sorted(set(numbers))
                assert len({each.owner for each in attempts}) == len(attempts)
                assert sum(each.outcome.kind is Kind.SUCCEEDED for each in attempts) <= 1


def whims(random: Random) -> Run:
    end = random.choices(range(5), (70, 15, 5, 5, 5))[0]
    return (
        Run(random.choice((1, 10, 60, 200))),
        Run(5, exit_code=3),
        Run(600),
        Run(3, exit_code=137, reason="OutOfMemoryError: Container killed due to memory usage"),
        Run(exit_code=None, reason="DockerTimeoutError: Could not transition to started"),
    )[end]


async def play(seed: int, ledger: str) -> None:
    random = Random(seed)

    def program(_env: Mapping[str, str], _command: Sequence[str]) -> Run:
        return whims(random)

    chaos = Chaos(await make_stage(program, ledger=ledger), random)
    chaos.stage.batch.lag = random.choice((0.0, 0.0, 10.0, 40.0))
    await chaos.submit()
    until = now() + random.choice((300.0, 1500.0, 4000.0))
    while now() < until:
        await chaos.disturb()
        await chaos.step()
    await chaos.settle()
    await chaos.check()


@pytest.mark.parametrize("ledger", LEDGERS)
@pytest.mark.parametrize("seed", range(8))
def test_whatever_goes_wrong_every_shard_comes_to_one_end_and_nothing_is_left_running(
    seed: int, ledger: str
) -> None:
    run(play(seed, ledger))
