"""Queues, compute environments and their hosts, of the simulated AWS Batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.simulation.services.batch_job import Job, Json


@dataclass(eq=False)
class Host:
    """An EC2 instance, and what is free of it."""

    id: str
    environment: Environment
    vcpus: float
    memory: float
    jobs: set[Job] = field(default_factory=set)

    @property
    def arn(self) -> str:
        cluster = f"{self.environment.name}_Batch"
        return f"arn:aws:ecs:eu-west-1:123456789012:container-instance/{cluster}/{self.id}"

    def holds(self, job: Job) -> bool:
        return job.needs[0] <= self.vcpus and job.needs[1] <= self.memory

    def take(self, job: Job) -> None:
        self._use(job, 1)
        self.jobs.add(job)

    def give_back(self, job: Job) -> None:
        if job in self.jobs:
            self.jobs.discard(job)
            self._use(job, -1)

    def _use(self, job: Job, sign: int) -> None:
        self.vcpus -= sign * job.needs[0]
        self.memory -= sign * job.needs[1]


@dataclass(eq=False)
class Environment:
    """A compute environment of one instance type. `memory` of an instance in MiB; `boot`: seconds until it is there."""

    name: str = "machines"
    most_vcpus: float = 256.0
    vcpus: float = 16.0
    memory: float = 64 * 1024.0
    boot: float = 90.0
    instance_type: str = "m6i.4xlarge"
    state: str = "ENABLED"
    status: str = "VALID"
    status_reason: str = ""
    hosts: list[Host] = field(default_factory=list)
    booting: int = 0

    def could_hold(self, job: Job) -> bool:
        return job.needs[0] <= self.vcpus and job.needs[1] <= self.memory

    @property
    def usable(self) -> bool:
        return self.state == "ENABLED" and self.status == "VALID"

    @property
    def desired(self) -> float:
        return (len(self.hosts) + self.booting) * self.vcpus

    def missing(self, vcpus: float) -> int:
        """How many more hosts so much waiting work asks for, of those there may be."""
        wanted = -int(-vcpus // self.vcpus) - self.booting
        allowed = int((self.most_vcpus - self.desired) // self.vcpus)
        return max(0, min(wanted, allowed))

    def described(self) -> Json:
        resources = {"type": "EC2", "minvCpus": 0, "maxvCpus": int(self.most_vcpus)}
        return {
            "computeEnvironmentName": self.name,
            "computeEnvironmentArn": environment_arn(self.name),
            "type": "MANAGED",
            "state": self.state,
            "status": self.status,
            "statusReason": self.status_reason,
            "computeResources": {
                **resources,
                "desiredvCpus": int(self.desired),
                "instanceTypes": [self.instance_type],
            },
        }


@dataclass(eq=False)
class JobQueue:
    name: str = "default"
    environments: Sequence[Environment] = ()
    priority: int = 1
    state: str = "ENABLED"
    status: str = "VALID"
    waiting: deque[Job] = field(default_factory=deque)

    def described(self) -> Json:
        order = [
            {"order": number, "computeEnvironment": environment_arn(each.name)}
            for number, each in enumerate(self.environments, start=1)
        ]
        return {
            "jobQueueName": self.name,
            "jobQueueArn": f"arn:aws:batch:eu-west-1:123456789012:job-queue/{self.name}",
            "state": self.state,
            "status": self.status,
            "priority": self.priority,
            "computeEnvironmentOrder": order,
        }


def environment_arn(name: str) -> str:
    return f"arn:aws:batch:eu-west-1:123456789012:compute-environment/{name}"
