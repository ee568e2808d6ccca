"""What every manifest store keeps of an array's items. S3 is simulated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.simulation.services.s3 import SimulatedS3
from runner.adapters.manifests import LARGEST_ITEM, FileManifests
from runner.adapters.s3.manifests import S3Manifests
from runner.errors import BadInput, NotFound
from runner.ports import Manifests

ODD = ["", " ", "two\nlines", "\r", "\0", "ünïcödé", "\udcff", '"quoted"', "x" * LARGEST_ITEM]


@pytest.fixture(params=["files", "s3"])
def manifests(request: pytest.FixtureRequest, tmp_path: Path) -> Manifests:
    return FileManifests(tmp_path) if request.param == "files" else S3Manifests(SimulatedS3(), "bucket")


async def each(items: list[str]) -> AsyncIterator[str]:
    for item in items:
        yield item


async def test_what_was_put_is_got(manifests: Manifests) -> None:
    name = await manifests.put(ODD)
    assert [await manifests.get(name, index) for index in range(len(ODD))] == ODD


async def test_the_name_is_the_contents_however_it_comes(manifests: Manifests) -> None:
    assert await manifests.put(each(ODD)) == await manifests.put(ODD)
    assert await manifests.put(ODD) != await manifests.put(ODD[1:])


async def test_all_stores_give_the_same_content_the_same_name(manifests: Manifests) -> None:
    """An array moves from one installation to another without a new job."""
    assert (
        await manifests.put(["a", "b"]) == "14bdec8c77f9feebc3b047fa42657bac4babc6d05439548a956ee1a9edf35eab"
    )


async def test_a_large_array_is_found_everywhere(manifests: Manifests) -> None:
    name = await manifests.put(each([str(number) for number in range(120_000)]))
    for index in (0, 999, 1000, 49_999, 50_000, 119_999):
        assert await manifests.get(name, index) == str(index)


@pytest.mark.parametrize("index", [-1, 3, 10**9])
async def test_an_index_outside_is_not_found(manifests: Manifests, index: int) -> None:
    name = await manifests.put(["a", "b", "c"])
    with pytest.raises(NotFound, match="it has 3"):
        await manifests.get(name, index)


@pytest.mark.parametrize("name", ["0" * 64, "../logs/x", "", "blocks/" + "0" * 57])
async def test_an_unknown_manifest_is_not_found(manifests: Manifests, name: str) -> None:
    with pytest.raises(NotFound, match="no manifest"):
        await manifests.get(name, 0)


async def test_an_item_that_is_too_large_is_named(manifests: Manifests) -> None:
    with pytest.raises(BadInput, match="item 1 is larger"):
        await manifests.put(["a", "b" * (LARGEST_ITEM + 1)])


async def test_an_empty_array_is_a_manifest_too(manifests: Manifests) -> None:
    name = await manifests.put([])
    with pytest.raises(NotFound, match="it has 0"):
        await manifests.get(name, 0)
