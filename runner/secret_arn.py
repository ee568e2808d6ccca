"""ARNs that a task's secret may come from.

    arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX[:JSON-KEY:VERSION-STAGE:VERSION-ID]
    arn:aws:ssm:REGION:ACCOUNT:parameter/NAME[:VERSION]

As Amazon ECS writes them: any of the three last parts may be empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SECRET = re.compile(
    r"(?P<arn>arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]{1,520})"
    r"(?::(?P<key>[^:\0]*):(?P<stage>[^:\0]*):(?P<version>[^:\0]*))?"
)
_PARAMETER = re.compile(
    r"arn:aws[a-z-]*:ssm:(?P<region>[a-z0-9-]+):[0-9]{12}:parameter/[A-Za-z0-9_./-]{1,1011}(?::[A-Za-z0-9_.-]{1,100})?"
)
FORMS = (
    "the ARN of a secret of Secrets Manager (with :JSON-KEY:: behind it, if wanted) or of a parameter of SSM"
)


@dataclass(frozen=True, slots=True)
class SecretArn:
    """What to ask `service` for in `region`. `key` names a value in a JSON object; empty: all of it."""

    service: str
    region: str
    arn: str
    stage: str = ""
    version: str = ""
    key: str = ""


def parse_secret_arn(text: str) -> SecretArn | None:
    """None for any other text."""
    if found := _SECRET.fullmatch(text):
        parts = {name: found[name] or "" for name in ("region", "arn", "stage", "version", "key")}
        return SecretArn("secretsmanager", **parts)
    if found := _PARAMETER.fullmatch(text):
        return SecretArn("ssm", found["region"], text)
    return None
