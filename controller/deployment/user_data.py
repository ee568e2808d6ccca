"""What a machine does when it first starts: the provisioning script, told what to make of the machine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from importlib import resources

from controller.deployment.site import Site
from runner.errors import BadInput, Place
from runner.settings import FleetSettings, Settings

SHEBANG = "#!/bin/bash\n"
SCRIPT = "provision.sh"

# Between SIGTERM and the end of an agent that interrupts its tasks, in seconds, beyond `agent.drain`.
BEYOND_DRAIN = 60

# What EC2 takes, before it is encoded.
LONGEST = 16 * 1024


def agent_data(settings: Settings, fleet: FleetSettings, site: Site, environment: str) -> str:
    """Raises BadInput if it is to fetch more images than it can be told of."""
    data = _script(
        RUNNER_PART="agent",
        **_bundle(fleet, site),
        RUNNER_ENVIRONMENT=environment,
        RUNNER_PULL=" ".join(fleet.deployment.pull),
        RUNNER_STOP=str(round(settings.agent.drain) + BEYOND_DRAIN),
    )
    if (size := len(data.encode())) > LONGEST:
        problem = f"with these a machine's user data has {size:,} bytes, and EC2 takes {LONGEST:,}: name fewer images"
        raise BadInput(problem, Place(file=settings.source, key="fleet.deployment.pull"))
    return data


def controller_data(fleet: FleetSettings, site: Site) -> str:
    return _script(RUNNER_PART="controller", **_bundle(fleet, site))


def provisioning() -> str:
    """The script itself."""
    return resources.files("controller.deployment").joinpath(SCRIPT).read_text()


def _bundle(fleet: FleetSettings, site: Site) -> Mapping[str, str]:
    place = f"s3://{fleet.bucket_name(site.account)}/{site.bundle}"
    return {"RUNNER_BUNDLE": place, "RUNNER_REGION": fleet.region}


def _script(**variables: str) -> str:
    told = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    text = provisioning()
    assert text.startswith(SHEBANG)
    return SHEBANG + told + text.removeprefix(SHEBANG)
