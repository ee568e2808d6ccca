"""How long calls wait. Emulated: the session, which hands out clients that answer at once."""

from __future__ import annotations

from typing import Any

from botocore.config import Config

from runner.adapters.boto import BotoAws


class AnsweringSession:
    """Keeps the settings of the clients it made, in order."""

    def __init__(self) -> None:
        self.made: list[Config] = []

    def client(self, *_: Any, config: Config, **__: Any) -> Any:
        self.made.append(config)
        return Answering()


class Answering:
    def list_tables(self) -> dict[str, Any]:
        return {}

    def terminate_instance_in_auto_scaling_group(self) -> dict[str, Any]:
        return {}

    def close(self) -> None: ...


async def made_for(operation: str = "list_tables", *, urgent: bool) -> Any:
    session = AnsweringSession()
    aws = BotoAws(session=session)
    await aws.call("any", operation, urgent=urgent)
    await aws.close()
    (config,) = session.made
    return config


async def test_a_call_waits_for_longer_than_the_longest_poll_of_a_queue() -> None:
    assert (await made_for(urgent=False)).read_timeout > 20.0


async def test_an_urgent_call_gives_up_within_half_a_lease_of_thirty_seconds() -> None:
    config = await made_for(urgent=True)
    assert config.read_timeout * config.retries["total_max_attempts"] <= 15.0


async def test_what_must_not_happen_twice_is_asked_for_once_however_urgent() -> None:
    for urgent in (False, True):
        config = await made_for("terminate_instance_in_auto_scaling_group", urgent=urgent)
        assert config.retries["total_max_attempts"] == 1


async def test_an_urgent_call_does_not_change_how_long_others_wait() -> None:
    session = AnsweringSession()
    aws = BotoAws(session=session)
    for urgent in (True, False, True):
        await aws.call("any", "list_tables", urgent=urgent)
    await aws.close()
    first, second = (config.read_timeout for config in session.made)
    assert first < second
