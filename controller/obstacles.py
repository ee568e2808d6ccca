"""What keeps a job's waiting tasks from running. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from controller.advice import ended
from controller.dependencies import describe
from controller.model import Reason
from controller.report import host_of
from runner.model import BATCH, EMR, Status
from runner.records import AttemptRecord, Backlog, HostReport, JobRecord, TaskRecord
from runner.units import format_duration, format_size

# Agents report every five seconds; one that has been silent for four reports is not counted on.
SILENT_AFTER = 20.0


@dataclass(frozen=True, slots=True)
class Situation:
    """All that is known of a job, and of one of its tasks if `task` is given, at the time `now`.

    `led`: somebody supervises. `ahead`: waiting tasks of jobs that are served earlier. `failures`: some of the
    job's failed tasks; `retrying`: some that failed and wait for another try. `agent_logs`: where agents log.
    `channel`: what carries its messages, where that is not the queue itself; `machines`: what was decided of those that
    take from it. `elsewhere`: why it waits, of a job that does not run on the installation's own machines; None of any
    other.
    """

    job: JobRecord
    now: float
    led: bool
    parents: Mapping[str, JobRecord | None] = field(default_factory=dict)
    hosts: Sequence[HostReport] = ()
    backlog: Backlog | None = None
    ahead: int = 0
    failures: Sequence[TaskRecord] = ()
    retrying: Sequence[TaskRecord] = ()
    task: TaskRecord | None = None
    attempts: Sequence[AttemptRecord] = ()
    agent_logs: str = ""
    channel: str | None = None
    machines: str = ""
    elsewhere: Sequence[Reason] | None = None

    @property
    def live(self) -> list[HostReport]:
        return [host for host in self.hosts if self.now - host.seen_at <= SILENT_AFTER]

    @property
    def need(self) -> tuple[float, int]:
        """The vCPUs and bytes of memory that the task, or a first attempt at any, needs."""
        job = self.job.job
        memory = (self.task.memory if self.task else None) or job.limits.memory
        return job.limits.vcpus, memory + job.sidecar_memory


def waiting_for_parents(situation: Situation) -> list[Reason]:
    """Why a PENDING job waits, one reason per parent that has not succeeded."""
    reasons = [
        Reason("waits_for_job", _parent_text(parent_id, parent))
        for parent_id, parent in situation.parents.items()
        if parent is None or parent.status is not Status.SUCCEEDED
    ]
    return reasons or [
        Reason("about_to_be_released", "The jobs it comes after have succeeded; it is about to start.")
    ]


def _parent_text(parent_id: str, parent: JobRecord | None) -> str:
    if parent is None:
        return f"It comes after {parent_id}, which is unknown."
    done = f"{parent.counts.succeeded} of {parent.job.array.size} tasks done"
    return f"It starts when {describe(parent)} has succeeded, which is {parent.status} ({done})."


def unled(situation: Situation) -> Iterator[Reason]:
    if not situation.led:
        undone = "no agents are started" if situation.elsewhere is None else "nothing is handed over"
        yield Reason(
            "nobody_supervises",
            f"Nobody is supervising, so {undone}: "
            f"run `runner-controller watch {situation.job.job.id}` or `runner-controller serve`.",
        )


def no_agent(situation: Situation) -> Iterator[Reason]:
    if situation.live or not situation.led:
        return
    where = f" What agents last said of themselves: {situation.agent_logs}" if situation.agent_logs else ""
    if situation.machines:
        where = f" Its machines: {situation.machines}."
    yield Reason("no_agent", f"No agent is alive; the supervisor is starting one, or cannot.{where}")


def unfit_agents(situation: Situation) -> Iterator[Reason]:
    for host in situation.live:
        if host.state != "running":
            why = f": {host.note}" if host.note else ""
            yield Reason("agent_takes_no_work", f"Agent {host.host} is {host.state} and takes no work{why}.")


def unserved(situation: Situation) -> Iterator[Reason]:
    """No agent that is alive could ever take the job's tasks."""
    job, live = situation.job.job, situation.live
    if not live:
        return
    if not any((situation.channel or job.queue) in host.queues for host in live):
        machines = f" Its machines: {situation.machines}." if situation.machines else ""
        yield Reason("queue_not_served", f"No agent serves the queue {job.queue!r}.{machines}")
    if not any(job.engine in host.engines for host in live):
        yield Reason("no_engine", _no_engine(job.engine))
    vcpus, memory = situation.need
    if not any(host.vcpus >= vcpus and host.memory >= memory for host in live):
        largest = max(live, key=lambda host: (host.memory, host.vcpus))
        most = _shape(largest.vcpus, largest.memory)
        yield Reason(
            "does_not_fit",
            f"A task needs {_shape(vcpus, memory)}; the largest agent has {most}.",
        )


