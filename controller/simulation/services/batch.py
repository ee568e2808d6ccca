"""AWS Batch behind the `Aws` port, as its API reference and user guide describe it, in the event loop's time.

Emulated: job definitions and their revisions; single and array jobs of 2 to 10,000 children with their variables,
those that are not empty; statuses from SUBMITTED to FAILED with times and reasons; dependencies on success; attempts,
retry strategies with conditions, time limits from an attempt's start that are never retried; TerminateJob and
CancelJob, by id; queues by priority, first come first served, hosts that boot, fill and are lost; the passing
MISCONFIGURATION of a queue whose hosts still boot (`running.hesitant`); names that a listing learns late (`lag`);
throttling (`per_second`); limits of payload, of overrides and of what is asked at once; jobs forgotten 7 days after
their end.

What the documents leave open is decided so: a child that is stopped with its parent has the parent's reason; an id that
nobody has is stopped without an error; a child is forgotten by its own end, be it before its parent; a running job has
no entry in `attempts` for the attempt that runs.

Not emulated: fair share, scale in, multi-node jobs, EKS.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from controller.simulation.clock import now, outside
from controller.simulation.services.batch_hosts import Environment, Host, JobQueue
from controller.simulation.services.batch_job import LIVE, WAITING, Definition, Job, Json, Run
from controller.simulation.services.batch_requests import (
    check_definition,
    check_described,
    check_submission,
    client_error,
    overrides_of,
)
from controller.simulation.services.batch_running import Running
from controller.simulation.services.service import RateLimited
from runner.aws import Reply

KEPT = 7 * 86400.0
BY_STATUS, BY_FILTER = 1000, 100

Program = Callable[[Mapping[str, str], Sequence[str]], Run]


class SimulatedBatch(RateLimited):
    """`program`: what a container does with its variables and command."""

    service = "batch"
    too_many = ("TooManyRequestsException", "Too Many Requests")

    def __init__(self, program: Program, *queues: JobQueue) -> None:
        super().__init__()
        self.queues = {queue.name: queue for queue in queues or (JobQueue(environments=(Environment(),)),)}
        self.running = Running(program, self.queues)
        self.jobs: dict[str, Job] = {}
        self.definitions: dict[str, list[Definition]] = defaultdict(list)
        self.lag = 0.0
        self._numbers = count(1)

    @property
    def environments(self) -> Iterable[Environment]:
        return {id(each): each for queue in self.queues.values() for each in queue.environments}.values()

    def hosts(self) -> list[Host]:
        return [host for environment in self.environments for host in environment.hosts]

    def lose(self, host: Host) -> None:
        """The instance is terminated, with all that runs on it."""
        self.running.lose(host)

    def _register_job_definition(self, **given: Any) -> Reply:
        check_definition(given)
        revisions = self.definitions[given["jobDefinitionName"]]
        found = Definition(given["jobDefinitionName"], len(revisions) + 1, given)
        revisions.append(found)
        return {
            "jobDefinitionName": found.name,
            "jobDefinitionArn": found.arn,
            "revision": found.revision,
        }

    def _describe_job_definitions(self, jobDefinitionName: str, status: str = "") -> Reply:
        found = self.definitions.get(jobDefinitionName, ())
        return {
            "jobDefinitions": [
                {
                    "jobDefinitionName": each.name,
                    "jobDefinitionArn": each.arn,
                    "revision": each.revision,
                    "status": "ACTIVE",
                    "type": "container",
                }
                for each in reversed(found)
            ]
        }

    def _submit_job(self, **given: Any) -> Reply:
        check_submission(given)
        queue = self.queues.get(_last(given["jobQueue"]))
        definition = self._definition(given["jobDefinition"])
        if queue is None or queue.state != "ENABLED":
            raise client_error(f"JobQueue {given['jobQueue']} is not ENABLED, or does not exist")
        if definition is None:
            raise client_error(f"JobDefinition {given['jobDefinition']} not found")
        number = next(self._numbers)
        job = Job(
            id=f"{number:08x}-0000-4000-8000-000000000000",
            name=given["jobName"],
            queue=queue.name,
            definition=definition,
            given=given,
            created_at=now(),
            needs=_needs(definition, given),
            env=_environment(definition, given),
            size=given.get("arrayProperties", {}).get("size", 0),
            waits_for={each["jobId"] for each in given.get("dependsOn") or ()},
        )
        self.jobs[job.id] = job
        outside(self.running.submitted, job, self._is_over)
        return {"jobId": job.id, "jobName": job.name}

    def _is_over(self, job_id: str) -> str:
        """The status of one that something depends on; it counts as failed if nobody knows it."""
        job = self._find(job_id)
        return job.status if job else "FAILED"

    def _definition(self, name: str) -> Definition | None:
        plain, _, revision = _last(name).partition(":")
        revisions = self.definitions.get(plain) or ()
        if not revisions:
            return None
        return revisions[int(revision) - 1] if revision else revisions[-1]

    def _describe_jobs(self, jobs: Sequence[str]) -> Reply:
        check_described(jobs)
        found = [job for each in jobs if (job := self._find(each)) is not None]
        return {"jobs": [job.described() for job in found]}

    def _find(self, job_id: str) -> Job | None:
        parent, colon, index = job_id.partition(":")
        job = self.jobs.get(parent)
        if job is None or self._forgotten(job):
            return None
        if not colon:
            return job
        child = job.children[int(index)] if int(index) < len(job.children) else None
        return None if child is None or self._forgotten(child) else child

    def _forgotten(self, job: Job) -> bool:
        return job.over and job.stopped_at is not None and now() - job.stopped_at > KEPT

    def _list_jobs(
        self,
        jobQueue: str = "",
        arrayJobId: str = "",
        jobStatus: str = "RUNNING",
        filters: Sequence[Json] = (),
        maxResults: int = BY_STATUS,
        nextToken: str = "0",
    ) -> Reply:
        if bool(jobQueue) == bool(arrayJobId):
            raise client_error("You must specify only one of jobQueue and arrayJobId")
        if jobQueue and _last(jobQueue) not in self.queues:
            raise client_error(f"JobQueue {jobQueue} not found")
        page = min(maxResults, BY_FILTER if filters else BY_STATUS)
        found = self._listed(_last(jobQueue), arrayJobId, jobStatus, filters)
        begin = int(nextToken)
        more = {"nextToken": str(begin + page)} if begin + page < len(found) else {}
        return {"jobSummaryList": [job.summarized() for job in found[begin : begin + page]], **more}

    def _listed(self, queue: str, array: str, status: str, filters: Sequence[Json]) -> list[Job]:
        if array:
            parent = self._find(array)
            children = parent.children if parent else ()
            return [job for job in children if job.status == status and not self._forgotten(job)]
        own = [job for job in self.jobs.values() if job.queue == queue and not self._forgotten(job)]
        if not filters:
            return [job for job in own if job.status == status]
        assert filters[0]["name"] == "JOB_NAME"
        wanted = filters[0]["values"][0].lower()
        prefix = wanted.endswith("*")
        known = [job for job in own if now() - job.created_at >= self.lag]
        return [
            job
            for job in sorted(known, key=lambda job: -job.created_at)
            if (job.name.lower().startswith(wanted[:-1]) if prefix else job.name.lower() == wanted)
        ]

    def _terminate_job(self, jobId: str, reason: str) -> None:
        self._stop(jobId, reason, LIVE)

    def _cancel_job(self, jobId: str, reason: str) -> None:
        self._stop(jobId, reason, WAITING)

    def _stop(self, job_id: str, reason: str, statuses: Sequence[str]) -> None:
        job = self._find(job_id)
        if job is None:
            return
        terminating = statuses is LIVE
        if job.size:
            job.status_reason = reason
            job.terminated, job.cancelled = job.terminated or terminating, job.cancelled or not terminating
        for each in job.children if job.size else [job]:
            if each.status in statuses:
                outside(self.running.stop, each, reason, terminating)

    def _describe_job_queues(self, jobQueues: Sequence[str]) -> Reply:
        names = [_last(each) for each in jobQueues]
        return {"jobQueues": [self.queues[name].described() for name in names if name in self.queues]}

    def _describe_compute_environments(self, computeEnvironments: Sequence[str]) -> Reply:
        names = {_last(each) for each in computeEnvironments}
        found = [each.described() for each in self.environments if each.name in names]
        return {"computeEnvironments": found}


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _environment(definition: Definition, given: Json) -> Mapping[str, str]:
    variables = list(definition.main.get("environment") or ())
    for overrides in overrides_of(given):
        if overrides.get("name") in (None, definition.main.get("name")):
            variables += overrides.get("environment") or ()
    return {each["name"]: each["value"] for each in variables if each["value"]}


def _needs(definition: Definition, given: Json) -> tuple[float, float]:
    """vCPUs and MiB of all containers together."""
    needs = {"VCPU": 0.0, "MEMORY": 0.0}
    changed = {overrides.get("name"): overrides for overrides in overrides_of(given)}
    for container in definition.containers:
        asked = {each["type"]: float(each["value"]) for each in container["resourceRequirements"]}
        override = changed.get(container.get("name"), {})
        asked |= {each["type"]: float(each["value"]) for each in override.get("resourceRequirements") or ()}
        for kind, value in asked.items():
            needs[kind] += value
    return needs["VCPU"], needs["MEMORY"]
