"""One task again, alone, on a machine of its own: which machine, what it is told at boot, and what it says. Pure.

The machine's console is the only thing it needs to be heard by: no key, no open port, no rights of its own. It keeps
the last 64 KiB, so every line carries its number, and what was missed is known.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from controller.reproduce import Again, docker_line, quoted
from runner.errors import BadInput, NotFound
from runner.instances import InstanceType
from runner.records import AttemptRecord
from runner.routing import HIDDEN_MEMORY
from runner.settings import Environment, FleetSettings

# What a machine may be told at boot, compressed.
MAX_USER_DATA = 16 * 1024
# A machine that nobody follows any more must not run for ever.
LONGEST = 24 * 3600
BOOT = 1800

# Makes a stock image fit for it, as provisioning does. What goes wrong before the program runs is told in words of its
# own, so that nobody takes it for the program's.
READY = r"""
export HOME=/root DOCKER_CONFIG=/run/runner-docker DEBIAN_FRONTEND=noninteractive
fail() {
    printf 'runner failed> %s\r\n' "$*" > /dev/console
    sleep 30
    shutdown -P now
    exit
}
retry() { # a machine that boots has a network soon, and mirrors and registries fail for moments
    local pause
    for pause in 2 4 8 16 32; do
        "$@" && return
        sleep "$pause"
    done
    "$@"
}
install() {
    if command -v apt-get; then
        retry apt-get update -qq
        retry apt-get install -y -qq "$@"
    else
        retry dnf install -y -q "$@"
    fi
}
engine=(docker)
command -v apt-get && engine=(docker.io iptables ca-certificates)
command -v dockerd || install "${engine[@]}"
command -v docker-credential-ecr-login || install amazon-ecr-credential-helper
mkdir -p "$DOCKER_CONFIG"
echo '{"credsStore": "ecr-login"}' > "$DOCKER_CONFIG/config.json"
systemctl start docker
retry docker version || fail it has no Docker engine that answers
"""

_LINE = re.compile(r"^runner (\d+)> ?(.*)$")
_EXIT = re.compile(r"^runner exit> (\d+)$")
_FAILED = re.compile(r"^runner failed> (.*)$")


@dataclass(frozen=True, slots=True)
class Site:
    """Where it is to run: in that environment's network, from its image, on a machine of that type."""

    environment: str
    kind: InstanceType
    remarks: tuple[str, ...] = ()


def site_for(fleet: FleetSettings, this: Again, attempts: Sequence[AttemptRecord]) -> Site:
    """On the type of machine that is recorded for the attempt, else for another one at the task, else on the smallest
    of the queue's that holds it. Raises NotFound."""
    queue = fleet.queues.get(this.job.queue)
    environments = [fleet.environments[name] for name in (queue.environments if queue else ())]
    if not environments:
        message = f"the queue {this.job.queue} has no compute environment any more"
        raise NotFound(message)
    number = this.attempt.number
    recorded = next((one.outcome.machine_type for one in attempts if one.number == number), "")
    others = [one.outcome.machine_type for one in reversed(attempts) if one.number != number]
    for name in filter(None, (recorded, *others)):
        for environment, kind in _kinds(environments):
            if kind.name == name:
                instead = () if name == recorded else (_instead(recorded, kind, "as another attempt did"),)
                return Site(environment, kind, (*instead, *_lacks(this)))
    environment, kind = _smallest(environments, this)
    return Site(environment, kind, (_instead(recorded, kind, "which should hold it"), *_lacks(this)))


def _kinds(environments: Sequence[Environment]) -> Iterator[tuple[str, InstanceType]]:
    return ((environment.name, kind) for environment in environments for kind in environment.instance_types)


def _smallest(environments: Sequence[Environment], this: Again) -> tuple[str, InstanceType]:
    """That holds the attempt; where none does any more, the largest."""
    by_size = sorted(_kinds(environments), key=lambda found: (found[1].memory, found[1].vcpus))
    return next(
        (
            (environment, kind)
            for environment, kind in by_size
            if kind.vcpus >= this.job.limits.vcpus
            and kind.memory * (1 - HIDDEN_MEMORY) >= this.attempt.memory
        ),
        by_size[-1],
    )


