"""What looks after the supervisor on its machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.deployment.attendance import MOST_FAILURES, attend
from tests.deploy.scripted import Scripted


async def _instance() -> str:
    return "i-1"


def look(memory: Path, well: bool) -> Scripted:
    async def healthy() -> bool:
        return well

    aws = Scripted({})
    asyncio.run(attend(aws, "f", healthy, _instance, memory))
    return aws


@pytest.mark.parametrize(("well", "value"), [(True, 1.0), (False, 0.0)])
def test_every_look_is_told_to_the_alarm(tmp_path: Path, well: bool, value: float) -> None:
    (told,) = look(tmp_path / "n", well).given("put_metric_data")
    (metric,) = told["MetricData"]
    assert (told["Namespace"], metric["MetricName"], metric["Value"]) == (
        "Runner",
        "ControllerHealthy",
        value,
    )


def test_a_machine_whose_supervisor_stays_ill_is_replaced(tmp_path: Path) -> None:
    looks = [look(tmp_path / "n", well=False) for _ in range(MOST_FAILURES)]
    assert [len(aws.given("set_instance_health")) for aws in looks] == [0] * (MOST_FAILURES - 1) + [1]
    assert looks[-1].given("set_instance_health")[0]["InstanceId"] == "i-1"


def test_what_passes_is_forgotten(tmp_path: Path) -> None:
    for _ in range(MOST_FAILURES - 1):
        look(tmp_path / "n", well=False)
    look(tmp_path / "n", well=True)
    assert look(tmp_path / "n", well=False).given("set_instance_health") == []


def test_a_spoilt_memory_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "n").write_text("?")
    assert look(tmp_path / "n", well=False).given("set_instance_health") == []
