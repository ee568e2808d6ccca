"""What an installation sets for AWS Batch, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# AWS Batch's own: all jobs of a region write to it, unless their definition says otherwise.
LOG_GROUP = "/aws/batch/job"


@dataclass(frozen=True, slots=True)
class BatchQueue:
    """The job queue that stands for one of ours. `fair`: it has a fair-share policy, and a user's jobs are one share.
    `fargate`: its environments are Fargate's; there `disk` is a task's ephemeral storage in bytes, None: as it comes.
    On EC2 the disk is the launch template's, and the instance's tasks share it.
    """

    job_queue: str
    fair: bool = False
    fargate: bool = False
    disk: int | None = None


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """`name`: the installation's; what it makes in AWS Batch begins with it. `queues`: by the names that jobs use.
    `execution_role`: the ARN of the role that reads secrets and pulls images for a task; needed with secrets, and on
    Fargate. `interval`: seconds between two looks at what AWS Batch does.
    """

    name: str
    region: str
    queues: Mapping[str, BatchQueue] = field(default_factory=dict)
    execution_role: str | None = None
    log_group: str = LOG_GROUP
    interval: float = 10.0
