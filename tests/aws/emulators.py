"""Emulators of AWS in processes of their own, on free ports of the loopback interface.

moto and ministack emulate the services' shapes and most of their rules; neither throttles, loses a reply, or checks
permissions.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping

from boto3.session import Session

from runner.adapters.boto import BotoAws
from tests.aws import tethered

REGION = "eu-west-1"
READY = 30.0


def emulated(endpoint: str) -> BotoAws:
    return BotoAws(endpoint=endpoint, session=Session("test", "test", region_name=REGION))


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """The endpoint of a new moto server."""
    port = free_port()
    with _running(["moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def ministack(*services: str) -> Iterator[str]:
    """The endpoint of a new ministack server that has these services."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "PATH": os.environ["PATH"],
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "SERVICES": ",".join(services),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "TMPDIR": folder,
            "DOCKER_HOST": f"unix://{folder}/none",  # it would look for containers of its own
        }
        with _running(["ministack"], port, environment):
            yield f"http://127.0.0.1:{port}"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(command: list[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[None]:
    process = tethered.start(*command, environment=environment)
    try:
        _wait_for(process, port)
        yield
    finally:
        tethered.end(process)


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """The one place where real time passes: a server's start cannot be watched otherwise."""
    until = time.monotonic() + READY
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    message = f"{process.args!r} does not answer"
    raise RuntimeError(message)