def _no_engine(engine: str) -> str:
    if engine == "docker":
        return "It runs in an image, and no agent has a Docker engine that answers."
    return f"No agent has the {engine} engine it needs."


def held_back(situation: Situation) -> Iterator[Reason]:
    """Tasks that failed, and wait for their next try."""
    for task in situation.retrying:
        if task.outcome is not None:
            text = f"Task {task.task.index} {ended(task.outcome)}; its next attempt {_due(situation, task)}."
            yield Reason("backoff", text)


def _due(situation: Situation, task: TaskRecord) -> str:
    left = (task.not_before or 0.0) - situation.now
    return f"is held back for {format_duration(left)} more" if left > 0 else "is due"


def at_max_parallel(situation: Situation) -> Iterator[Reason]:
    most, running = situation.job.job.max_parallel, situation.job.counts.running
    if most is not None and running >= most:
        yield Reason("max_parallel", f"{running} of its tasks run, and max_parallel allows {most} at a time.")


def others_ahead(situation: Situation) -> Iterator[Reason]:
    if situation.ahead:
        yield Reason("others_ahead", f"{situation.ahead} tasks of other jobs are ahead of it.")


def no_room(situation: Situation) -> Iterator[Reason]:
    vcpus, memory = situation.need
    busy = [host for host in situation.live if host.tasks and host.state == "running"]
    if busy and not any(host.free_vcpus >= vcpus and host.free_memory >= memory for host in busy):
        running = sum(host.tasks for host in busy)
        free = "; ".join(
            f"{host.host} has {_shape(host.free_vcpus, host.free_memory)} free" for host in busy[:3]
        )
        yield Reason(
            "no_room",
            f"There is no room: {running} tasks hold it, and another needs {_shape(vcpus, memory)} ({free}).",
        )


def not_enqueued(situation: Situation) -> Iterator[Reason]:
    waiting = situation.job.job.array.size - situation.job.sent
    if situation.task is not None or waiting <= 0:
        return
    if situation.job.queued:
        text = f"{waiting} of its tasks are not on the queue yet; they follow as those before them end."
    else:
        text = "None of its tasks is on the queue yet; the supervisor is about to send the first."
    yield Reason("not_enqueued", text)


def queued_behind(situation: Situation) -> Iterator[Reason]:
    if situation.backlog is not None and situation.backlog.visible:
        name = situation.job.job.queue
        yield Reason("queued", f"{situation.backlog.visible} messages are waiting on the queue {name!r}.")


def told_elsewhere(situation: Situation) -> Iterator[Reason]:
    yield from situation.elsewhere or ()


# Where one of these holds, nothing else matters yet.
DECISIVE: Sequence[Callable[[Situation], Iterator[Reason]]] = (unled, no_agent)
OTHERS: Sequence[Callable[[Situation], Iterator[Reason]]] = (
    unserved,
    unfit_agents,
    held_back,
    at_max_parallel,
    no_room,
    others_ahead,
    not_enqueued,
    queued_behind,
)


ELSEWHERE: Sequence[Callable[[Situation], Iterator[Reason]]] = (told_elsewhere, held_back, at_max_parallel)


def obstacles(situation: Situation) -> list[Reason]:
    """Why tasks that may run do not, the most decisive first."""
    own = situation.elsewhere is None
    for group in (DECISIVE, OTHERS) if own else ((unled,), ELSEWHERE):
        if found := [reason for obstacle in group for reason in obstacle(situation)]:
            return found
    if not own:
        return [
            Reason("about_to_start", "Nothing is in its way: it is about to be handed over, or to start.")
        ]
    return [Reason("about_to_start", "Nothing is in its way: it starts as soon as an agent takes it.")]


def host(situation: Situation, owner: str | None) -> str:
    """What an attempt runs on."""
    if situation.job.job.backend == EMR:  # the owner is who started the cluster
        return "Amazon EMR"
    kind = "AWS Batch job " if situation.job.job.backend == BATCH else ""
    return f"{kind}{host_of(owner)}"


def _shape(vcpus: float, memory: int) -> str:
    return f"{vcpus:g} vCPUs and {format_size(memory)}"


def ago(situation: Situation, at: float) -> str:
    return f"{format_duration(max(0.0, situation.now - at))} ago"
