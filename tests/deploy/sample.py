"""The samples under `deploy`: settings, and the site the templates beside them were made for.

`python -m tests.deploy.sample` writes the templates anew.
"""

from __future__ import annotations

from pathlib import Path

from controller.deployment.installing import templates
from controller.deployment.policies import Policies
from controller.deployment.site import Image, Site
from runner.configuration import load_settings
from runner.settings import FleetSettings, Settings

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
FOLDER, BATCH_FOLDER = DEPLOY / "sample", DEPLOY / "sample-batch"
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


def settings(folder: Path = FOLDER) -> Settings:
    return load_settings(folder / "runner.yaml", {}, Path())


def batch_settings() -> Settings:
    """The same in mode batch."""
    return settings(BATCH_FOLDER)


def fleet() -> FleetSettings:
    return fleet_of(settings())


def fleet_of(settings: Settings) -> FleetSettings:
    assert settings.fleet is not None
    return settings.fleet


def policies(site: Site = SITE) -> Policies:
    return Policies.of(settings(), fleet(), site)


def made(folder: Path = FOLDER) -> dict[str, str]:
    found = settings(folder)
    return {f"{name}.yaml": text for name, text in templates(found, fleet_of(found), SITE).items()}


if __name__ == "__main__":
    for each in (FOLDER, BATCH_FOLDER):
        for name, text in made(each).items():
            (each / name).write_text(text)
