"""Runs a server's module for as long as somebody holds the other end of its standard input.

So it ends with the process that started it, however that ends: one that is killed tidies nothing up.

    python tethered.py MODULE [ARGUMENT…]
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Mapping


def start(*command: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """The server, silent. `command`: its module and arguments."""
    return subprocess.Popen(
        [sys.executable, "-P", __file__, *command],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def end(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.communicate()


def _end_with_input() -> None:
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_input, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
