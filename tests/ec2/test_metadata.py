"""The metadata client against a service on loopback (see `fake_metadata`)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from runner.adapters.ec2.metadata import Identity, InstanceMetadata, NoMetadata
from tests.ec2.fake_metadata import FakeMetadata, metadata_service


@pytest.fixture
async def service() -> AsyncIterator[FakeMetadata]:
    async with metadata_service() as fake:
        yield fake


@pytest.fixture
async def metadata(service: FakeMetadata) -> AsyncIterator[InstanceMetadata]:
    client = InstanceMetadata(service.url + "/")
    yield client
    await client.close()


async def test_what_is_there_is_read(service: FakeMetadata, metadata: InstanceMetadata) -> None:
    service.values["placement/region"] = "eu-west-1\n"
    answer = await metadata.get("placement/region")
    assert answer is not None
    assert answer.text == "eu-west-1"


async def test_what_is_not_there_is_nothing(metadata: InstanceMetadata) -> None:
    assert await metadata.get("spot/instance-action") is None


async def test_one_token_serves_many_reads(service: FakeMetadata, metadata: InstanceMetadata) -> None:
    for _ in range(5):
        await metadata.get("instance-id")
    assert service.issued == 1


async def test_a_token_that_is_not_known_any_more_is_replaced(
    service: FakeMetadata, metadata: InstanceMetadata
) -> None:
    await metadata.get("instance-id")
    service.forget_tokens()
    assert await metadata.get("instance-id") is not None


async def test_an_answer_says_when_it_was_given_by_the_services_clock(
    service: FakeMetadata, metadata: InstanceMetadata
) -> None:
    service.clock = 1_700_000_123.0
    answer = await metadata.get("instance-id")
    assert answer is not None
    assert answer.at == 1_700_000_123.0


async def test_an_error_of_the_service_is_told(service: FakeMetadata, metadata: InstanceMetadata) -> None:
    service.values["instance-id"] = 500
    with pytest.raises(NoMetadata, match="answers 500 to instance-id"):
        await metadata.get("instance-id")


async def test_a_service_that_is_not_there_is_told() -> None:
    client = InstanceMetadata("http://127.0.0.1:9")
    try:
        with pytest.raises(NoMetadata, match="does not answer"):
            await client.get("instance-id")
    finally:
        await client.close()


async def test_an_instance_knows_itself(metadata: InstanceMetadata) -> None:
    assert await metadata.identity() == Identity("i-0123456789abcdef0", "m7i.large")


@pytest.mark.parametrize("value", ["../../etc", "i-1 2", "", "<html>"])
async def test_what_cannot_be_an_instance_is_refused(
    service: FakeMetadata, metadata: InstanceMetadata, value: str
) -> None:
    service.values["instance-id"] = value
    with pytest.raises(NoMetadata, match="names no instance"):
        await metadata.identity()


async def test_an_instance_of_an_unknown_type_is_one_all_the_same(
    service: FakeMetadata, metadata: InstanceMetadata
) -> None:
    del service.values["instance-type"]
    assert (await metadata.identity()).instance_type == ""
