"""What a short successful task costs, what a long one does, and what a million at once may not do to one partition."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from controller.simulation import clock as virtual_time
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.array import Array
from runner.model import Attempt, Job, Outcome, Status, Usage
from runner.records import Counts, HostReport, Verdict
from tests.dynamodb.capacity import Heat, Metered
from tests.dynamodb.embedded import EmbeddedDynamo
from tests.dynamodb.world import EPOCH, JOB, SUCCESS, World, begin, read

SLOTS = 16
BEAT = 2.0
REPORT = 5.0

# As real ones are: an id, an owner and an image's digest of their full length, times with all their digits.
REAL_JOB = replace(JOB, id="k7m2qx9v4t", array=Array.of_size(1000))
OWNER = "i-0123456789abcdef0#8f14e45f"
REAL_SUCCESS = replace(
    SUCCESS,
    image_digest="sha256:" + 64 * "a",
    usage=Usage(peak_memory=123_456_789, cpu_seconds=0.482731),
    started_at=EPOCH + 0.123456,
    finished_at=EPOCH + 0.654321,
    log_bytes=12_345,
    log="logs/k7m2qx9v4t/i-0123456789abcdef0-8f14e45f-000123.log:1234567+12345",
)
A_REPORT = HostReport(
    host="i-0123456789abcdef0",
    incarnation="8f14e45f",
    state="running",
    vcpus=16.0,
    memory=64 * 1024**3,
    free_vcpus=0.0,
    free_memory=1024**3,
    tasks=SLOTS,
    engines=("docker",),
    queues=("default.small", "default.small.od"),
    pid=4711,
    started_at=EPOCH,
    seen_at=EPOCH,
)


class BusyAgent:
    """Runs its tasks in 16 slots, beats for what it holds and reports, as an agent does."""

    def __init__(self, ledger: DynamoLedger, job: Job, owner: str, seconds: float) -> None:
        self._ledger = ledger
        self._job = job
        self._owner = owner
        self._seconds = seconds
        self._held: set[Attempt] = set()
        self._slots = asyncio.Semaphore(SLOTS)

    async def run(self, indices: range, outcome: Outcome) -> None:
        upkeep = [asyncio.create_task(self._beat()), asyncio.create_task(self._report())]
        async with asyncio.TaskGroup() as group:
            for index in indices:
                await self._slots.acquire()
                group.create_task(self._task(index, outcome))
        for each in upkeep:
            each.cancel()

    async def _task(self, index: int, outcome: Outcome) -> None:
        attempt = await begin(self._ledger, self._job, index, self._owner, f"message-{index}")
        self._held.add(attempt)
        await asyncio.sleep(self._seconds)
        self._slots.release()  # before it is recorded
        assert await self._ledger.finish(attempt, outcome, Verdict(Status.SUCCEEDED))
        self._held.discard(attempt)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            await self._ledger.touch(list(self._held))
            await self._ledger.cancelled({self._job.id})

    async def _report(self) -> None:
        while True:
            await self._ledger.report(A_REPORT)
            await asyncio.sleep(REPORT)


def a_thousand_tasks(seconds: float) -> tuple[Metered, Counts]:
    return run_tasks(1000, seconds)


def run_tasks(count: int, seconds: float) -> tuple[Metered, Counts]:
    async def main() -> tuple[Metered, Counts]:
        world = await World.make()
        await world.records().register(REAL_JOB)
        metered = Metered(world.counting)
        ledger = world.ledger(metered, linger=1.0, fresh=1.0)
        await BusyAgent(ledger, REAL_JOB, OWNER, seconds).run(range(count), REAL_SUCCESS)
        return metered, (await read(world.records(), REAL_JOB)).counts

    return virtual_time.run(main())


def test_a_short_successful_task_costs_two_writes_and_a_fifth_at_most() -> None:
    metered, counts = a_thousand_tasks(seconds=1.0)
    assert counts == Counts(succeeded=1000)
    assert metered.units.total() / 1000 <= 2.2


def test_a_record_of_a_success_fits_into_one_unit() -> None:
    metered, _ = a_thousand_tasks(seconds=0.1)
    assert metered.largest["T"] < 1024


def test_beats_cost_by_the_host_and_not_by_the_task() -> None:
    metered, _ = a_thousand_tasks(seconds=20.0)
    beats = 1000 / SLOTS * 20.0 / BEAT
    assert metered.units["B"] <= 1.1 * beats


def test_a_short_task_reads_little_beside_what_it_writes() -> None:
    metered, _ = a_thousand_tasks(seconds=1.0)
    assert sum(metered.reads.values()) / 1000 <= 0.5


def test_a_beat_reads_half_a_unit_for_each_task_that_is_held_and_one_for_their_job() -> None:
    metered, _ = run_tasks(SLOTS, seconds=200.0)
    beats = 200.0 / BEAT
    assert 0.9 * beats <= metered.reads["T"] / (0.5 * SLOTS) <= 1.1 * beats
    assert 0.9 * beats <= metered.reads["J"] / 0.5 <= 1.1 * beats
    assert set(metered.reads) == {"T", "J"}


def test_live_metadata_costs_the_units_of_the_whole_record_at_each_change() -> None:
    async def main() -> tuple[int, int]:
        world = await World.make()
        await world.records().register(REAL_JOB)
        metered = Metered(world.counting)
        ledger = world.ledger(metered)
        attempt = await begin(ledger, REAL_JOB)
        units = []
        for length in (10, 3000):
            before = metered.units["T"]
            await ledger.annotate(attempt, {"log": "x" * length})
            await ledger.annotate(attempt, {"log": "x" * length, "epoch": "2"})
            units.append(metered.units["T"] - before)
        return units[0], units[1]

    assert virtual_time.run(main()) == (2 * 1, 2 * 4)


def test_more_than_a_thousand_ends_a_second_are_counted_and_overrun_no_partition() -> None:
    """Thirty agents, each with sixteen slots that take four tasks a second."""
    agents, each = 30, 200
    job = replace(REAL_JOB, array=Array.of_size(agents * each))

    async def main() -> tuple[Heat, Counts, float]:
        world = await World.make()
        await world.records().register(job)
        heat = Heat(EmbeddedDynamo())
        busy = [
            BusyAgent(world.ledger(heat, linger=1.0, fresh=1.0), job, f"host-{number}#1", 0.25)
            for number in range(agents)
        ]
        indices = [range(number * each, (number + 1) * each) for number in range(agents)]
        started = asyncio.get_running_loop().time()
        await asyncio.gather(
            *(agent.run(some, REAL_SUCCESS) for agent, some in zip(busy, indices, strict=True))
        )
        took = asyncio.get_running_loop().time() - started
        return heat, (await read(world.records(), job)).counts, took

    heat, counts, took = virtual_time.run(main())
    assert counts == Counts(succeeded=agents * each)
    assert counts.succeeded / took > 1000
    assert heat.busiest < 1000
    assert heat.total("S#") <= agents * (took + 1)


def test_the_writes_of_a_large_job_are_spread_evenly_over_its_partitions() -> None:
    job = replace(REAL_JOB, array=Array.of_size(1_000_000))

    async def main() -> list[int]:
        world = await World.make()
        await world.records().register(job)
        ledger = world.ledger(fresh=1.0)
        await asyncio.gather(*(begin(ledger, job, index) for index in range(640)))
        return [world.writes_to(f"T#{job.id}#{bucket}") for bucket in (7, 33, 63)]

    assert virtual_time.run(main()) == [10, 10, 10]
