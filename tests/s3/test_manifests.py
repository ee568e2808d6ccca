"""Manifests in simulated S3."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.simulation.services.s3 import SimulatedS3
from controller.simulation.services.service import throttled
from runner.adapters.s3.manifests import BLOCK, CACHE, LARGEST_ITEM, MOST_IN_BLOCK, S3Manifests
from runner.aws import AwsError
from runner.errors import NotFound, StorageError

ODD = ["", " ", "two\nlines", "\r", "\0", "ünïcödé", "\udcff", '"quoted"', "x" * LARGEST_ITEM]


def pair() -> tuple[SimulatedS3, S3Manifests]:
    aws = SimulatedS3()
    return aws, S3Manifests(aws, "bucket")


async def each(items: list[str]) -> AsyncIterator[str]:
    for item in items:
        yield item


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=30))
async def test_any_items_come_back_at_their_index(items: list[str]) -> None:
    _, manifests = pair()
    name = await manifests.put(each(items))
    assert [await manifests.get(name, index) for index in range(len(items))] == items


async def test_the_same_items_are_the_same_objects() -> None:
    aws, manifests = pair()
    first = await manifests.put(ODD)
    before = dict(aws.objects)
    assert (await manifests.put(each(ODD)), aws.objects) == (first, before)


async def test_a_million_items_are_found_at_both_ends_and_at_the_seams() -> None:
    _, manifests = pair()
    name = await manifests.put([str(number) for number in range(1_000_000)])
    for index in (0, MOST_IN_BLOCK - 1, MOST_IN_BLOCK, 999_999):
        assert await manifests.get(name, index) == str(index)


async def test_a_million_tasks_of_one_agent_need_less_than_a_request_for_a_hundred() -> None:
    """Of 200 bytes each, in the order in which they are enqueued; here the first hundred thousand."""
    aws, manifests = pair()
    items = [f"s3://bucket/{number:0>186}" for number in range(100_000)]
    name = await manifests.put(items)
    puts = len(aws.calls)
    for index in range(len(items)):
        await manifests.get(name, index)
    assert puts / len(items) < 0.001
    assert (len(aws.calls) - puts) / len(items) < 0.001


async def test_one_item_does_not_take_the_whole_manifest() -> None:
    aws, manifests = pair()
    name = await manifests.put([f"{number:01000}" for number in range(50_000)])
    aws.calls.clear()
    await manifests.get(name, 49_999)
    assert sum(len(aws.objects[call["Key"]]) for call in aws.called("get_object")) < BLOCK + 10_000


async def test_tasks_that_begin_together_fetch_once() -> None:
    aws, manifests = pair()
    name = await manifests.put(["a", "b", "c"])
    aws.calls.clear()
    await asyncio.gather(*(manifests.get(name, index % 3) for index in range(16)))
    assert len(aws.calls) == 2


async def test_what_an_agent_keeps_is_bounded() -> None:
    _, manifests = pair()
    name = await manifests.put([f"{number:060000}" for number in range(2 * CACHE // 60_000)])
    for index in range(0, 2 * CACHE // 60_000, 10):
        await manifests.get(name, index)
    assert manifests._blocks._size <= CACHE


async def test_a_name_that_could_lead_elsewhere_is_not_asked_for() -> None:
    aws, manifests = pair()
    with pytest.raises(NotFound):
        await manifests.get("../secret", 0)
    assert aws.calls == []


async def test_items_that_were_not_all_stored_are_no_manifest() -> None:
    aws, manifests = pair()
    aws.failing["put_object"].extend([throttled()])
    with pytest.raises(AwsError):
        await manifests.put(["a"])
    assert aws.objects == {}


async def test_a_block_that_was_changed_is_noticed() -> None:
    aws, manifests = pair()
    name = await manifests.put(["a"])
    [block] = [key for key in aws.objects if "/blocks/" in key]
    aws.objects[block] = b'"b"\n'
    with pytest.raises(StorageError, match="damaged"):
        await manifests.get(name, 0)


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[]",
        b"{}",
        b'{"v":2,"blocks":[]}',
        b'{"v":1,"blocks":[["../../logs/x",1]]}',
        b'{"v":1,"blocks":[1]}',
    ],
)
async def test_an_index_that_is_none_is_noticed(index: bytes) -> None:
    aws, manifests = pair()
    name = await manifests.put(["a"])
    aws.objects[f"manifests/{name}"] = index
    with pytest.raises(StorageError, match="damaged"):
        await manifests.get(name, 0)


async def test_an_index_that_promises_too_many_is_noticed() -> None:
    aws, manifests = pair()
    name = await manifests.put(["a"])
    index = json.loads(aws.objects[f"manifests/{name}"])
    index["blocks"][0][1] = 5
    aws.objects[f"manifests/{name}"] = json.dumps(index).encode()
    with pytest.raises(StorageError, match="damaged"):
        await manifests.get(name, 4)
