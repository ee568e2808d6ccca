"""What `runner.yaml` may say of AWS Batch: the section `batch`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from runner.batch_settings import BatchQueue, BatchSettings, job_queue_name, job_queues
from runner.fleet_file import LogGroupName, Name, QueueName, Region
from runner.schema import Section, checked, duration, flag, size, text
from runner.settings import FleetSettings
from runner.wording import Loc

GIB = 1024**3

_SETTINGS = BatchSettings("", "")
_QUEUE = BatchQueue("")

JobQueue = text(
    512,
    r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}|arn:aws[a-z-]*:batch:[a-z0-9-]+:[0-9]{12}:job-queue/[A-Za-z0-9_-]{1,128}",
    "a job queue's name or ARN",
)
RoleArn = text(2048, r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}", "an IAM role's ARN")


class BatchQueueSection(Section):
    job_queue: Annotated[str, checked(JobQueue)] | None = None
    fair: Annotated[bool, checked(flag)] = _QUEUE.fair
    fargate: Annotated[bool, checked(flag)] = _QUEUE.fargate
    disk: Annotated[int, checked(size(21 * GIB, 200 * GIB))] | None = None

    def queue(self, conventional: str) -> BatchQueue:
        return BatchQueue(self.job_queue or conventional, self.fair, self.fargate, self.disk)


class BatchSection(Section):
    name: Annotated[str, checked(Name)] | None = None
    region: Annotated[str, checked(Region)] | None = None
    queues: dict[Annotated[str, checked(QueueName)], BatchQueueSection] | None = None
    execution_role: Annotated[str, checked(RoleArn)] | None = None
    log_group: Annotated[str, checked(LogGroupName)] | None = None
    interval: Annotated[float, checked(duration(1, 3600))] = _SETTINGS.interval

    def wrong(self, *, in_cloud: bool) -> Iterator[tuple[Loc, str]]:
        """Places are from the top of the file. `in_cloud`: there is a section fleet that counts."""
        for key in ("name", "region"):
            if in_cloud and getattr(self, key) is not None:
                yield ("batch", key), f"is fleet.{key} in this mode; leave it out here"
            if not in_cloud and getattr(self, key) is None:
                yield ("batch",), f"needs {key} in mode embedded"
        if not in_cloud and not self.queues:
            yield ("batch",), "needs queues in mode embedded: the job queue that stands for each of yours"
        for name, queue in (self.queues or {}).items():
            if not in_cloud and queue.job_queue is None:
                yield ("batch", "queues", name), "needs job_queue: its name in AWS Batch"
            if queue.disk is not None and not queue.fargate:
                problem = "is for Fargate; on EC2 it is the environment's"
                yield ("batch", "queues", name, "disk"), problem

    def settings(self, fleet: FleetSettings | None) -> BatchSettings:
        """Call only where nothing is wrong."""
        name, region = (fleet.name, fleet.region) if fleet else (self.name or "", self.region or "")
        given = {
            queue: section.queue(job_queue_name(name, queue))
            for queue, section in (self.queues or {}).items()
        }
        return BatchSettings(
            name=name,
            region=region,
            queues={**(job_queues(name, fleet.queues) if fleet else {}), **given},
            execution_role=self.execution_role,
            log_group=self.log_group or (fleet.log_group if fleet else None) or _SETTINGS.log_group,
            interval=self.interval,
            deployed=fleet is not None,
        )
