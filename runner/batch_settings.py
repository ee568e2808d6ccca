"""What an installation sets for AWS Batch, as frozen values.

Every resource there is named after the installation: the job queue `NAME-QUEUE`, the role `NAME-batch-execution`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

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
    Fargate. `deployed`: `deploy` made one where none is given. `interval`: seconds between two looks at what AWS Batch
    does.
    """

    name: str
    region: str
    queues: Mapping[str, BatchQueue] = field(default_factory=dict)
    execution_role: str | None = None
    log_group: str = LOG_GROUP
    interval: float = 10.0
    deployed: bool = False

    @property
    def has_execution_role(self) -> bool:
        return self.deployed or self.execution_role is not None

    @property
    def needs_account(self) -> bool:
        """Whether the execution role's ARN is to be completed by `in_account_of`."""
        return self.deployed and self.execution_role is None

    def in_account_of(self, caller: str) -> BatchSettings:
        """With the role's ARN as the account has it that the ARN `caller` is of."""
        if not self.needs_account:
            return self
        _, partition, _, _, account, *_ = caller.split(":")
        role = f"arn:{partition}:iam::{account}:role/{execution_role_name(self.name)}"
        return replace(self, execution_role=role)


def execution_role_name(installation: str) -> str:
    return f"{installation}-batch-execution"


def job_queue_name(installation: str, queue: str) -> str:
    return f"{installation}-{queue}"


def job_queues(installation: str, queues: Iterable[str]) -> dict[str, BatchQueue]:
    """Those that `deploy` makes."""
    return {queue: BatchQueue(job_queue_name(installation, queue)) for queue in queues}
