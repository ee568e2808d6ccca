"""Looks after the supervisor from beside it: tells CloudWatch how it is, and has the machine replaced if it stays ill.

systemd restarts a supervisor that has ended; this is for one that runs and does nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from controller.deployment.alarms import HEALTHY
from controller.deployment.policies import METRICS
from runner.aws import Aws

# In a row. Fewer would replace a machine for what passes, as when AWS itself does not answer.
MOST_FAILURES = 10


async def attend(
    aws: Aws,
    fleet: str,
    healthy: Callable[[], Awaitable[bool]],
    instance: Callable[[], Awaitable[str]],
    memory: Path,
) -> bool:
    """Whether it is well. `memory` is where the failures in a row are counted. Raises Unavailable."""
    well = await healthy()
    failures = 0 if well else _counted(memory) + 1
    _count(memory, failures)
    if failures >= MOST_FAILURES:
        await aws.call(
            "autoscaling",
            "set_instance_health",
            InstanceId=await instance(),
            HealthStatus="Unhealthy",
            ShouldRespectGracePeriod=False,
        )
    dimension = {"Name": "Fleet", "Value": fleet}
    metric = {"MetricName": HEALTHY, "Dimensions": [dimension], "Value": 1.0 if well else 0.0}
    await aws.call("cloudwatch", "put_metric_data", Namespace=METRICS, MetricData=[metric])
    return well


def _counted(memory: Path) -> int:
    try:
        return int(memory.read_text())
    except (OSError, ValueError):
        return 0


def _count(memory: Path, failures: int) -> None:
    memory.write_text(str(failures))
