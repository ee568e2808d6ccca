"""Which calls are repeated, how often, and after how long."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from controller.simulation import clock as virtual_time
from runner.adapters.dynamodb import keys
from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.retries import TRIES
from runner.adapters.dynamodb.table import ABSENT, Table
from runner.aws import AwsError, Reply, Trouble

KEY = Key("a", "b")


class Scripted:
    """Answers with what it was given, one after the other."""

    def __init__(self, *answers: Reply | AwsError) -> None:
        self._answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        self.asked.append({**parameters, "urgent": urgent})
        answer = self._answers.pop(0)
        if isinstance(answer, AwsError):
            raise answer
        return answer

    async def close(self) -> None: ...


def an_error(code: str, trouble: Trouble, **details: Any) -> AwsError:
    return AwsError("dynamodb:Something", "a-table", code, "as planned", trouble, details)


THROTTLED = an_error("ProvisionedThroughputExceededException", Trouble.THROTTLED)
BROKEN = an_error("InternalServerError", Trouble.SERVER)
UNREACHABLE = an_error("ReadTimeout", Trouble.UNREACHABLE)
DENIED = an_error("AccessDeniedException", Trouble.DENIED)
REFUSED = an_error("ConditionalCheckFailedException", Trouble.REFUSED, Item={"pk": {"S": "a"}})
CONFLICT = an_error("TransactionConflictException", Trouble.REFUSED)


def cancelled(*codes: str) -> AwsError:
    reasons = [{"Code": code} for code in codes]
    return an_error("TransactionCanceledException", Trouble.REFUSED, CancellationReasons=reasons)


def a_table(aws: Scripted, jitter: float = 0.0) -> Table:
    return Table(aws, "a-table", lambda: jitter)


@pytest.mark.parametrize("error", [THROTTLED, BROKEN, CONFLICT])
async def test_what_passes_is_waited_out(error: AwsError) -> None:
    aws = Scripted(*[error] * (TRIES - 1), {})
    assert (await a_table(aws).put({"pk": "a", "sk": "b"})).ok


@pytest.mark.parametrize("error", [THROTTLED, BROKEN, CONFLICT])
async def test_what_does_not_pass_is_told(error: AwsError) -> None:
    aws = Scripted(*[error] * 50)
    with pytest.raises(AwsError):
        await a_table(aws).put({"pk": "a", "sk": "b"})
    assert len(aws.asked) == TRIES


async def test_a_broken_connection_is_tried_once_more() -> None:
    aws = Scripted(UNREACHABLE, UNREACHABLE)
    with pytest.raises(AwsError):
        await a_table(aws).get(KEY)
    assert len(aws.asked) == 2


async def test_what_is_denied_is_not_repeated() -> None:
    aws = Scripted(DENIED)
    with pytest.raises(AwsError, match="doctor"):
        await a_table(aws).get(KEY)


async def test_a_refused_condition_is_an_answer_with_what_was_found() -> None:
    aws = Scripted(REFUSED)
    assert await a_table(aws).put({"pk": "a", "sk": "b"}, ABSENT) == (False, {"pk": "a"})


async def test_a_transaction_that_met_another_is_repeated() -> None:
    aws = Scripted(cancelled("None", "TransactionConflict"), {})
    assert await a_table(aws).transact([({"pk": "a", "sk": "b"}, None)], "token")


async def test_a_repeated_transaction_carries_the_same_token() -> None:
    aws = Scripted(BROKEN, {})
    await a_table(aws).transact([({"pk": "a", "sk": "b"}, None)], "token")
    assert [asked["ClientRequestToken"] for asked in aws.asked] == ["token", "token"]


async def test_a_transaction_cancelled_by_a_condition_is_not_repeated() -> None:
    aws = Scripted(cancelled("ConditionalCheckFailed", "TransactionConflict"))
    assert not await a_table(aws).transact([({"pk": "a", "sk": "b"}, ABSENT)], "token")


def pauses(jitter: float) -> list[float]:
    """Seconds between the tries of a call that is throttled for ever."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        at: list[float] = []

        class Slow(Scripted):
            async def call(self, *given: Any, **parameters: Any) -> Reply:
                at.append(loop.time())
                raise THROTTLED

        with pytest.raises(AwsError):
            await a_table(Slow(), jitter).get(KEY)
        return [later - earlier for earlier, later in itertools.pairwise(at)]

    return virtual_time.run(main())


def test_pauses_grow() -> None:
    found = pauses(1.0)
    assert found == sorted(found)
    assert found[-1] >= 8 * found[0]


def test_pauses_are_spread_by_chance() -> None:
    assert sum(pauses(0.1)) < sum(pauses(0.9)) / 5


def keys_reply(*names: str, left: tuple[str, ...] = ()) -> Reply:
    reply: dict[str, Any] = {"Responses": {"a-table": [{"pk": {"S": name}} for name in names]}}
    if left:
        reply["UnprocessedKeys"] = {"a-table": {"Keys": [{"pk": {"S": name}} for name in left]}}
    return reply


async def test_keys_left_unread_are_asked_for_again() -> None:
    aws = Scripted(keys_reply("a", left=("b", "c")), keys_reply("b", "c"))
    found = await a_table(aws).batch([Key(name, "") for name in "abc"])
    assert [item["pk"] for item in found] == ["a", "b", "c"]
    assert aws.asked[1]["RequestItems"]["a-table"]["Keys"] == [{"pk": {"S": "b"}}, {"pk": {"S": "c"}}]


async def test_keys_left_unread_for_ever_are_an_error() -> None:
    aws = Scripted(*[keys_reply(left=("a",))] * 100)
    with pytest.raises(AwsError, match="unread"):
        await a_table(aws).batch([KEY])


async def test_many_keys_are_asked_for_a_hundred_at_a_time() -> None:
    aws = Scripted(*[keys_reply()] * 3)
    await a_table(aws).batch([Key(str(number), "") for number in range(250)])
    sizes = sorted(len(asked["RequestItems"]["a-table"]["Keys"]) for asked in aws.asked)
    assert sizes == [50, 100, 100]


async def test_a_key_is_asked_for_once() -> None:
    aws = Scripted(keys_reply())
    await a_table(aws).batch([KEY, KEY])
    assert len(aws.asked[0]["RequestItems"]["a-table"]["Keys"]) == 1


async def test_a_partition_is_read_to_its_last_page() -> None:
    pages = [
        {"Items": [{"sk": {"S": "1"}}], "LastEvaluatedKey": {"sk": {"S": "1"}}},
        {"Items": [], "LastEvaluatedKey": {"sk": {"S": "2"}}},
        {"Items": [{"sk": {"S": "3"}}]},
    ]
    aws = Scripted(*pages)
    assert [item["sk"] async for item in a_table(aws).query("a")] == ["1", "3"]
    assert aws.asked[2]["ExclusiveStartKey"] == {"sk": {"S": "2"}}


async def test_only_the_hurried_table_hurries() -> None:
    aws = Scripted({}, {})
    table = a_table(aws)
    await table.get(KEY)
    await table.hurried().get(KEY)
    assert [asked["urgent"] for asked in aws.asked] == [False, True]


@pytest.mark.parametrize(
    ("size", "buckets"), [(1, 1), (1_999, 1), (10_000, 10), (64_000, 64), (1_000_000, 64)]
)
def test_large_jobs_are_spread_over_partitions(size: int, buckets: int) -> None:
    assert keys.buckets_for(size) == buckets
