"""What every machine starts with, whoever starts it: an encrypted disk, metadata for nobody behind it, no way in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.deployment.names import tags
from runner.settings import FleetSettings

NETWORK = "NoWayIn"


def launch_template(
    fleet: FleetSettings, name: str, label: str, device: str, size: int, content: Mapping[str, Any]
) -> Mapping[str, Any]:
    """`label` is what machines are called; `device` is where the image has its root volume, `size` in GiB."""
    volume = {"Encrypted": True, "VolumeType": "gp3", "VolumeSize": size, "DeleteOnTermination": True}
    interface = {
        "DeviceIndex": 0,
        "AssociatePublicIpAddress": fleet.deployment.public_ip,
        "Groups": [{"Fn::GetAtt": [NETWORK, "GroupId"]}],
        "DeleteOnTermination": True,
    }
    named = tags(fleet, Name=label)
    return {
        "Type": "AWS::EC2::LaunchTemplate",
        "Properties": {
            "LaunchTemplateName": name,
            "LaunchTemplateData": {
                **content,
                # One hop: they, and with them the machine's role, are out of reach of containers that have a
                # network of their own.
                "MetadataOptions": {
                    "HttpEndpoint": "enabled",
                    "HttpTokens": "required",
                    "HttpPutResponseHopLimit": 1,
                },
                "BlockDeviceMappings": [{"DeviceName": device, "Ebs": volume}],
                "NetworkInterfaces": [interface],
                "TagSpecifications": [
                    {"ResourceType": kind, "Tags": named}
                    for kind in ("instance", "volume", "network-interface")
                ],
            },
            "TagSpecifications": [{"ResourceType": "launch-template", "Tags": tags(fleet)}],
        },
    }


def version(template: str) -> Mapping[str, Any]:
    """The latest, of the template of that logical name."""
    return {
        "LaunchTemplateId": {"Ref": template},
        "Version": {"Fn::GetAtt": [template, "LatestVersionNumber"]},
    }
