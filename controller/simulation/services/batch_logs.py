"""What tasks of the simulated AWS Batch wrote, as CloudWatch Logs gives it, and the hosts as Amazon ECS knows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.simulation.clock import now
from controller.simulation.services.batch import SimulatedBatch
from controller.simulation.services.batch_job import Run, milliseconds
from controller.simulation.services.service import Simulated, refused
from runner.aws import Reply

GROUP = "/aws/batch/job"


class SimulatedBatchLogs(Simulated):
    """One log group. Emulated: reading a stream page by page from either end; the same token again at its end."""

    service = "logs"

    def __init__(self, batch: SimulatedBatch, page: int = 10_000) -> None:
        super().__init__()
        self.streams: dict[str, list[dict[str, Any]]] = {}
        self._page = page
        batch.running.watch = self._write

    def _write(self, stream: str, run: Run) -> None:
        at = milliseconds(now())
        self.streams[stream] = [{"timestamp": at, "message": line} for line in run.lines]

    def _get_log_events(
        self,
        logGroupName: str,
        logStreamName: str,
        startFromHead: bool = False,
        limit: int = 10_000,
        nextToken: str = "",
    ) -> Reply:
        if logGroupName != GROUP or logStreamName not in self.streams:
            raise refused("ResourceNotFoundException", "The specified log stream does not exist.")
        events, most = self.streams[logStreamName], min(limit, self._page)
        begin = int(nextToken.partition("/")[2]) if nextToken else 0
        if not nextToken and not startFromHead:
            begin = max(0, len(events) - most)
        found = events[begin : begin + most]
        return {"events": found, "nextForwardToken": f"f/{begin + len(found)}"}


class SimulatedEcs(Simulated):
    """Emulated: which instance a container instance is, and of what type, while it is there."""

    service = "ecs"

    def __init__(self, batch: SimulatedBatch) -> None:
        super().__init__()
        self._batch = batch

    def _describe_container_instances(self, cluster: str, containerInstances: Sequence[str]) -> Reply:
        found = [host for host in self._batch.hosts() if host.arn in containerInstances]
        kinds = [
            {
                "containerInstanceArn": host.arn,
                "ec2InstanceId": host.id,
                "attributes": [{"name": "ecs.instance-type", "value": host.environment.instance_type}],
            }
            for host in found
            if host.environment.name == cluster.removesuffix("_Batch")
        ]
        return {"containerInstances": kinds}
