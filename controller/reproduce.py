"""One attempt at a task again: same image, command, environment and limits, as a command to run. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controller.listing import no_attempt
from runner.environment import task_environment
from runner.model import Attempt, Job, Mount, Outcome
from runner.records import AttemptRecord, TaskRecord

# Where the Docker engine's containers have them.
SCRATCH = "/scratch"
METADATA_DIRECTORY = "/runner"
METADATA = "/runner/metadata"

SHELL = "/bin/sh"
HERE = "\0"  # no variable's value can hold it otherwise


@dataclass(frozen=True, slots=True)
class Again:
    """All that the attempt was given. Secrets are known by name only; `image` None: it ran as a process."""

    job: Job
    attempt: Attempt
    image: str | None
    environment: Mapping[str, str] = field(repr=False)
    remarks: tuple[str, ...] = ()

    @property
    def secrets(self) -> list[str]:
        return [secret.name for secret in self.job.secrets]


def again(
    job: Job,
    task: TaskRecord,
    attempts: Sequence[AttemptRecord],
    item: str | None,
    *,
    number: int | None = None,
) -> Again:
    """The attempt of that number, or the latest; a first one if none began yet. Raises NotFound."""
    number = number or task.attempt or 1
    if number > max(task.attempt, 1):
        raise no_attempt(task, number)
    ended = next((one for one in attempts if one.number == number), None)
    attempt = told(job, task, attempts, number)
    image, remarks = _image(job, ended.outcome if ended else None)
    if job.sidecars:
        names = ", ".join(sidecar.name for sidecar in job.sidecars)
        remarks = (*remarks, f"its sidecars are not started: {names}")
    if job.role is not None:
        remarks = (*remarks, f"it does not act in its role: {job.role}")
    return Again(job, attempt, image, task_environment(job, attempt, item), remarks)


def _image(job: Job, outcome: Outcome | None) -> tuple[str | None, tuple[str, ...]]:
    if outcome is not None and outcome.image_digest:
        return outcome.image_digest, ()
    if job.image is None or job.bare:
        return None, ()
    return job.image, (f"which {job.image} it was is not recorded: the one that bears the name now is used",)


def told(job: Job, task: TaskRecord, attempts: Sequence[AttemptRecord], number: int) -> Attempt:
    """What the attempt was told and allowed."""
    ended = next((one for one in attempts if one.number == number), None)
    round_ = ended.round if ended else task.round
    before = sum(one.round == round_ and one.number < number for one in attempts)
    memory = ended.outcome.memory if ended else task.memory
    return Attempt(task.task, number, before + 1, task.owner or "", memory or job.limits.memory)


def docker_command(
    this: Again,
    *,
    cpus: float,
    host: str | None = None,
    root: bool = True,
    shell: bool = False,
    terminal: bool = True,
) -> list[str]:
    """The `docker` command line. Secrets pass through its own environment, so that no argument holds one.

    `cpus`: how many the machine has; the engine refuses to give more. `root`: the image runs as root. `shell`: one in
    place of the command, on this `terminal` if there is one.
    """
    environment = {**this.environment, "RUNNER_SCRATCH": SCRATCH, "RUNNER_METADATA": METADATA}
    limits = this.job.limits
    command = ["docker", *(["--host", host] if host else []), "run", "--rm", "--init"]
    command += ["--interactive"] if shell else []
    command += ["--tty"] if shell and terminal else []
    command += ["--security-opt", "no-new-privileges"]
    command += ["--memory", str(this.attempt.memory), "--memory-swap", str(this.attempt.memory)]
    command += ["--cpus", f"{min(limits.vcpus, cpus):g}", "--pids-limit", str(limits.pids)]
    command += ["--mount", _scratch(root=root), "--tmpfs", METADATA_DIRECTORY]
    for mount in this.job.mounts:
        command += ["--mount", mount_option(mount)]
    for name, value in environment.items():
        command += ["--env", f"{name}={value}"]
    for name in this.secrets:
        command += ["--env", name]
    image = this.image or ""
    return [*command, "--entrypoint", SHELL, image] if shell else [*command, image, *this.job.command]


def _scratch(*, root: bool) -> str:
    """A new volume belongs to root; only one in memory can be made for everybody."""
    return f"type=volume,target={SCRATCH}" if root else f"type=tmpfs,target={SCRATCH},tmpfs-mode=1777"


def mount_option(mount: Mount) -> str:
    """The option is a line of CSV: a field with a comma or a quote is quoted."""
    fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
    fields += [] if mount.writable else ["readonly"]
    return ",".join(
        f'"{text.replace(chr(34), chr(34) * 2)}"' if set(text) & set(',"\n') else text for text in fields
    )


def docker_line(
    this: Again, *, cpus: float, host: str | None = None, root: bool = True, shell: bool = False
) -> str:
    """To paste into a shell in whose environment the secrets are."""
    return quoted(docker_command(this, cpus=cpus, host=host, root=root, shell=shell))


def process_line(this: Again, environment: Mapping[str, str], *, shell: bool = False) -> str:
    """The same for a task that ran as a process of its machine, in a new directory.

    `environment` is all of it; values that begin with HERE begin with that directory's path.
    """
    assignments = [_assignment(name, value) for name, value in environment.items()]
    assignments += [f'{name}="${name}"' for name in this.secrets]
    command = [SHELL] if shell else list(this.job.command)
    return f'cd "$(mktemp -d)" && env -i {" ".join(assignments)} {quoted(command)}'


def _assignment(name: str, value: str) -> str:
    if value.startswith(HERE):
        return f'{name}="$PWD"{value.removeprefix(HERE)}'
    return quoted([f"{name}={value}"])


def quoted(words: Sequence[str]) -> str:
    """For a shell, on one line, and harmless on a terminal: what cannot be shown stands as an escape."""
    return " ".join(shlex.quote(word) if word.isprintable() else _escaped(word) for word in words)


def _escaped(word: str) -> str:
    special = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return "$'" + "".join(special.get(char) or _readable(char) for char in word) + "'"


def _readable(char: str) -> str:
    if char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
