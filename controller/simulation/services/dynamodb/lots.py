"""Statements that come in one request. Each is carried out, or refused, on its own: a lot is no transaction.

What the documentation leaves open is decided so: statements about the same item are refused all together, as in a batch
of writes; a statement that is throttled, or meets a transaction, is told so by itself; one that inserts what is there
does not show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.simulation.services.dynamodb import statements
from controller.simulation.services.dynamodb.core import Core
from controller.simulation.services.dynamodb.errors import Refused, invalid
from controller.simulation.services.dynamodb.writing import Write

OPERATION = "batch_execute_statement"
MOST = 25
DUPLICATE = {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}
# Those of the errors' codes that are not merely without their last word.
CODES = {"ValidationException": "ValidationError", "ThrottlingException": "ThrottlingError"}

Given = Mapping[str, Any]
Answer = Mapping[str, Any]


def carry_out(core: Core, given: Sequence[Given]) -> Mapping[str, Any]:
    if not 1 <= len(given) <= MOST:
        raise invalid(f"Member must have length between 1 and {MOST}")
    read = [_read(core, each) for each in given]
    items = [(each.table.name, each.key) for each in read if isinstance(each, Write)]
    if len(set(items)) < len(items):
        raise invalid("Provided list of item keys contains duplicates")
    return {"Responses": [_answer(core, each, one) for each, one in zip(given, read, strict=True)]}


def _read(core: Core, given: Given) -> Write | Refused:
    shows = given.get("ReturnValuesOnConditionCheckFailure", "NONE") == "ALL_OLD"
    try:
        statement = statements.read(given["Statement"])
        return statements.write(
            core.table(statement.table), statement, given.get("Parameters", ()), shows=shows
        )
    except Refused as refused:
        return refused


def _answer(core: Core, given: Given, write: Write | Refused) -> Answer:
    if isinstance(write, Refused):
        return {"Error": _error(write)}
    try:
        core.carry_out(OPERATION, write)
    except Refused as refused:
        error = _error(refused)
        if error["Code"] != "ConditionalCheckFailed":
            return {"Error": error}
        inserts = statements.read(given["Statement"]).inserts
        return {"Error": DUPLICATE if inserts else error, "TableName": write.table.name}
    return {"TableName": write.table.name}


def _error(refused: Refused) -> Mapping[str, Any]:
    code = CODES.get(refused.code) or refused.code.removesuffix("Exception")
    shown = {"Item": refused.details["Item"]} if "Item" in refused.details else {}
    return {"Code": code, "Message": str(refused), **shown}
