"""What scaling activities tell. Their texts are as the service writes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controller.adapters.asg_activities import trouble
from runner.aws import Reply

UNHEALTHY = (
    "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: "
    "Client.InternalError: Client error on launch"
)


def launch(status: str, at: float, message: str | None = None) -> Reply:
    when = datetime.fromtimestamp(at, UTC)
    activity = {
        "Description": "Launching a new EC2 instance",
        "StatusCode": status,
        "StartTime": when,
        "EndTime": when,
    }
    return activity if message is None else {**activity, "StatusMessage": message}


def test_instances_that_die_before_they_are_in_service_are_trouble() -> None:
    found = trouble([launch("Cancelled", 200.0, UNHEALTHY), launch("Cancelled", 100.0, UNHEALTHY)])
    assert found is not None
    assert (found.reason, found.since, found.last) == (UNHEALTHY, 100.0, 200.0)


@pytest.mark.parametrize(
    "activity",
    [
        pytest.param(launch("Cancelled", 100.0), id="a launch that nobody wants any more"),
        pytest.param(launch("Successful", 100.0), id="one that succeeded"),
        pytest.param(launch("PreInService", 100.0), id="one that goes on"),
        pytest.param({**launch("Failed", 100.0, "x"), "Description": "Terminating i-1"}, id="an end"),
    ],
)
def test_what_is_no_trouble(activity: Reply) -> None:
    assert trouble([activity]) is None


def test_trouble_before_the_last_success_is_over() -> None:
    assert trouble([launch("Successful", 200.0), launch("Failed", 100.0, "no capacity")]) is None
