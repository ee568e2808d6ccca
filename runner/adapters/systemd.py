"""Signs of life for systemd, as sd_notify(3) has them: without them it restarts what it started."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

Notify = Callable[[str], None]


def notifier(environ: Mapping[str, str]) -> Notify:
    """Sends what it is given (`READY=1`, `WATCHDOG=1`) to whoever started this process, if that is systemd."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return _nobody
    name = f"\0{address[1:]}" if address.startswith("@") else address

    def notify(state: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.setblocking(False)
                out.connect(name)
                out.send(state.encode())
        except OSError:
            return  # nobody listens, or not now: the next sign is a second away

    return notify


def _nobody(state: str) -> None:
    pass
