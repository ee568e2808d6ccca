"""One task again, alone, on a machine of its own: which machine, what it is told at boot, and what it says. Pure.

The machine's console is the only thing it needs to be heard by: no key, no open port, no rights of its own. It keeps
the last 64 KiB, so every line carries its number, and what was missed is known.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from controller.reproduce import Again, docker_line
from runner.errors import BadInput, NotFound
from runner.instances import InstanceType
from runner.records import AttemptRecord
from runner.settings import Environment, FleetSettings

# What a machine may be told at boot, compressed.
MAX_USER_DATA = 16 * 1024
# A machine that nobody follows any more must not run for ever.
LONGEST = 24 * 3600
BOOT = 1800

_LINE = re.compile(r"^runner (\d+)> ?(.*)$")
_EXIT = re.compile(r"^runner exit> (\d+)$")


@dataclass(frozen=True, slots=True)
class Site:
    """Where it is to run: in that environment's network, from its image, on a machine of that type."""

    environment: str
    kind: InstanceType
    remarks: tuple[str, ...] = ()


def site_for(fleet: FleetSettings, this: Again, attempts: Sequence[AttemptRecord]) -> Site:
    """On the type of machine that is recorded for the attempt, else the first of the job's queue. Raises NotFound."""
    queue = fleet.queues.get(this.job.queue)
    environments = [fleet.environments[name] for name in (queue.environments if queue else ())]
    if not environments:
        message = f"the queue {this.job.queue} has no compute environment any more"
        raise NotFound(message)
    number = this.attempt.number
    recorded = next((one.outcome.machine_type for one in attempts if one.number == number), "")
    for environment in environments:
        for kind in environment.instance_types:
            if kind.name == recorded:
                return Site(environment.name, kind)
    return _elsewhere(environments[0], recorded)


def _elsewhere(environment: Environment, recorded: str) -> Site:
    kind = environment.instance_types[0]
    why = (
        f"{recorded} is in no environment of its queue"
        if recorded
        else "which machine it had is not recorded"
    )
    return Site(environment.name, kind, (f"{why}: it runs on {kind.name}",))


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
    limit = this.job.limits.timeout
    line = docker_line(this, cpus=float(kind.vcpus))
    if limit is not None:
        line = f"timeout --kill-after={this.job.limits.grace:g} {limit:g} {line}"
    latest = int((LONGEST if limit is None else limit + this.job.limits.grace) + BOOT) // 60
    return f"""\
#!/bin/bash
shutdown -P +{latest}
command -v docker || apt-get install -y docker.io || dnf install -y docker
systemctl start docker
{{
{line}
echo "$?" > /run/runner-exit
}} < /dev/null 2>&1 | awk '{{ printf "runner %d> %s\\r\\n", NR, $0; fflush() }}' > /dev/console
printf 'runner exit> %s\\r\\n' "$(cat /run/runner-exit)" > /dev/console
sleep 30
shutdown -P now
"""


def _document(script: str) -> bytes:
    """In two parts: the first runs before services start, and keeps the image's own agent from taking work."""
    early = "#cloud-boothook\n#!/bin/sh\nsystemctl mask --runtime --now runner-agent.service || true\n"
    document = MIMEMultipart(boundary="runner")
    document.attach(MIMEText(early, "cloud-boothook", "utf-8"))
    document.attach(MIMEText(script, "x-shellscript", "utf-8"))
    return document.as_bytes()


@dataclass(frozen=True, slots=True)
class Heard:
    """What a look at the console brought: new lines, how many in between are lost, and the exit status if it told."""

    lines: tuple[str, ...]
    last: int
    lost: int = 0
    exit_status: int | None = None


def heard(console: str, last: int) -> Heard:
    """What is new beyond line number `last`."""
    numbered: dict[int, str] = {}
    exit_status = None
    for text in console.splitlines():
        if found := _LINE.match(text.rstrip("\r")):
            numbered[int(found[1])] = found[2]
        elif found := _EXIT.match(text.rstrip("\r")):
            exit_status = int(found[1])
    new = sorted(number for number in numbered if number > last)
    if not new:
        return Heard((), last, 0, exit_status)
    lost = new[-1] - last - len(new)
    return Heard(tuple(numbered[number] for number in new), new[-1], lost, exit_status)