def _instead(recorded: str, kind: InstanceType, reason: str) -> str:
    why = (
        f"{recorded} is in no environment of its queue"
        if recorded
        else "which machine it had is not recorded"
    )
    return f"{why}: it runs on {kind.name}, {reason}"


def _lacks(this: Again) -> tuple[str, ...]:
    sources = ", ".join(mount.source for mount in this.job.mounts)
    return (f"a new machine may have nothing of what it mounts: {sources}",) if sources else ()


def user_data(this: Again, kind: InstanceType) -> bytes:
    """What the machine does at boot: run it, number its lines, tell how it ended, and go. Raises BadInput."""
    if this.secrets:
        problem = f"it has secrets, which must not leave this machine: {', '.join(this.secrets)}; run it here instead"
        raise BadInput(problem)
    if this.image is None:
        problem = "it ran as a process of its machine, in no container: there is nothing to take elsewhere"
        raise BadInput(problem)
    data = gzip.compress(_document(_script(this, kind)), mtime=0)
    if len(data) > MAX_USER_DATA:
        problem = f"too large for a machine's boot: {len(data):,} bytes; at most {MAX_USER_DATA:,}"
        raise BadInput(problem)
    return data


def _script(this: Again, kind: InstanceType) -> str:
    limit, image = this.job.limits.timeout, quoted([this.image or ""])
    latest = int((LONGEST if limit is None else limit + this.job.limits.grace) + BOOT) // 60
    mounts = "\n".join(
        f"[ -e {source} ] || fail this machine has no {source} to mount"
        for source in (quoted([mount.source]) for mount in this.job.mounts)
    )
    return f"""\
#!/bin/bash
shutdown -P +{latest}
{READY}
{mounts}
docker image inspect {image} > /dev/null 2>&1 || retry docker pull --quiet {image} || fail cannot pull {image}
{{
case $(docker image inspect --format '{{{{.Config.User}}}}' {image}) in
"" | root | root:* | 0 | 0:*) {_line(this, kind, root=True)} ;;
*) {_line(this, kind, root=False)} ;;
esac
echo "$?" > /run/runner-exit
}} < /dev/null 2>&1 | awk '{{ printf "runner %d> %s\\r\\n", NR, $0; fflush() }}' > /dev/console
printf 'runner exit> %s\\r\\n' "$(cat /run/runner-exit)" > /dev/console
sleep 30
shutdown -P now
"""


def _line(this: Again, kind: InstanceType, *, root: bool) -> str:
    limits = this.job.limits
    line = docker_line(this, cpus=float(kind.vcpus), root=root)
    return (
        line if limits.timeout is None else f"timeout --kill-after={limits.grace:g} {limits.timeout:g} {line}"
    )


def _document(script: str) -> bytes:
    """In two parts: the first runs before services start, and keeps the image's own agent from taking work."""
    early = "#cloud-boothook\n#!/bin/sh\nsystemctl mask --runtime --now runner-agent.service || true\n"
    document = MIMEMultipart(boundary="runner")
    document.attach(MIMEText(early, "cloud-boothook", "utf-8"))
    document.attach(MIMEText(script, "x-shellscript", "utf-8"))
    return document.as_bytes()


@dataclass(frozen=True, slots=True)
class Heard:
    """What a look at the console brought: new lines, how many in between are lost, the exit status if it told, and why
    it came to nothing if the program was not even started."""

    lines: tuple[str, ...]
    last: int
    lost: int = 0
    exit_status: int | None = None
    failure: str = ""


def heard(console: str, last: int) -> Heard:
    """What is new beyond line number `last`."""
    numbered: dict[int, str] = {}
    exit_status, failure = None, ""
    for text in map(str.rstrip, console.splitlines()):
        if found := _LINE.match(text):
            numbered[int(found[1])] = found[2]
        elif found := _EXIT.match(text):
            exit_status = int(found[1])
        elif found := _FAILED.match(text):
            failure = found[1]
    new = sorted(number for number in numbered if number > last)
    lost = new[-1] - last - len(new) if new else 0
    lines = tuple(numbered[number] for number in new)
    return Heard(lines, new[-1] if new else last, lost, exit_status, failure)
