"""The same requests to the simulated service and to an emulator written by others: both say the same, and consume the
same units. Not compared: the wording of errors, the order of what a batch finds, and units where the emulator does not
tell them: of what it refuses, and of batches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.simulation.services.dynamodb import DynamoDb
from runner.aws import Aws, AwsError, Reply
from tests.dynamodb.emulator import connect, create_table, endpoint
from tests.simulation_services.requests import LOT, REQUESTS, TABLE, Request

EPOCH = 1_700_000_000.0
_numbers = count(1)


class Simulated:
    def __init__(self) -> None:
        self.service = DynamoDb(lambda: EPOCH)

    def consumed(self) -> float:
        meter = self.service.meter
        return sum(meter.reads.values()) + sum(meter.writes.values())

    async def ask(self, request: Request) -> tuple[Any, float]:
        before = self.consumed()
        said = await answer(self.service, request)
        return said, self.consumed() - before


async def ask_emulator(emulator: Aws, request: Request) -> tuple[Any, float | None]:
    """What it said, and the units that took, if it said that as well."""
    given = {**request.parameters, "ReturnConsumedCapacity": "TOTAL"}
    said = await answer(emulator, Request(request.operation, given))
    consumed = said.pop("ConsumedCapacity", None) if isinstance(said, dict) else None
    if (
        consumed is None or request.operation == LOT
    ):  # it takes one for each statement, whatever the item's size
        return said, None
    each = [consumed] if isinstance(consumed, dict) else consumed
    return said, sum(entry["CapacityUnits"] for entry in each)


async def answer(aws: Aws, request: Request) -> Any:
    try:
        reply = await aws.call("dynamodb", request.operation, **request.parameters)
    except AwsError as error:
        reasons = [(each["Code"], each.get("Item")) for each in error.details.get("CancellationReasons", ())]
        return error.code, error.resource, error.trouble, error.details.get("Item"), reasons
    said = {name: value for name, value in reply.items() if name != "ResponseMetadata"}
    if request.operation == LOT:
        return [(each.get("TableName"), *error_of(each)) for each in said["Responses"]]
    return {**said, "Responses": sorted_by_key(said)} if "Responses" in said else said


def error_of(statement: Mapping[str, Any]) -> tuple[Any, Any]:
    error = statement.get("Error", {})
    return error.get("Code"), error.get("Item")


def sorted_by_key(reply: Reply) -> Sequence[Any]:
    return sorted(reply["Responses"].popitem()[1], key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


def in_table(parameters: Mapping[str, Any], name: str) -> Any:
    """In a table, and with a token, that no other example has."""
    renamed = json.loads(json.dumps(parameters).replace(TABLE, name))
    if "ClientRequestToken" in renamed:
        renamed["ClientRequestToken"] += name
    return renamed


async def compare(requests: Sequence[Request]) -> None:
    simulated, emulator, name = Simulated(), connect(endpoint()), f"compared-{next(_numbers)}"
    try:
        await create_table(simulated.service, name)
        await create_table(emulator, name)
        for operation, parameters in requests:
            request = Request(operation, in_table(parameters, name))
            said, consumed = await simulated.ask(request)
            expected, units = await ask_emulator(emulator, request)
            assert said == expected
            assert units is None or consumed == units
    finally:
        await emulator.close()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(REQUESTS, min_size=1, max_size=20))
def test_the_simulated_service_answers_as_the_emulator_does(requests: list[Request]) -> None:
    asyncio.run(compare(requests))
