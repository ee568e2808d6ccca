"""Starts one command in a session of its own, and says in words why it could not."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from runner.errors import EngineError, EngineUnavailable, StartError

# The machine is short of something that it may have again in a minute: not the task's fault.
TRANSIENT = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC})


def spawn(command: Sequence[str], env: Mapping[str, str], cwd: str, output: int) -> int:
    """The pid of the new leader of a session and process group. Both output streams go to `output`, a
    descriptor or `subprocess.DEVNULL`; there is no input.

    Raises StartError or EngineUnavailable. No message holds an argument or a value: they may be secret.
    """
    if not command:
        msg = "no command: the process engine has no image that could bring one"
        raise StartError(msg)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise explain(error, command[0], cwd, env) from None
    # The reaper collects the status. Unless told that it is known, Popen would poll for the pid itself later.
    process.returncode = 0
    return process.pid


def explain(error: OSError | ValueError, program: str, cwd: str, env: Mapping[str, str]) -> EngineError:
    """What kept `program` from starting, for the one who wrote the job."""
    if not isinstance(error, OSError):
        return StartError("the command or its environment holds a NUL, an illegal name or illegal characters")
    reason = os.strerror(error.errno or 0)
    if error.errno in TRANSIENT or error.filename == cwd:
        return EngineUnavailable(f"cannot start a process in {cwd}: {reason}")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        found = shutil.which(program, path=env.get("PATH"))
        what = (
            f"the interpreter that {found} asks for is missing" if found else f"no such command: {program!r}"
        )
        return StartError(what)
    if error.errno == errno.EACCES:
        return StartError(f"not executable: {program!r}")
    if error.errno == errno.E2BIG:
        return StartError("the command and its environment are too long for this system")
    return StartError(f"cannot run {program!r}: {reason}")
