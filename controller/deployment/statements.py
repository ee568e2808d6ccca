"""Statements of policies, and policies of statements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Statement = Mapping[str, Any]


def allow(
    sid: str, actions: Sequence[str], resources: Sequence[str], equal: Mapping[str, str] | None = None
) -> Statement:
    """`equal`: what must hold beside."""
    condition = {"Condition": {"StringEquals": dict(equal)}} if equal else {}
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources), **condition}


def document(statements: Sequence[Statement]) -> Mapping[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def size(statements: Sequence[Statement]) -> int:
    """As IAM counts: in characters, without white space."""
    return len(json.dumps(document(statements), separators=(",", ":")))
