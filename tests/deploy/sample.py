"""The sample under `deploy/sample`: settings, and the site the templates beside them were made for.

`python -m tests.deploy.sample` writes the templates anew.
"""

from __future__ import annotations

from pathlib import Path

from controller.deployment.installing import templates
from controller.deployment.policies import Policies
from controller.deployment.site import Image, Site
from runner.configuration import load_settings
from runner.routing import Routes
from runner.settings import FleetSettings, Settings

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "sample"
ACCOUNT = "123456789012"

SITE = Site(
    account=ACCOUNT,
    partition="aws",
    vpc="vpc-0123456789abcdef0",
    subnets=("subnet-0123456789abcdef0", "subnet-0123456789abcdef1"),
    images={
        False: Image("ami-0123456789abcdef0", "/dev/xvda", 8),
        True: Image("ami-0123456789abcdef1", "/dev/xvda", 8),
    },
    bundle="deploy/0123456789abcdef",
)


def settings() -> Settings:
    return load_settings(FOLDER / "runner.yaml", {}, Path())


def fleet() -> FleetSettings:
    found = settings().fleet
    assert found is not None
    return found


def policies(site: Site = SITE) -> Policies:
    return Policies(fleet(), site, Routes.of(settings()))


def made() -> dict[str, str]:
    return {f"{name}.yaml": text for name, text in templates(settings(), fleet(), SITE).items()}


if __name__ == "__main__":
    for name, text in made().items():
        (FOLDER / name).write_text(text)
