"""A task's environment: what its job says, a few variables of the agent's, and the marks we know it by."""

from __future__ import annotations

import os
from collections.abc import Mapping

from runner.errors import StartError

INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
"""All that passes from the agent's environment to a task. The rest may hold credentials and stays here."""

HOST = "RUNNER_HOST"
SCRATCH = "RUNNER_SCRATCH"
METADATA = "RUNNER_METADATA"
MARK = "RUNNER_MARK"
METADATA_FILE = ".runner-metadata"


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of `environ` that every task gets, with a PATH whatever happens."""
    passed = {name: environ[name] for name in INHERITED if name in environ}
    passed.setdefault("PATH", os.defpath)
    return passed


def task_environment(
    passed: Mapping[str, str], own: Mapping[str, str], host: str, scratch: str, mark: str
) -> dict[str, str]:
    """`own` is the job's: it goes before what is passed on, but not before what we recognise a task by.

    By RUNNER_MARK, never used twice, this agent tells whose a process is that left its group; by RUNNER_HOST
    and RUNNER_SCRATCH a later agent tells what this one left behind. Raises StartError.
    """
    check(own)
    return {
        **passed,
        "TMPDIR": scratch,
        **own,
        HOST: host,
        SCRATCH: scratch,
        MARK: mark,
        METADATA: f"{scratch}/{METADATA_FILE}",
    }


def check(own: Mapping[str, str]) -> None:
    """Refuse what could be handed over, but not as it was written. No message repeats any of it."""
    try:
        "".join((*own, *own.values())).encode("utf-8")
    except UnicodeEncodeError:
        msg = "the environment holds what is no text: half a surrogate pair"
        raise StartError(msg) from None
    if "" in own:
        msg = "the environment holds a variable without a name"
        raise StartError(msg)
