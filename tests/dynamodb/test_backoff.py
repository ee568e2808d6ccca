"""A task that failed waits for as long as it should, whatever the clocks say of those who end and begin it."""

from __future__ import annotations

import pytest

from runner.adapters.dynamodb.records import DynamoRecords
from runner.model import Attempt, Charge, Status
from runner.records import RefusalKind, Verdict
from tests.dynamodb.world import FAILURE, JOB, World, ask, begin, refused

DELAY = 60.4


async def wait_after_failing(world: World, records: DynamoRecords, ahead: float, fraction: float) -> None:
    """It failed where the clock is `ahead`, at such a `fraction` of a second."""
    ledger = world.ledger(ahead=ahead)
    await records.register(JOB)
    attempt = await begin(ledger, owner="anna#1")
    world.skew += fraction
    await ledger.finish(attempt, FAILURE, Verdict(Status.RUNNABLE, Charge.USER, delay=DELAY))


cases = pytest.mark.parametrize(
    ("ahead", "fraction"), [(300.0, 0.0), (-300.0, 0.3), (0.0, 0.6), (300.0, 0.9)]
)


@cases
async def test_who_comes_when_it_has_waited_begins(
    world: World, records: DynamoRecords, ahead: float, fraction: float
) -> None:
    await wait_after_failing(world, records, ahead, fraction)
    world.skew += DELAY
    assert isinstance(await ask(world.ledger(ahead=-ahead), owner="bert#1"), Attempt)


@cases
async def test_who_comes_before_that_is_told_for_how_long_it_still_waits(
    world: World, records: DynamoRecords, ahead: float, fraction: float
) -> None:
    await wait_after_failing(world, records, ahead, fraction)
    world.skew += 20.0
    refusal = await refused(world.ledger(ahead=-ahead), owner="bert#1")
    assert refusal.kind is RefusalKind.TOO_EARLY
    assert refusal.retry_after == pytest.approx(DELAY - 20.0, abs=1.0)
