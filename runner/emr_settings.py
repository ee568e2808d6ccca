"""What an installation sets for Amazon EMR, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EmrSettings:
    """`name`: the installation's; the names of its clusters begin with it. `subnet` empty: the default VPC's.
    `service_role` and `instance_profile`: those that clusters work with, by name. `log_uri`: where in S3 clusters put
    their logs, if their job does not say; empty: nowhere. `interval`: seconds between two looks at what clusters do."""

    name: str
    region: str
    subnet: str = ""
    service_role: str = "EMR_DefaultRole"
    instance_profile: str = "EMR_EC2_DefaultRole"
    log_uri: str = ""
    interval: float = 20.0
