"""What every ledger must do with what agents say while they work: beats, metadata, reports."""

from __future__ import annotations

from controller.ports import Records
from runner.model import Attempt, TaskId
from runner.ports import Ledger
from runner.records import HostReport
from tests.contracts.acts import (
    ANNA,
    ANNA_AGAIN,
    BERT,
    begin,
    cancel,
    give_back,
    refused,
    registered,
    stored,
    succeed,
)
from tests.contracts.rigs import EPOCH, Rig


async def test_touching_what_runs_returns_nothing(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    assert not await ledger.touch([await begin(ledger, job, index) for index in range(3)])


async def test_touching_nothing_is_harmless(ledger: Ledger) -> None:
    assert not await ledger.touch([])


async def test_touching_a_finished_attempt_returns_it(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    running, finished = await begin(ledger, job, 0), await begin(ledger, job, 1)
    await succeed(ledger, finished)
    assert list(await ledger.touch([running, finished])) == [finished]


async def test_touching_a_replaced_attempt_returns_it(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    old = await begin(ledger, job, owner=ANNA)
    await begin(ledger, job, owner=ANNA_AGAIN)
    assert list(await ledger.touch([old])) == [old]


async def test_a_late_beat_of_a_replaced_attempt_does_not_count_for_the_new_one(
    rig: Rig, ledger: Ledger, records: Records
) -> None:
    job = await registered(records)
    old = await begin(ledger, job, owner=ANNA)
    await begin(ledger, job, owner=ANNA_AGAIN)
    refusal = await refused(ledger, job, owner=BERT)
    await ledger.touch([old])
    assert refusal.retry_after is not None
    await rig.advance(refusal.retry_after)
    assert (await begin(ledger, job, owner=BERT)).number == 3


async def test_touching_an_unknown_jobs_attempt_returns_it(ledger: Ledger) -> None:
    attempt = Attempt(TaskId("nowhere", 0), 1, 1, ANNA, 1)
    assert list(await ledger.touch([attempt])) == [attempt]


async def test_metadata_is_shown_while_the_attempt_runs(ledger: Ledger, records: Records) -> None:
    await ledger.annotate(await begin(ledger, await registered(records)), {"epoch": "3"})
    assert (await stored(records)).metadata == {"epoch": "3"}


async def test_metadata_is_replaced_not_merged(ledger: Ledger, records: Records) -> None:
    attempt = await begin(ledger, await registered(records))
    await ledger.annotate(attempt, {"epoch": "3"})
    await ledger.annotate(attempt, {"loss": "0.1"})
    assert (await stored(records)).metadata == {"loss": "0.1"}


async def test_metadata_of_the_outcome_stands_at_last(ledger: Ledger, records: Records) -> None:
    attempt = await begin(ledger, await registered(records))
    await ledger.annotate(attempt, {"epoch": "3"})
    await succeed(ledger, attempt, metadata={"epoch": "4"})
    assert (await stored(records)).metadata == {"epoch": "4"}


async def test_a_replaced_attempt_cannot_annotate(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    old = await begin(ledger, job, owner=ANNA)
    await begin(ledger, job, owner=ANNA_AGAIN)
    await ledger.annotate(old, {"epoch": "3"})
    assert (await stored(records)).metadata == {}


async def test_a_next_attempt_starts_without_metadata(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    attempt = await begin(ledger, job)
    await ledger.annotate(attempt, {"epoch": "3"})
    await give_back(ledger, attempt)
    await begin(ledger, job)
    assert (await stored(records)).metadata == {}


async def test_a_job_that_runs_is_not_among_the_cancelled(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    assert not await ledger.cancelled([job.id])


async def test_a_cancelled_job_is_among_the_cancelled(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await registered(records, id="job-2")
    await cancel(records, job)
    assert set(await ledger.cancelled(["job-1", "job-2", "unknown"])) == {"job-1"}


def a_report(host: str = "anna", seen_at: float = EPOCH, **changes: object) -> HostReport:
    values = {
        "host": host,
        "incarnation": "1",
        "state": "running",
        "vcpus": 2.0,
        "memory": 1024,
        "free_vcpus": 1.5,
        "free_memory": 512,
        "tasks": 1,
        "engines": ("docker", "process"),
        "queues": ("default",),
        "pid": 42,
        "started_at": EPOCH - 100,
        "seen_at": seen_at,
    }
    return HostReport(**{**values, **changes})  # type: ignore[arg-type]


async def test_a_host_that_reported_is_listed_as_it_said(ledger: Ledger, records: Records) -> None:
    await ledger.report(a_report(note="disk low"))
    assert list(await records.hosts()) == [a_report(note="disk low")]


async def test_a_hosts_new_report_replaces_its_old(ledger: Ledger, records: Records) -> None:
    await ledger.report(a_report(tasks=1))
    await ledger.report(a_report(tasks=2))
    assert [host.tasks for host in await records.hosts()] == [2]


async def test_hosts_are_listed_last_seen_first(ledger: Ledger, records: Records) -> None:
    for number, name in enumerate(("anna", "bert", "carl")):
        await ledger.report(a_report(name, EPOCH + number))
    assert [host.host for host in await records.hosts()] == ["carl", "bert", "anna"]


async def test_a_retired_host_is_not_listed(ledger: Ledger, records: Records) -> None:
    await ledger.report(a_report())
    await ledger.report(a_report(state="retired"))
    assert not await records.hosts()


async def test_an_old_incarnation_retiring_late_does_not_hide_the_new(
    ledger: Ledger, records: Records
) -> None:
    await ledger.report(a_report(incarnation="1"))
    await ledger.report(a_report(incarnation="2"))
    await ledger.report(a_report(incarnation="1", state="retired"))
    assert [host.incarnation for host in await records.hosts()] == ["2"]


async def test_without_a_leader_nobody_supervises(ledger: Ledger) -> None:
    supervision = await ledger.supervision()
    assert (supervision.led, supervision.demand) == (False, 0)


async def test_agents_learn_the_demand_that_the_leader_publishes(ledger: Ledger, records: Records) -> None:
    await records.lead("one", 60.0)
    await records.publish("one", 17)
    supervision = await ledger.supervision()
    assert (supervision.led, supervision.demand) == (True, 17)


async def test_a_note_comes_with_the_demand(ledger: Ledger, records: Records) -> None:
    await records.lead("one", 60.0)
    await records.publish("one", 17, '{"reason": "seventeen \u2026"}')
    assert (await ledger.supervision()).note == '{"reason": "seventeen \u2026"}'


async def test_a_new_note_takes_the_place_of_the_old_though_the_demand_is_the_same(
    ledger: Ledger, records: Records
) -> None:
    await records.lead("one", 60.0)
    for note in ("one", "two", ""):
        await records.publish("one", 17, note)
        supervision = await ledger.supervision()
        assert (supervision.demand, supervision.note) == (17, note)


async def test_agents_learn_that_the_leader_is_gone(rig: Rig, ledger: Ledger, records: Records) -> None:
    await records.lead("one", 60.0)
    await rig.advance(61.0)
    assert not (await ledger.supervision()).led
