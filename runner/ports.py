"""What the agent asks of the outside world. Adapters implement these; tests hold every adapter to the same contract.

Every method that waits does so through the event loop. Wall-clock time comes from an injected `Clock`; waiting and
deadlines use the event loop's own time, which virtual time can replace.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from runner.hosts import Capacity as Capacity
from runner.hosts import Host as Host
from runner.hosts import Notice as Notice
from runner.model import NO_USAGE, Attempt, Job, Lease, Mount, Outcome, Sidecar, TaskId, Usage
from runner.records import Backlog, HostReport, Refusal, Verdict

Clock = Callable[[], float]
"""Seconds since the epoch, UTC."""


class Queue(Protocol):
    """Carries pointers to tasks, at least once, in no promised order.

    One object serves every named queue it was made for, in order of priority. A lease is lost when its time runs out;
    acting on a lost lease may succeed, fail or do nothing, so nobody may rely on a refusal.
    """

    async def send(self, queue: str, tasks: Sequence[TaskId], *, delay: float = 0.0) -> None:
        """Put one message per task on the named queue, visible after `delay` seconds."""
        ...

    async def receive(self, limit: int, *, wait: float, hide: float) -> Sequence[Lease]:
        """Take up to `limit` messages, hidden from others for `hide` seconds; wait up to `wait` seconds for the first.

        A message that cannot be read is quarantined with its reason and not returned.
        """
        ...

    async def extend(self, leases: Sequence[Lease], hide: float) -> Sequence[Lease]:
        """Hide each for `hide` seconds from now. Returns those known to be lost; the others may be lost too."""
        ...

    async def complete(self, leases: Sequence[Lease]) -> None:
        """Delete the messages. Call only after the terminal record, or a durable replacement, exists."""
        ...

    async def release(self, lease: Lease, delay: float = 0.0) -> None:
        """Make the message visible again after `delay` seconds."""
        ...

    async def quarantine(self, lease: Lease, reason: str) -> None:
        """Put the message aside for good, where a person may look at it: nothing can be made of it."""
        ...

    async def backlog(self) -> Mapping[str, Backlog]:
        """Depth by queue name."""
        ...


@dataclass(frozen=True, slots=True)
class Supervision:
    """What an agent may know of the controller. `demand` counts tasks waiting or running, all jobs together.

    `note` is what was published beside it: the demand by channel, the decisions (`runner.codec.decode_note`).
    """

    led: bool
    demand: int
    note: str = ""


class Ledger(Protocol):
    """Remembers. Writes about an attempt are fenced by its number: a late or duplicate one changes nothing."""

    async def job(self, job_id: str) -> Job | None: ...

    async def begin(self, lease: Lease, job: Job, owner: str) -> Attempt | Refusal:
        """Start an attempt at the lease's task for `owner` (`host#incarnation`), or say why not.

        A task held by another owner may be taken over only when its beat counter has not moved for a lease since this
        same message was last refused as HELD, by a clock that all who may take it share; or when the owner is an
        earlier incarnation of the same host, which then is known to be dead. Taking over records the silent attempt as
        `lost`, charged to INFRA.
        """
        ...

    async def touch(self, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        """Move the beat counter of each. Returns those that are no longer current, or no longer running."""
        ...

    async def cancelled(self, job_ids: Collection[str]) -> Collection[str]:
        """Those of the jobs that are cancelled, or ended as a whole."""
        ...

    async def annotate(self, attempt: Attempt, metadata: Mapping[str, str]) -> None:
        """Replace the task's live metadata, if the attempt is still current."""
        ...

    async def finish(self, attempt: Attempt, outcome: Outcome, verdict: Verdict) -> bool:
        """Record how the attempt ended and what that makes of its task. Idempotent.

        CANCELLED by an ending that a new round has lifted since, the task is RUNNABLE and sent anew, at no charge.
        True if this record, or an equal earlier one of this attempt, stands; False if the attempt was not current.
        """
        ...

    async def report(self, report: HostReport) -> None: ...

    async def supervision(self) -> Supervision: ...


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """All an engine needs to run one attempt. `env` holds secret values too: never log a spec, never put it in argv.

    `name` is deterministic in the attempt, so that a create whose reply was lost is found again. `labels` come back
    from `Engine.recover` as they were. With an `index`, no two of the same job and index run at once: an earlier one
    that is still to be removed is awaited. `wanted` is asked right before anything of it is started: making ready may
    take long, and its process may be frozen meanwhile.
    """

    name: str
    host: str
    job_id: str
    image: str | None
    command: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    vcpus: float
    memory: int
    pids: int
    grace: float
    mounts: tuple[Mount, ...] = ()
    sidecars: tuple[Sidecar, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    index: int | None = None
    wanted: Callable[[], bool] = field(default=lambda: True, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended, as the engine saw it. `signal` is set when a signal ended it.

    `out_of_memory` only with evidence. `vanished` when the engine lost it (restarted, removed by someone else): then
    `exit_code` is None.
    """

    exit_code: int | None
    started_at: float
    finished_at: float
    signal: int | None = None
    out_of_memory: bool = False
    vanished: bool = False
    usage: Usage = NO_USAGE
    image_digest: str | None = None
    warning: str = ""


class Output(Protocol):
    """Where an engine delivers what a container writes, both streams merged as they come. Never blocks, never fails."""

    def write(self, data: bytes) -> None: ...


class Container(Protocol):
    """One running attempt. `started_at` is the container's own start."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> Mapping[str, str]: ...

    @property
    def started_at(self) -> float: ...

    async def wait(self) -> Exit:
        """Until it has ended and all its output was delivered. May be called again, and cancelled without harm."""
        ...

    async def stop(self, grace: float) -> None:
        """SIGTERM, `grace` seconds, SIGKILL to all of it. Returns when it has ended; harmless if it had."""
        ...

    async def metadata(self) -> bytes:
        """What the task wrote to the file named by RUNNER_METADATA so far, at most 64 KiB."""
        ...

    async def remove(self) -> None:
        """Remove it with its scratch space and sidecars, by force. Idempotent; does not fail."""
        ...


class Engine(Protocol):
    @property
    def name(self) -> str: ...

    async def prepare(self, job: Job, concurrency: int) -> None:
        """Make ready what starting this job's containers needs (image, sandboxes). Raises ImageError."""
        ...

    async def start(self, spec: ContainerSpec, output: Output) -> Container:
        """Create and start. Raises ImageError, StartError, EngineUnavailable (also if it is not wanted any more);
        then nothing is left behind."""
        ...

    async def recover(
        self, host: str, output: Callable[[Mapping[str, str]], Output | None]
    ) -> Sequence[Container]:
        """Find what an earlier agent on `host` left. `output` gets each container's labels and says where its output
        goes, from the beginning, or None: then it is removed, as is what cannot be adopted. Returns the adopted."""
        ...

    async def sweep(self, host: str, wanted: Callable[[], bool] = lambda: True) -> int:
        """Kill and remove every container of `host`, without mercy. Returns how many there were.

        `wanted` is asked once it is known what there is, which may take long: what is made after that stays."""
        ...

    async def check(self) -> str:
        """An empty string if the engine answers, else one line on what is wrong."""
        ...

    async def close(self) -> None: ...


class LogWriter(Protocol):
    """One attempt's log. Never raises for a full disk: it counts what it dropped."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        """Idempotent. What the properties say holds from then on."""
        ...

    @property
    def written(self) -> int:
        """Bytes the task wrote."""
        ...

    @property
    def dropped(self) -> int:
        """Bytes of them that were not kept."""
        ...

    @property
    def place(self) -> str:
        """Where the rest is kept, for the attempt's record; empty if logs are found without."""
        ...


class Logs(Protocol):
    def writer(self, attempt: Attempt) -> LogWriter:
        """Starts the attempt's log anew. Takes no space until something is written."""
        ...

    async def flush(self) -> None:
        """Before this host goes: put what was kept where others can read it, as far as that can be done soon. Raises
        Unavailable if something is left; it may be called again."""
        ...


class Manifests(Protocol):
    """Lines and items of arrays, stored once per content."""

    async def put(self, items: Sequence[str] | AsyncIterator[str]) -> str:
        """Returns the manifest's name, made of its content."""
        ...

    async def get(self, manifest: str, index: int) -> str:
        """Raises NotFound."""
        ...


class Roles(Protocol):
    """Lets a task act in the role that its job names."""

    async def grant(self, job: Job, attempt: Attempt) -> Mapping[str, str]:
        """Environment variables by which the task finds its credentials, none of which may stand in a log; empty for a
        job without a role. The same for the same attempt. Raises StartError, EngineUnavailable."""
        ...

    def withdraw(self, attempt: Attempt) -> None:
        """The attempt is over: its variables are worth nothing any more. Harmless if nothing was granted."""
        ...


class Secrets(Protocol):
    async def resolve(self, job: Job) -> Mapping[str, str]:
        """Environment variable → value. Raises StartError, or EngineUnavailable where another try may help; they name
        the secret and never its value."""
        ...
