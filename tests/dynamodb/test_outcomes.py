"""Whatever a task leaves behind, its record is written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.adapters.dynamodb import outcomes
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.codec import decode_outcome, encode_outcome
from runner.model import Charge, Outcome, Status, TaskId
from runner.records import Verdict
from tests.dynamodb.world import FAILURE, JOB, begin

LONG = "\udcff" * 100_000

TOO_LARGE = [
    replace(FAILURE, reason=LONG),
    replace(FAILURE, tail=(LONG,) * 20),
    replace(FAILURE, tail=tuple(LONG[:1000] for _ in range(500))),
    replace(FAILURE, metadata={"key": LONG}),
    replace(FAILURE, warning=LONG, image_digest=LONG, log=LONG),
    replace(FAILURE, warning=LONG, tail=(LONG,) * 50, reason=LONG, metadata={LONG: LONG}),
]


def test_an_outcome_of_usual_size_is_stored_as_it_is() -> None:
    assert outcomes.encode(FAILURE) == encode_outcome(FAILURE)


@pytest.mark.parametrize("outcome", TOO_LARGE)
def test_a_large_outcome_is_shortened_and_says_so(outcome: Outcome) -> None:
    stored = decode_outcome(outcomes.encode(outcome))
    assert "shortened" in stored.warning
    assert (stored.kind, stored.exit_code) == (outcome.kind, outcome.exit_code)


@pytest.mark.parametrize("outcome", TOO_LARGE)
def test_a_shortened_outcome_fits(outcome: Outcome) -> None:
    assert len(outcomes.encode(outcome)) <= outcomes.LARGEST


def test_the_last_lines_are_those_that_are_kept() -> None:
    lines = tuple(f"{number}: {LONG[:1500]}" for number in range(300))
    stored = decode_outcome(outcomes.encode(replace(FAILURE, tail=lines)))
    assert stored.tail[-1].startswith("299:")


@pytest.mark.parametrize("outcome", TOO_LARGE)
async def test_a_large_outcome_is_recorded_and_known_again(
    ledger: DynamoLedger, records: DynamoRecords, outcome: Outcome
) -> None:
    await records.register(JOB)
    attempt = await begin(ledger)
    await ledger.annotate(attempt, {"key": "x" * 65_536})
    verdict = Verdict(Status.FAILED, Charge.USER, reason=LONG)
    assert [await ledger.finish(attempt, outcome, verdict) for _ in range(2)] == [True, True]
    record = await records.task(TaskId(JOB.id, 0))
    assert record is not None
    assert record.status is Status.FAILED
