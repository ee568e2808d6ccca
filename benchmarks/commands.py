"""Other programs, timed from outside."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A child's peak memory is never reported as less than its parent's was when it was forked. So this small
# program stands in between, and writes what its child took as the last line of its stderr.
MEASURE = """
import json, os, sys, time
begun = time.perf_counter()
pid = os.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(pid, 0)
taken = time.perf_counter() - begun
print(json.dumps([os.waitstatus_to_exitcode(status), taken, used.ru_maxrss]), file=sys.stderr)
"""


# A peer that hangs must not hang the benchmark.
LONGEST = 900.0


@dataclass(frozen=True, slots=True)
class Measured:
    seconds: float
    peak_memory: int
    output: bytes


def measure(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> Measured:
    """Wall time and peak resident bytes of the whole command. Raises RuntimeError if it fails."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", MEASURE, *command],
        capture_output=True,
        env=env,
        cwd=cwd,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    *messages, last = done.stderr.splitlines()
    code, seconds, peak = json.loads(last)
    if code != 0:
        message = f"{' '.join(command)} ended with {code}: {b' '.join(messages).decode(errors='replace')}"
        raise RuntimeError(message)
    unit = 1 if sys.platform == "darwin" else 1024
    return Measured(seconds, peak * unit, done.stdout)


async def seconds_of(command: Sequence[str]) -> float:
    """Wall time. Its output is thrown away. Raises RuntimeError if it fails."""
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(LONGEST):
            _, messages = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    taken = time.perf_counter() - begun
    if process.returncode != 0:
        message = f"{' '.join(command)} ended with {process.returncode}: {messages.decode(errors='replace')}"
        raise RuntimeError(message)
    return taken
