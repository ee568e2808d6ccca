"""A task's environment: what its job says, a few variables of the agent's, and the marks we know it by."""

from __future__ import annotations

import os
from collections.abc import Mapping

INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
"""All that passes from the agent's environment to a task. The rest may hold credentials and stays here."""

HOST = "RUNNER_HOST"
SCRATCH = "RUNNER_SCRATCH"
METADATA = "RUNNER_METADATA"
METADATA_FILE = ".runner-metadata"


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of `environ` that every task gets, with a PATH whatever happens."""
    passed = {name: environ[name] for name in INHERITED if name in environ}
    passed.setdefault("PATH", os.defpath)
    return passed


def task_environment(
    passed: Mapping[str, str], own: Mapping[str, str], host: str, scratch: str
) -> dict[str, str]:
    """`own` is the job's: it goes before what is passed on, but not before the marks.

    RUNNER_HOST and RUNNER_SCRATCH are also how a later agent recognises what this one left behind.
    """
    return {
        **passed,
        "TMPDIR": scratch,
        **own,
        HOST: host,
        SCRATCH: scratch,
        METADATA: f"{scratch}/{METADATA_FILE}",
    }
