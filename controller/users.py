"""Who submits: a name to share queues by, not a proof of who it is."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping

from runner.codec import USER
from runner.errors import BadInput, Place
from runner.wording import shown

VARIABLE = "RUNNER_USER"
LONGEST = 64


def submitter(given: str | None, environ: Mapping[str, str]) -> str:
    """`given`, else RUNNER_USER, else this process's user; empty if it has no name. Raises BadInput."""
    if given is not None:
        return _legal(given, "user")
    if name := environ.get(VARIABLE):
        return _legal(name, VARIABLE)
    try:
        name = getpass.getuser()
    except (
        KeyError,
        OSError,
        ImportError,
    ):  # a user id without an entry; before Python 3.13 it is a KeyError
        return ""
    return re.sub(r"[^A-Za-z0-9._@+-]", "_", name).lstrip("._@+-")[:LONGEST]


def _legal(name: str, key: str) -> str:
    if not USER.fullmatch(name):
        message = (
            f"not a user: {shown(name)}; at most {LONGEST} letters, digits and . _ @ + -, "
            "the first a letter or a digit"
        )
        raise BadInput(message, Place(key=key))
    return name
