"""How jobs of the simulated AWS Batch get on: from status to status, on hosts that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from controller.simulation.clock import now, outside
from controller.simulation.services.batch_hosts import Environment, Host, JobQueue
from controller.simulation.services.batch_job import WAITING, Job, Run
from controller.simulation.services.batch_requests import MOST_OVERRIDES, overrides_length

SUBMITTING, STARTING, STOPPING = 1.0, 5.0, 1.0
LONGEST_STOP = 30.0
DEPENDENCY_POLL = 5.0

NO_ROOM = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the "
    "CPU or memory requirements of the job."
)
TOO_LARGE = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than "
    "that can be met by the CE(s) attached to the job queue."
)
ENDED = "Essential container in task exited"
NOT_STARTED = "Task failed to start"
TIMED_OUT = "Job attempt duration exceeded timeout"
TOO_LONG = f"Container Overrides length must be at most {MOST_OVERRIDES}"


class Running:
    """`watch` is told of every run, with its log stream. `hesitant`: see `services.batch`."""

    def __init__(
        self, program: Callable[[Mapping[str, str], Sequence[str]], Run], queues: Mapping[str, JobQueue]
    ) -> None:
        self._program = program
        self._queues = queues
        self.watch: Callable[[str, Run], None] = lambda _stream, _run: None
        self.hesitant = False
        self.started: list[Mapping[str, str]] = []
        self._numbers = count(1)

    def submitted(self, job: Job, status_of: Callable[[str], str]) -> None:
        self._after(SUBMITTING, self._spawn, job, status_of)

    def _spawn(self, job: Job, status_of: Callable[[str], str]) -> None:
        if job.over or job.status != "SUBMITTED":
            return
        failed = [each for each in job.waits_for if status_of(each) == "FAILED"]
        if failed:
            self._fail(job, "Dependent Job failed")
        elif any(status_of(each) != "SUCCEEDED" for each in job.waits_for):
            self._after(DEPENDENCY_POLL, self._spawn, job, status_of)
        elif job.terminated or job.cancelled:
            self._fail(job, job.status_reason)
        else:
            self._open(job)

    def _open(self, job: Job) -> None:
        job.status = "PENDING"
        job.children = [self._child(job, index) for index in range(job.size)]
        job.summary["PENDING"] = job.size
        for each in job.children or [job]:
            self._wait(each)
        self._place()

    def _child(self, parent: Job, index: int) -> Job:
        return Job(
            id=f"{parent.id}:{index}",
            name=parent.name,
            queue=parent.queue,
            definition=parent.definition,
            given=parent.given,
            created_at=now(),
            needs=parent.needs,
            env=parent.env,
            parent=parent,
            index=index,
            status="PENDING",
        )

    def _wait(self, job: Job) -> None:
        self._turn(job, "RUNNABLE")
        self._queues[job.queue].waiting.append(job)

    def _turn(self, job: Job, status: str) -> None:
        if job.parent is not None:
            job.parent.summary[job.status] -= 1
            job.parent.summary[status] += 1
        job.status = status
        if job.parent is not None:
            self._judge(job.parent)

    def _judge(self, parent: Job) -> None:
        ended = parent.summary["SUCCEEDED"] + parent.summary["FAILED"]
        if ended == parent.size and not parent.over:
            parent.stopped_at = now()
            parent.status = "FAILED" if parent.summary["FAILED"] else "SUCCEEDED"
            if parent.summary["FAILED"] and not parent.status_reason:
                parent.status_reason = "Array Child Job failed"

    # placing

    def _place(self) -> None:
        for queue in sorted(self._queues.values(), key=lambda queue: -queue.priority):
            while queue.waiting:
                head = queue.waiting[0]
                if head.status == "RUNNABLE":
                    host = self._room(queue, head)
                    if host is None:
                        self._grow(queue, head)
                        break
                    self._start(head, host)
                queue.waiting.popleft()

    def _room(self, queue: JobQueue, job: Job) -> Host | None:
        environments = (each for each in queue.environments if each.usable)
        return next((host for each in environments for host in each.hosts if host.holds(job)), None)

    def _grow(self, queue: JobQueue, head: Job) -> None:
        able = [each for each in queue.environments if each.usable and each.could_hold(head)]
        if not able:
            head.status_reason = TOO_LARGE if any(each.usable for each in queue.environments) else ""
            return
        if self.hesitant:
            head.status_reason = NO_ROOM
        waiting = len(queue.waiting) * head.needs[0]
        for environment in able:
            for _ in range(environment.missing(waiting)):
                environment.booting += 1
                self._after(environment.boot, self._booted, environment)

    def _booted(self, environment: Environment) -> None:
        environment.booting -= 1
        name = f"i-{next(self._numbers):017x}"
        environment.hosts.append(Host(name, environment, environment.vcpus, environment.memory))
        self._place()

    # running

    def _start(self, job: Job, host: Host) -> None:
        host.take(job)
        job.host, job.status_reason, job.started_at, job.run = host, "", None, None
        task = f"arn:aws:ecs:eu-west-1:123456789012:task/{next(self._numbers):032x}"
        job.container = {"containerInstanceArn": host.arn, "taskArn": task}
        if overrides_length(job.definition, job.given, self._seen(job)) > MOST_OVERRIDES:
            host.give_back(job)
            self._fail(job, TOO_LONG)
            return
        self._turn(job, "STARTING")
        self._after(STARTING, self._run, job, task)

    def _run(self, job: Job, task: str) -> None:
        if not self._current(job, task):
            return
        env = self._seen(job)
        overrides = job.given.get("containerOverrides") or {}
        command = overrides.get("command") or job.definition.main.get("command") or []
        run = job.run = self._program(env, command)
        if run.exit_code is None:
            job.container["reason"] = run.reason
            self._end(job, NOT_STARTED)
            return
        self.started.append(env)
        job.started_at = now()
        stream = f"{job.definition.name}/default/{task.rpartition('/')[2]}"
        job.container["logStreamName"] = stream
        self._turn(job, "RUNNING")
        self.watch(stream, run)
        limit = job.timeout
        if limit is not None and limit < run.seconds:
            self._after(limit, self._time_out, job, task)
        else:
            self._after(run.seconds, self._exit, job, task)

    def _seen(self, job: Job) -> Mapping[str, str]:
        given = {
            "AWS_BATCH_JOB_ID": job.id,
            "AWS_BATCH_JOB_ATTEMPT": str(len(job.attempts) + 1),
            "AWS_BATCH_JQ_NAME": job.queue,
            "AWS_BATCH_CE_NAME": job.host.environment.name,
        }
        if job.parent is not None:
            given |= {
                "AWS_BATCH_JOB_ARRAY_INDEX": str(job.index),
                "AWS_BATCH_JOB_ARRAY_SIZE": str(job.parent.size),
            }
        return {**job.env, **given}

    def _current(self, job: Job, task: str) -> bool:
        return not job.over and job.container.get("taskArn") == task

    def _exit(self, job: Job, task: str) -> None:
        if self._current(job, task) and job.run is not None and not job.stopping:
            job.container["exitCode"] = job.run.exit_code
            if job.run.reason:
                job.container["reason"] = job.run.reason
            self._end(job, ENDED)

    def _time_out(self, job: Job, task: str) -> None:
        if self._current(job, task) and not job.stopping:
            self._signal(job, TIMED_OUT)

    def stop(self, job: Job, reason: str, terminating: bool) -> None:
        """As TerminateJob and CancelJob do."""
        job.terminated, job.cancelled = job.terminated or terminating, job.cancelled or not terminating
        if job.status in WAITING:
            if job.size or job.status == "SUBMITTED":
                job.status_reason = reason  # it ends once it would go on
            else:
                self._after(STOPPING, self._fail, job, reason)
        elif not job.stopping:
            self._signal(job, reason)

    def _signal(self, job: Job, reason: str) -> None:
        """SIGTERM, and SIGKILL half a minute later."""
        job.stopping = reason
        deaf = job.run is not None and job.run.deaf
        self._after(LONGEST_STOP if deaf else STOPPING, self._stopped, job, job.container["taskArn"], deaf)

    def _stopped(self, job: Job, task: str, deaf: bool) -> None:
        if self._current(job, task):
            if job.started_at is not None:
                job.container["exitCode"] = 137 if deaf else 143
            self._end(job, job.stopping)

    def lose(self, host: Host) -> None:
        host.environment.hosts.remove(host)
        for job in sorted(host.jobs, key=lambda job: (job.id.partition(":")[0], job.index)):
            self._end(job, f"Host EC2 (instance {host.id}) terminated.")
        self._place()

    def _end(self, job: Job, status_reason: str) -> None:
        """An attempt's end: then another, or the job's own."""
        job.host.give_back(job)
        job.stopped_at = now()
        job.attempts.append(job.attempt_of(dict(job.container), status_reason))
        if job.container.get("exitCode") == 0 and not job.stopping:
            job.status_reason = status_reason
            self._turn(job, "SUCCEEDED")
        elif job.stopping or not self._again(job, status_reason):
            self._fail(job, status_reason)
        else:
            job.container = {}
            self._wait(job)
        self._place()

    def _again(self, job: Job, status_reason: str) -> bool:
        strategy = job.retry_strategy
        if len(job.attempts) >= strategy.get("attempts", 1):
            return False
        code = job.container.get("exitCode")
        seen = {
            "onStatusReason": status_reason,
            "onReason": job.container.get("reason", ""),
            "onExitCode": "" if code is None else str(code),
        }
        return next(
            (
                condition["action"].upper() == "RETRY"
                for condition in strategy.get("evaluateOnExit", ())
                if all(_matches(condition[key], seen[key]) for key in seen if key in condition)
            ),
            True,
        )

    def _fail(self, job: Job, reason: str) -> None:
        if job.over:
            return
        job.status_reason = reason
        job.stopped_at = now()
        self._turn(job, "FAILED")

    def _after(self, seconds: float, act: Callable[..., None], *args: object) -> None:
        """Whoever asked for it may be gone by then."""
        outside(asyncio.get_running_loop().call_later, seconds, act, *args)


def _matches(pattern: str, text: str) -> bool:
    if not pattern.endswith("*"):
        return pattern.lower() == text.lower()
    return text.lower().startswith(pattern[:-1].lower())
