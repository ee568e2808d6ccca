"""All of it at once, by seed: whatever goes wrong, the promises hold, and in the end nothing is left to do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest

from controller.adapters.batch.backend import BatchBackend
from controller.simulation.clock import now, run
from controller.simulation.services.batch_job import Run
from controller.simulation.services.service import refused, throttled, unreachable
from runner.array import Array
from runner.errors import RunnerError
from runner.model import Kind, Limits, Retry, Rule
from tests.backends.mortal import Killed, Life, Mortal
from tests.backends.stage import LEDGERS
from tests.batch.stage import Stage, make_stage

OPERATIONS = ("submit_job", "describe_jobs", "terminate_job", "list_jobs", "register_job_definition")
ARRAYS = (
    *(Array.of_size(1), Array.of_size(7), Array.of_size(25), Array.of_size(120)),
    *(Array((range(3, 9), range(20, 40, 3)), 41), Array.of_size(40, "m")),
)
RULES = ((), (), (Rule(True, frozenset({Kind.OUT_OF_MEMORY}), memory_factor=2.0),))
DAY = 86400.0


class Chaos:
    """One or two supervise, whose clocks may be wrong."""

    def __init__(self, stage: Stage, random: Random) -> None:
        self.stage, self.random = stage, random
        self.jobs = [f"job{number}" for number in range(random.randint(1, 3))]
        self.skew = random.choice((0.0, 0.0, 300.0, -300.0))
        self.backends = [self.fresh() for _ in range(random.choice((1, 1, 2)))]
        stage.items.kept["m"] = ["x" * random.choice((5, 500)) for _ in range(40)]

    def fresh(self, life: Life | None = None) -> BatchBackend:
        stage = self.stage
        ports: Any = (stage.aws, stage.records, stage.ledger, stage.items)
        aws, records, ledger, items = [Mortal(each, life) for each in ports] if life else ports
        return BatchBackend(aws, records, ledger, items, stage.settings, self.clock, self.random.random)

    def clock(self) -> float:
        return now() + self.skew

    async def submit(self) -> None:
        choose = self.random.choice
        for number, name in enumerate(self.jobs):
            await self.stage.submit(
                name,
                array=choose(ARRAYS),
                env=choose(({}, {"EMPTY": ""}, {"LONG": "x" * 4000})),
                retry=Retry(
                    retries=choose((0, 2, 5)),
                    backoff=choose((0.0, 5.0, 400.0)),
                    infra_retries=choose((0, 3, 10)),
                    rules=choose(RULES),
                ),
                limits=Limits(timeout=choose((None, 100.0))),
                max_parallel=choose((None, None, 3)),
                after=(self.jobs[number - 1],) if number and choose((True, False, False)) else (),
            )

    async def disturb(self) -> None:
        random = self.random
        (what,) = random.choices(
            (self.nothing, self.kill, self.lose, self.fail, self.terminate, self.change, self.leave),
            (85, 3, 3, 6, 1, 4, 1),
        )
        await what()

    async def nothing(self) -> None: ...

    async def kill(self) -> None:
        life = Life(self.random.randint(1, 60), self.random.random() < 0.5)
        self.backends[self.random.randrange(len(self.backends))] = self.fresh(life)

    async def lose(self) -> None:
        if hosts := self.stage.batch.hosts():
            self.stage.batch.lose(self.random.choice(hosts))

    async def fail(self) -> None:
        batch, random = self.stage.batch, self.random
        operation = random.choice(OPERATIONS)
        if random.random() < 0.5:
            batch.deaf[operation] += 1
        else:
            batch.failing[operation].append(random.choice((throttled(), unreachable(), refused("Client"))))
        batch.per_second = random.choice((None, None, None, 0.2, 1.0))

    async def terminate(self) -> None:
        if live := self.stage.live():
            batch_id = self.random.choice(live).id
            chosen = self.random.choice((batch_id, batch_id.partition(":")[0]))
            self.stage.batch._terminate_job(chosen, "by hand")

    async def change(self) -> None:
        name = self.random.choice(self.jobs)
        (what,) = self.random.choices(
            (self.stage.cancel, self.stage.retry, self.remove_definitions), (2, 4, 1)
        )
        await what(name)

    async def remove_definitions(self, _job: str) -> None:
        self.stage.batch.definitions.clear()

    async def leave(self) -> None:
        await asyncio.sleep(self.random.choice((100.0, 1000.0, 3 * DAY, 9 * DAY)))

    async def step(self) -> None:
        for at, backend in enumerate(self.backends):
            try:
                await self.stage.step(backend)
            except RunnerError:
                pass  # the supervisor logs it and goes on
            except Killed:
                self.backends[at] = self.fresh()
        await asyncio.sleep(5)

    async def settle(self) -> None:
        self.stage.batch.failing.clear()
        self.stage.batch.deaf.clear()
        self.stage.batch.per_second = None
        self.backends = [self.fresh()]
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
                succeeded = [each.owner for each in attempts if each.outcome.kind is Kind.SUCCEEDED]
                assert len(succeeded) <= 1
                assert all(self.status_of(owner) == "SUCCEEDED" for owner in succeeded)

    def status_of(self, owner: str) -> str:
        """Of the Batch job that the attempt was, though it may be forgotten."""
        batch_id, _, index = owner.partition("#")[0].partition(":")
        job = self.stage.batch.jobs[batch_id]
        return (job.children[int(index)] if index else job).status


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
    chaos.stage.batch.lag = random.choice((0.0, 0.0, 10.0, 40.0, 200.0))
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
