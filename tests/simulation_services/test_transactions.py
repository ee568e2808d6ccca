"""All or nothing, once."""

from __future__ import annotations

import asyncio
from typing import Any

from controller.simulation.clock import now
from controller.simulation.services.dynamodb import Behaviour, DynamoDb
from runner.aws import AwsError
from tests.dynamodb.emulator import create_table
from tests.simulation_services.table import EPOCH, NAME, OneTable, action, invalid, key, refusal
from tests.sqs.stage import virtual

CANCELLED = "TransactionCanceledException"


def reasons(error: AwsError) -> list[str]:
    return [each["Code"] for each in error.details["CancellationReasons"]]


def test_all_of_a_transaction_is_carried_out(table: OneTable) -> None:
    for sk in ("updated", "deleted", "checked"):
        table.put({**key(sk), "n": 1})
    table.transact(
        action("Put", Item={**key("put"), "n": 1}),
        action("Update", {":v": 1}, Key=key("updated"), UpdateExpression="SET #n = #n + :v"),
        action("Delete", Key=key("deleted")),
        action("ConditionCheck", {":v": 1}, "#n = :v", Key=key("checked")),
    )
    found = {sk: table.get(key(sk)) for sk in ("put", "updated", "deleted", "checked")}
    assert {sk: item and item["n"] for sk, item in found.items()} == {
        "put": 1,
        "updated": 2,
        "deleted": None,
        "checked": 1,
    }


def test_nothing_is_if_one_condition_is_not_met_and_each_has_its_reason(table: OneTable) -> None:
    table.put({**key("there"), "n": 1})
    shown = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    error = refusal(
        CANCELLED,
        table.transact,
        action("Put", Item=key("new")),
        action("Put", None, "attribute_not_exists(#pk)", Item=key("there"), **shown),
        action("Delete", None, "attribute_not_exists(#pk)", Key=key("there2")),
        action("ConditionCheck", None, "attribute_exists(#pk)", Key=key("nowhere"), **shown),
    )
    assert reasons(error) == ["None", "ConditionalCheckFailed", "None", "ConditionalCheckFailed"]
    assert error.details["CancellationReasons"][1]["Item"]["n"] == {"N": "1"}
    assert "Item" not in error.details["CancellationReasons"][3]
    assert table.get(key("new")) is None


def test_an_update_that_cannot_be_made_cancels_the_transaction(table: OneTable) -> None:
    table.put(key("1"))
    impossible = action("Update", {":v": 1}, Key=key("1"), UpdateExpression="SET #n = #n + :v")
    error = refusal(CANCELLED, table.transact, impossible, action("Put", Item=key("2")))
    assert reasons(error) == ["ValidationError", "None"]
    assert table.get(key("2")) is None


def test_a_transaction_that_is_not_well_made_is_refused(table: OneTable) -> None:
    def puts(count: int) -> list[Any]:
        return [action("Put", Item=key(str(number))) for number in range(count)]

    large = [action("Put", Item={**key(str(number)), "x": 390_000 * "x"}) for number in range(11)]
    table.transact(*puts(100))
    assert "length" in invalid(table.transact, *puts(101))
    assert "length" in invalid(table.transact)
    assert "one item" in invalid(table.transact, *puts(1), action("Delete", Key=key("0")))
    assert "4 MB" in invalid(table.transact, *large)


def test_a_check_needs_a_condition(table: OneTable) -> None:
    refusal("ParamValidation", table.transact, action("ConditionCheck", Key=key()))


def test_a_token_makes_it_happen_once_in_ten_minutes(table: OneTable) -> None:
    count = action("Update", {":v": 1}, Key=key(), UpdateExpression="ADD #n :v")
    for _ in range(3):
        table.transact(count, token="a-token")
        table.time += 299
    assert table.get(key()) == {**key(), "n": 1}
    table.transact(count, token="another")
    assert table.get(key()) == {**key(), "n": 2}
    table.transact(count, token="a-token")
    assert table.get(key()) == {**key(), "n": 3}


def test_a_token_is_for_one_request_only(table: OneTable) -> None:
    table.transact(action("Put", Item=key("1")), token="a-token")
    other = action("Put", Item=key("2"))
    refusal("IdempotentParameterMismatchException", table.transact, other, token="a-token")


def test_a_cancelled_transaction_may_be_tried_again_with_its_token(table: OneTable) -> None:
    put = action("Put", None, "attribute_not_exists(#pk)", Item={**key(), "n": 1})
    table.put(key())
    refusal(CANCELLED, table.transact, put, token="a-token")
    table.delete(key())
    table.transact(put, token="a-token")
    assert table.get(key()) == {**key(), "n": 1}


def test_a_token_has_1_to_36_characters(table: OneTable) -> None:
    for token in ("", 37 * "x"):
        refusal("ParamValidation", table.transact, action("Put", Item=key()), token=token)


def test_while_a_transaction_commits_it_conflicts_with_other_writes() -> None:
    table = OneTable(committing=0.1)
    put = action("Put", Item=key("1"))
    table.transact(put, token="a-token")
    refusal("TransactionConflictException", table.put, key("1"))
    refusal("TransactionInProgressException", table.transact, put, token="a-token")
    error = refusal(CANCELLED, table.transact, action("Put", Item=key("2")), put, token="another")
    assert reasons(error) == ["None", "TransactionConflict"]
    table.put(key("3"))
    table.time += 0.1
    table.put(key("1"))
    table.transact(put, token="a-token")


@virtual
async def test_a_transaction_has_committed_when_its_reply_comes() -> None:
    service = DynamoDb(now, behaviour=Behaviour(committing=0.1))
    await create_table(service, NAME)
    put: Any = action("Put", Item=key())

    async def write() -> str:
        try:
            await service.call("dynamodb", "put_item", **put["Put"])
        except AwsError as error:
            return error.code
        return ""

    running = asyncio.create_task(service.call("dynamodb", "transact_write_items", TransactItems=[put]))
    await asyncio.sleep(0.05)
    assert await write() == "TransactionConflictException"
    await running
    assert await write() == ""


def test_what_is_read_while_a_transaction_commits_is_all_of_it() -> None:
    table = OneTable(committing=0.1)
    table.transact(*(action("Put", Item=key(sk)) for sk in "123"))
    assert (table.sort_keys(), table.time) == (["1", "2", "3"], EPOCH)
