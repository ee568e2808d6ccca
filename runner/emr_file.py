"""What `runner.yaml` may say of Amazon EMR: the section `emr`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from runner.emr_settings import EmrSettings
from runner.fleet_file import Name, Region, Subnet
from runner.schema import Section, checked, duration, text
from runner.settings import FleetSettings
from runner.wording import Loc

_SETTINGS = EmrSettings("", "")

RoleName = text(64, r"[\w+=,.@-]+", "an IAM role's name, without path and account")
S3Place = text(
    1024,
    r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9!_.*'()/=-]*)?",
    "a place in S3: s3://BUCKET/PREFIX/",
)


class EmrSection(Section):
    name: Annotated[str, checked(Name)] | None = None
    region: Annotated[str, checked(Region)] | None = None
    subnet: Annotated[str, checked(Subnet)] = _SETTINGS.subnet
    service_role: Annotated[str, checked(RoleName)] = _SETTINGS.service_role
    instance_profile: Annotated[str, checked(RoleName)] = _SETTINGS.instance_profile
    log_uri: Annotated[str, checked(S3Place)] = _SETTINGS.log_uri
    interval: Annotated[float, checked(duration(5, 600))] = _SETTINGS.interval

    def wrong(self, *, in_cloud: bool) -> Iterator[tuple[Loc, str]]:
        """Places are from the top of the file. `in_cloud`: there is a section fleet that counts."""
        for key in ("name", "region"):
            if in_cloud and getattr(self, key) is not None:
                yield ("emr", key), f"is fleet.{key} in this mode; leave it out here"
            if not in_cloud and getattr(self, key) is None:
                yield ("emr",), f"needs {key} in mode embedded"

    def settings(self, fleet: FleetSettings | None) -> EmrSettings:
        """Call only where nothing is wrong."""
        return EmrSettings(
            name=fleet.name if fleet else self.name or "",
            region=fleet.region if fleet else self.region or "",
            **self.model_dump(exclude={"name", "region"}),
        )
