"""What every ledger must do for the controller: storing jobs and finding them."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from controller.ports import Records
from runner.array import Array
from runner.errors import Conflict
from runner.model import Kind, Limits, Mount, Retry, Rule, Secret, Sidecar, Status
from runner.ports import Ledger
from runner.records import Counts, JobRecord
from tests.contracts.acts import a_job, begin, cancel, fail, give_up, read, registered, succeed
from tests.contracts.rigs import EPOCH, Rig


async def test_a_new_job_is_stored(records: Records) -> None:
    record, created = await records.register(a_job(3))
    assert created
    assert record == JobRecord(a_job(3), Counts(runnable=3), released_at=EPOCH)


async def test_a_stored_job_is_read_back(records: Records) -> None:
    record, _ = await records.register(a_job())
    assert await records.job("job-1") == record


async def test_everything_about_a_job_survives(records: Records) -> None:
    job = a_job(
        array=Array((range(3), range(7, 9)), total=100, manifest="sha256-abc"),
        command=("sh", "-c", "echo \udcff \x00 'quoted' \n …"),
        image="busybox",
        env={"A": "1", "Ü": "\U0001f600"},
        limits=Limits(vcpus=0.25, memory=1, timeout=5.5, grace=0.0, pids=7),
        retry=Retry(
            retries=2,
            infra_retries=3,
            backoff=0.5,
            max_memory=9,
            rules=(Rule(False, frozenset({Kind.KILLED}), ((1, 3), (9, 9)), 2.0), Rule(True)),
        ),
        queue="high",
        after=("job-0",),
        max_parallel=4,
        mounts=(Mount("/a", "/b"), Mount("/c", "/d", writable=True)),
        secrets=(Secret("TOKEN", "file", "/run/token"),),
        sidecars=(Sidecar("db", "redis", ("redis-server",), {"X": "y"}, 5),),
        idempotency_key="key",
    )
    await records.register(job)
    assert (await read(records)).job == job


async def test_a_job_that_comes_after_none_is_released_at_once(records: Records) -> None:
    record, _ = await records.register(a_job())
    assert (record.released_at, record.status) == (EPOCH, Status.RUNNABLE)


async def test_a_job_that_comes_after_others_waits(records: Records) -> None:
    record, _ = await records.register(a_job(3, after=("job-0",)))
    assert (record.released_at, record.status, record.counts) == (None, Status.PENDING, Counts(pending=3))


async def test_registering_the_same_again_finds_it(records: Records) -> None:
    await records.register(a_job())
    record, created = await records.register(a_job())
    assert not created
    assert record.job == a_job()


async def test_an_id_used_for_another_job_is_a_conflict(records: Records) -> None:
    await records.register(a_job())
    with pytest.raises(Conflict, match="job-1"):
        await records.register(a_job(command=("false",)))


async def test_an_idempotency_key_finds_the_job_stored_first(records: Records) -> None:
    await records.register(a_job(idempotency_key="key"))
    again = a_job(id="job-2", created_at=EPOCH + 99, idempotency_key="key", user="another")
    record, created = await records.register(again)
    assert (record.job.id, created) == ("job-1", False)
    assert await records.job("job-2") is None


async def test_an_idempotency_key_used_for_something_else_is_a_conflict(records: Records) -> None:
    await records.register(a_job(idempotency_key="key"))
    with pytest.raises(Conflict, match="key"):
        await records.register(a_job(id="job-2", command=("false",), idempotency_key="key"))


async def test_a_conflict_stores_nothing(records: Records) -> None:
    await records.register(a_job(idempotency_key="key"))
    with pytest.raises(Conflict):
        await records.register(a_job(id="job-2", command=("false",), idempotency_key="key"))
    assert len(await records.jobs()) == 1


async def test_jobs_without_a_key_do_not_conflict(records: Records) -> None:
    await records.register(a_job(id="job-1"))
    await records.register(a_job(id="job-2"))
    assert len(await records.jobs()) == 2


async def test_of_two_who_register_one_key_at_once_one_stores(rig: Rig, records: Records) -> None:
    other = (await rig.peer()).records()
    both = await asyncio.gather(
        records.register(a_job(id="job-1", idempotency_key="key")),
        other.register(a_job(id="job-2", idempotency_key="key")),
    )
    assert sorted(created for _, created in both) == [False, True]
    assert both[0][0].job.id == both[1][0].job.id


async def test_there_is_no_record_of_an_unknown_job(records: Records) -> None:
    assert await records.job("nowhere") is None


async def test_a_job_id_of_stray_bytes_is_just_unknown(records: Records) -> None:
    assert await records.job("\udcff\x00") is None


async def ids(records: Records, **wanted: object) -> list[str]:
    return [record.job.id for record in await records.jobs(**wanted)]  # type: ignore[arg-type]


async def test_jobs_are_listed_newest_first(records: Records) -> None:
    for number in range(3):
        await registered(records, id=f"job-{number}", created_at=EPOCH + number)
    assert await ids(records) == ["job-2", "job-1", "job-0"]


async def test_a_listing_is_limited_to_the_newest(records: Records) -> None:
    for number in range(5):
        await registered(records, id=f"job-{number}", created_at=EPOCH + number)
    assert await ids(records, limit=2) == ["job-4", "job-3"]


async def test_jobs_are_found_by_name(records: Records) -> None:
    await registered(records, id="a", name="one")
    await registered(records, id="b", name="two")
    await registered(records, id="c", name="one")
    assert await ids(records, name="one") == ["c", "a"]


async def test_a_name_is_no_pattern(records: Records) -> None:
    await registered(records, id="a", name="one")
    assert not await ids(records, name="%")
    assert not await ids(records, name="o*")


async def test_a_name_of_stray_bytes_is_found(records: Records) -> None:
    await registered(records, id="a", name="\udcff")
    assert await ids(records, name="\udcff") == ["a"]


async def test_jobs_are_found_by_the_beginning_of_their_id(records: Records) -> None:
    for name in ("abc1", "abc2", "abd1", "xabc"):
        await registered(records, id=name)
    assert await ids(records, id_prefix="abc") == ["abc2", "abc1"]


async def test_a_whole_id_is_a_prefix_too(records: Records) -> None:
    await registered(records, id="abc")
    assert await ids(records, id_prefix="abc") == ["abc"]


@pytest.mark.parametrize("pattern", ["%", "_", "*", "?", "[a]bc", "a_c", "a%", "'", "ABC", "\udcff", "\x00"])
async def test_a_prefix_is_no_pattern(records: Records, pattern: str) -> None:
    await registered(records, id="abc")
    assert not await ids(records, id_prefix=pattern)


async def test_an_empty_prefix_is_that_of_every_id(records: Records) -> None:
    await registered(records, id="abc")
    assert await ids(records, id_prefix="") == ["abc"]


async def test_unfinished_jobs_are_those_not_over(ledger: Ledger, records: Records) -> None:
    done, failed, cancelled, running, waiting = [
        await registered(records, 1, id=name, after=("x",) if name == "waiting" else ())
        for name in ("done", "failed", "cancelled", "running", "waiting")
    ]
    await succeed(ledger, await begin(ledger, done))
    await fail(ledger, await begin(ledger, failed))
    await cancel(records, cancelled)
    await begin(ledger, running)
    assert await ids(records, unfinished=True) == [waiting.id, running.id]


async def test_a_cancelled_job_is_unfinished_while_a_task_runs(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    attempt = await begin(ledger, job)
    await cancel(records, job)
    before = await ids(records, unfinished=True)
    await give_up(ledger, attempt)
    assert (before, await ids(records, unfinished=True)) == ([job.id], [])


async def test_a_reopened_job_is_unfinished(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    await fail(ledger, await begin(ledger, job))
    await records.reopen(job.id, EPOCH)
    assert await ids(records, unfinished=True) == [job.id]


async def test_tidying_tells_the_jobs_that_are_not_over(ledger: Ledger, records: Records) -> None:
    running, done = [await registered(records, 1, id=name) for name in ("running", "done")]
    await begin(ledger, running)
    await succeed(ledger, await begin(ledger, done))
    for _ in range(2):
        assert [record.job.id for record in await records.tidy()] == [running.id]


async def test_tidying_changes_no_jobs_record(ledger: Ledger, records: Records) -> None:
    for name in ("running", "failed", "cancelled"):
        await registered(records, 1, id=name)
    await begin(ledger, a_job(1, id="running"))
    await fail(ledger, await begin(ledger, a_job(1, id="failed")))
    await cancel(records, a_job(id="cancelled"))
    before = await records.jobs()
    await records.tidy()
    assert await records.jobs() == before


async def test_filters_hold_together(ledger: Ledger, records: Records) -> None:
    for name, id_ in itertools.product(("one", "two"), ("a", "b")):
        await registered(records, 1, id=f"{id_}-{name}", name=name)
    await cancel(records, a_job(id="a-one"))
    assert await ids(records, name="one", unfinished=True) == ["b-one"]
    assert await ids(records, name="two", id_prefix="b", unfinished=True, limit=5) == ["b-two"]
