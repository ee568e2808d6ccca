"""One seed of the campaign: an installation, jobs, and a nemesis; played to its end and held to the promises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from controller.listing import list_tasks
from controller.simulation.checker import check
from controller.simulation.clock import OUTSIDE
from controller.simulation.history import Event
from controller.simulation.installation import Installation
from controller.simulation.mischief import Act
from controller.simulation.nemesis import Nemesis, a_plan, ends
from controller.simulation.play import a_fleet, play
from controller.simulation.promises.rule import End, JobEnd, Terms, Violation
from controller.simulation.workload import Behave, Behaviour
from controller.simulation.world import World
from runner.errors import RunnerError, StartError
from runner.instances import KNOWN
from runner.ports import ContainerSpec
from runner.records import JobRecord
from runner.settings import ON_DEMAND, AgentSettings, Environment, Settings

# Promise 5 in seconds, after the last fault: how long no task may end while jobs have not, and from the last job's end
# until the machines that are not needed have gone. A message may be hidden for ten minutes when the faults end, and a
# machine that never comes up is given up after as many.
A_TASK_ENDS_WITHIN, MACHINES_GO_WITHIN = 3600.0, 1800.0
LOOK = 10.0
# Of a task that runs to its end, in seconds.
SHORTEST = 2.0


@dataclass(frozen=True, slots=True)
class Order:
    """A job that is submitted at a time, virtual seconds. `killed_after`: for how long whoever submits it lives.
    `after`: which of the orders before it the job waits for."""

    at: float
    keys: Mapping[str, Any]
    killed_after: float | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """`work`: what containers do. `skew`: by how many seconds clocks may be wrong."""

    seed: int
    settings: Settings
    orders: Sequence[Order]
    plan: Sequence[Act]
    work: Behave
    skew: float = 0.0

    def without(self, acts: frozenset[int]) -> Trial:
        """The same with these acts, by their numbers, left out."""
        return replace(self, plan=[act for at, act in enumerate(self.plan) if at not in acts])


@dataclass(frozen=True, slots=True)
class Result:
    """`quiet_at`: when the faults ended; `done_at`: all jobs; `end.at`: the machines were gone."""

    seed: int
    violations: Sequence[Violation]
    events: Sequence[Event]
    quiet_at: float
    done_at: float
    end: End


def trial_of(seed: int) -> Trial:
    random = Random(f"{seed}/trial")
    return Trial(
        seed=seed,
        settings=_some_settings(random),
        orders=_some_orders(random),
        plan=a_plan(random),
        work=work_of(seed),
        skew=random.choice((0.0, 0.0, 2.0, 300.0)),
    )


def _some_settings(random: Random) -> Settings:
    kind = (KNOWN["m6i.large"],)
    environments = [Environment("spot", kind, maximum=random.randint(1, 3))]
    if random.random() < 0.5:
        minimum = random.choice((0, 0, 0, 1))
        steady = Environment("steady", kind, market=ON_DEMAND, spot_percent=0, minimum=minimum, maximum=2)
        environments.append(steady)
    if random.random() < 0.15:
        environments.append(Environment("large", (KNOWN["r6i.large"],), maximum=1))
    own = AgentSettings(
        lease=60.0,
        beat=10.0,
        drain=random.choice((5.0, 30.0, 90.0)),
        idle=random.choice((10.0, 30.0, 60.0)),
    )
    return replace(a_fleet(*environments, boot=random.choice((30.0, 60.0))), agent=own)


def _some_orders(random: Random) -> Sequence[Order]:
    orders: list[Order] = []
    for number in range(random.choice((1, 2, 3))):
        killed_after = random.uniform(0.0, 0.2) if random.random() < 0.1 else None
        after = 0 if number and random.random() < 0.2 else None
        at = round(random.uniform(0.0, 150.0), 1) if number else 0.0
        orders.append(Order(at, _some_job(random), killed_after, after))
    return sorted(orders, key=lambda order: order.at)


def _some_job(random: Random) -> Mapping[str, Any]:
    keys: dict[str, Any] = {"array": random.choice((1, 3, 10, 20, 30))}
    retries: dict[str, Any] = {"count": random.randint(0, 3), "backoff": random.choice((1, 5, 30))}
    if random.random() < 0.3:
        keys["timeout"] = random.choice((20, 60))
    if random.random() < 0.3:
        keys["grace"] = random.choice((1, 30))
    if random.random() < 0.2:
        keys["max_parallel"] = random.choice((1, 3))
        keys["array"] = min(keys["array"], 10)
    if random.random() < 0.2:
        keys["vcpus"] = random.choice((0.5, 2))
    if random.random() < 0.2:
        retries["rules"] = [{"on": ["out_of_memory"], "then": "retry", "memory": 16}]
    return {**keys, "retries": retries}


@dataclass(frozen=True)
class Work:
    """What the containers of a trial do. Shares of attempts; `longest` in seconds."""

    seed: int
    longest: float
    failing: float
    out_of_memory: float
    stubborn: float
    unstartable: float
    talkative: float

    def __call__(self, spec: ContainerSpec) -> Behaviour:
        random = Random(f"{self.seed}/{spec.name}")
        seconds = SHORTEST * (self.longest / SHORTEST) ** random.random()
        failed, hungry = random.random() < self.failing, random.random() < self.out_of_memory
        return Behaviour(
            seconds,
            exit_code=137 if hungry else random.choice((1, 124, 127, 137)) if failed else 0,
            out_of_memory=hungry,
            on_term=None if random.random() < self.stubborn else random.choice((143, 0, 1)),
            error=StartError("no such program") if random.random() < self.unstartable else None,
            metadata=b"progress=1\n" if random.random() < self.talkative else b"",
            lingers=random.choice((0.0, 0.0, 0.5)),
        )


def work_of(seed: int) -> Behave:
    random = Random(f"{seed}/work")

    def sometimes(most: float) -> float:
        return random.choice((0.0, 0.0, most))

    longest = random.choice((20.0, 60.0, 240.0))
    return Work(
        seed, longest, sometimes(0.3), sometimes(0.2), sometimes(0.5), sometimes(0.05), sometimes(0.5)
    )


def run(trial: Trial, made_of: type[Installation] = Installation) -> Result:
    """The same trial has the same result, to the last event."""

    async def scenario(world: World) -> Result:
        return await _Run(world, trial).to_its_end()

    return play(scenario, seed=trial.seed, settings=trial.settings, behave=trial.work, made_of=made_of)


class _Run:
    def __init__(self, world: World, trial: Trial) -> None:
        self._world = world
        self._trial = trial
        self._submitted: dict[int, str] = {}

    async def to_its_end(self) -> Result:
        world, trial = self._world, self._trial
        world.skew = trial.skew
        world.start_controller(skew=world.random("skew").uniform(-trial.skew, trial.skew))
        Nemesis(world, trial.plan)
        for number, order in enumerate(trial.orders):
            self._at(order.at, self._submit, number, order)
        quiet = max(ends(trial.plan), *(order.at for order in trial.orders)) + 1.0
        await asyncio.sleep(quiet)
        unfinished = await self._until_ended()
        done = asyncio.get_running_loop().time()
        machines = await self._until_none(self._machines, MACHINES_GO_WITHIN)
        end = End(asyncio.get_running_loop().time(), await self._jobs(), unfinished, machines)
        terms = Terms(trial.settings.agent.lease, world.fleet.dead_letters, lag=self._lag())
        violations = check(world.history.events, end, terms)
        return Result(trial.seed, violations, world.history.events, quiet, done, end)

    def _lag(self) -> float:
        return max((60.0 for act in self._trial.plan if act.what == "sqs-counts"), default=0.0)

    def _submit(self, number: int, order: Order) -> None:
        keys = dict(order.keys)
        if order.after is not None and order.after in self._submitted:
            keys["after"] = [self._submitted[order.after]]
        process, submitting = self._world.submitting(name=f"job-{number}", **keys)
        self._submitted[number] = process.name.removeprefix("submit-")
        submitting.add_done_callback(self._heard)
        if order.killed_after is not None:
            self._at(order.at + order.killed_after, process.kill)

    def _heard(self, submitting: asyncio.Task[str]) -> None:
        """Whoever submits is told of faults, and may try again."""
        if not submitting.cancelled() and (error := submitting.exception()) is not None:
            if not isinstance(error, RunnerError):
                raise error
            self._world.history.add("submission-failed", submitting.get_name(), error=str(error))

    @staticmethod
    def _at(time: float, act: Callable[..., object], *args: Any) -> None:
        asyncio.get_running_loop().call_at(time, act, *args, context=OUTSIDE)

    async def _until_none(self, left: Callable[[], Any], within: float) -> Sequence[str]:
        """What is left after so many seconds."""
        deadline = asyncio.get_running_loop().time() + within
        while (found := await left()) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - looking is all there is
            await asyncio.sleep(LOOK)
        return list(found)

    async def _until_ended(self) -> Sequence[str]:
        """The jobs that go on though none of their tasks ended for too long. How long they may take in all depends on
        how many there are, how long they run and for how many there is room."""
        finished, since = -1, 0.0
        while unfinished := [job for job in await self._records() if not job.status.terminal]:
            now, count = asyncio.get_running_loop().time(), sum(job.counts.finished for job in unfinished)
            if count != finished:
                finished, since = count, now
            elif now - since > A_TASK_ENDS_WITHIN:
                break
            await asyncio.sleep(LOOK)
        return [record.job.id for record in unfinished]

    async def _records(self) -> Sequence[JobRecord]:
        return [await self._world.job(event.subject) for event in self._world.history.of("registered")]

    async def _machines(self) -> Sequence[str]:
        groups = self._world.autoscaling.groups.values()
        over = [group for group in groups if max(len(group.members), group.desired) > group.minimum]
        return [member for group in over for member in group.members] or [group.name for group in over]

    async def _jobs(self) -> Mapping[str, JobEnd]:
        found = {}
        for record in await self._records():
            tasks = {task.task.index: task async for task in list_tasks(self._world.records, record)}
            found[record.job.id] = JobEnd(record, tasks)
        return found
