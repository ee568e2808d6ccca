"""The simulated AWS Batch with what `destroy` needs beside jobs: job queues and compute environments are changed and
deleted, as the API reference has it.

Emulated: changes take a while (UPDATING, DELETING), in which nothing else may be asked of what is changed; only what is
DISABLED can be deleted, and an environment only when no job queue names it; an environment takes its hosts along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from controller.simulation.services.batch import Program, SimulatedBatch
from controller.simulation.services.batch_hosts import Environment, JobQueue
from controller.simulation.services.batch_requests import client_error
from runner.aws import Reply

CHANGE = 20.0

Tags = Mapping[str, str]


class BatchAccount(SimulatedBatch):
    """`tags` of queues and environments, by name."""

    def __init__(self, program: Program, queues: Sequence[JobQueue], tags: Mapping[str, Tags]) -> None:
        super().__init__(program, *queues)
        self._tags = tags
        self._made = {each.name: each for queue in queues for each in queue.environments}

    def _describe_job_queues(self, jobQueues: Sequence[str] = (), **_: Any) -> Reply:
        found = [each.described() for each in self.queues.values() if not jobQueues or each.name in jobQueues]
        return {"jobQueues": [{**each, "tags": self._tags.get(each["jobQueueName"], {})} for each in found]}

    def _describe_compute_environments(self, computeEnvironments: Sequence[str] = (), **_: Any) -> Reply:
        found = [
            each.described()
            for each in self._made.values()
            if not computeEnvironments or each.name in computeEnvironments
        ]
        tagged = [{**each, "tags": self._tags.get(each["computeEnvironmentName"], {})} for each in found]
        return {"computeEnvironments": tagged}

    def _update_job_queue(self, jobQueue: str, state: str) -> None:
        self._change(self.queues[jobQueue], state)

    def _update_compute_environment(self, computeEnvironment: str, state: str, **_: Any) -> None:
        self._change(self._made[computeEnvironment], state)

    def _change(self, changed: JobQueue | Environment, state: str) -> None:
        _still(changed)
        changed.state, changed.status = state, "UPDATING"
        asyncio.get_running_loop().call_later(CHANGE, setattr, changed, "status", "VALID")

    def _delete_job_queue(self, jobQueue: str) -> None:
        self._delete(self.queues[jobQueue], self.queues)

    def _delete_compute_environment(self, computeEnvironment: str) -> None:
        environment = self._made[computeEnvironment]
        if any(environment in queue.environments for queue in self.queues.values()):
            raise client_error("Cannot delete, found existing JobQueue relationship")
        self._delete(environment, self._made)

    @staticmethod
    def _delete(gone: Any, among: dict[str, Any]) -> None:
        _still(gone)
        if gone.state != "DISABLED":
            raise client_error("Cannot delete, resource is not DISABLED")
        gone.status = "DELETING"
        asyncio.get_running_loop().call_later(CHANGE, among.pop, gone.name)

    def _describe_job_definitions(self, jobDefinitionName: str = "", status: str = "", **more: Any) -> Reply:
        if jobDefinitionName:
            return super()._describe_job_definitions(jobDefinitionName, status, **more)
        active = [each for revisions in self.definitions.values() for each in revisions]
        return {
            "jobDefinitions": [
                {"jobDefinitionArn": each.arn, "tags": each.given.get("tags") or {}} for each in active
            ]
        }

    def _deregister_job_definition(self, jobDefinition: str) -> None:
        self.definitions = {
            name: left
            for name, revisions in self.definitions.items()
            if (left := [each for each in revisions if each.arn != jobDefinition])
        }


def _still(found: JobQueue | Environment) -> None:
    if found.status in ("UPDATING", "DELETING"):
        raise client_error("Cannot change, resource is being modified")
