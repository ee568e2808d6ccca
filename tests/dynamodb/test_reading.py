"""What a newer program wrote is an error that says so, and in a list left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from runner.adapters.dynamodb import keys
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Condition
from runner.errors import StorageError
from runner.model import Status, TaskId
from runner.records import Ending, HostReport
from tests.dynamodb.world import EPOCH, JOB, World, begin, succeed

ANY = Condition("attribute_exists(#pk)")
TASK = TaskId(JOB.id, 0)
A_REPORT = HostReport("a", "1", "running", 2, 4096, 2, 4096, 0, (), (), 1, EPOCH, EPOCH)


@pytest.fixture
async def done(ledger: DynamoLedger, records: DynamoRecords) -> None:
    await records.register(JOB)
    await succeed(ledger, await begin(ledger))


async def test_a_job_of_a_newer_version_is_refused(world: World, done: None) -> None:
    await world.table.update(keys.body(JOB.id, 0), {"body": '{"v":99}'}, ANY)
    with pytest.raises(StorageError, match="newer"):
        await world.records().job(JOB.id)


async def test_a_state_of_a_newer_version_is_refused(world: World, done: None) -> None:
    await world.table.update(keys.state(JOB.id), {"v": 99}, ANY)
    with pytest.raises(StorageError, match="version 99"):
        await begin(world.ledger(), index=1)


async def test_an_outcome_of_a_newer_version_is_refused(world: World, done: None) -> None:
    await world.table.update(keys.task(TASK, 1), {"out": '{"v":99}'}, ANY)
    with pytest.raises(StorageError, match="newer"):
        await world.records().task(TASK)


@pytest.mark.parametrize(
    ("key", "changes"),
    [(keys.body("newer-body", 0), {"body": '{"v":99}'}), (keys.state("newer-state"), {"v": 99})],
    ids=["what was submitted", "where it stands"],
)
async def test_a_job_of_a_newer_version_does_not_keep_the_others_from_being_listed(
    world: World, records: DynamoRecords, key: keys.Key, changes: dict[str, object]
) -> None:
    await records.register(replace(JOB, id="old"))
    await records.register(replace(JOB, id=key.pk.removeprefix("J#"), created_at=JOB.created_at + 1))
    await world.table.update(key, changes, ANY)
    reader = world.records()
    for listing in (reader.jobs(), reader.jobs(limit=1), reader.jobs(unfinished=True), reader.tidy()):
        assert [record.job.id for record in await listing] == ["old"]


async def test_what_is_left_out_of_a_list_is_logged_once(world: World, records: DynamoRecords) -> None:
    await records.register(replace(JOB, id="logged"))
    await world.table.update(keys.body("logged", 0), {"body": '{"v":99}'}, ANY)
    with capture_logs() as logs:
        for _ in range(2):
            assert not await world.records().jobs()
    assert [each["id"] for each in logs] == ["logged"]
    assert "version 99" in logs[0]["reason"]


async def test_a_state_of_a_newer_version_does_not_keep_agents_from_learning_of_other_cancels(
    world: World, records: DynamoRecords
) -> None:
    for job_id in ("cancelled", "newer"):
        await records.register(replace(JOB, id=job_id))
    await records.end("cancelled", Ending(Status.CANCELLED, "", EPOCH))
    await world.table.update(keys.state("newer"), {"v": 99}, ANY)
    assert await world.ledger().cancelled(["newer", "cancelled"]) == {"cancelled"}


async def test_a_report_of_a_newer_version_does_not_keep_other_hosts_from_being_listed(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    for host in ("old", "newer"):
        await ledger.report(replace(A_REPORT, host=host))
    await world.table.update(keys.report("newer"), {"report": '{"v":99}'}, ANY)
    assert [host.host for host in await records.hosts()] == ["old"]
