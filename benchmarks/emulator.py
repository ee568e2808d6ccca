"""SQS, DynamoDB and S3 by ministack in a process of its own, which counts what it is asked (see `counting`)."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.counting import PATH
from tests.aws import tethered
from tests.aws.emulators import free_port

SERVICES = ("sqs", "dynamodb", "s3")
REPOSITORY = Path(__file__).parents[1]
READY = 30.0


@dataclass(frozen=True)
class Load:
    """What an emulator did: requests by service and operation, and seconds of processor time."""

    requests: Mapping[str, int]
    cpu: float

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Load:
        return cls(told["requests"], told["cpu"])

    def since(self, before: Load) -> Load:
        requests = {name: count - before.requests.get(name, 0) for name, count in self.requests.items()}
        return Load({name: count for name, count in requests.items() if count}, self.cpu - before.cpu)

    def of_service(self, service: str) -> int:
        return sum(count for name, count in self.requests.items() if name.split()[0] == service)


@contextlib.contextmanager
def emulator() -> Iterator[str]:
    """Its endpoint. Nothing is in it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "SERVICES": ",".join(SERVICES),
            "LOG_LEVEL": "ERROR",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "TMPDIR": folder,
            "DOCKER_HOST": f"unix://{folder}/none",  # it would look for containers of its own
        }
        server = tethered.start("benchmarks.counting", environment=environment)
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            tethered.end(server)


def load_of(endpoint: str) -> Load:
    with urllib.request.urlopen(f"{endpoint}{PATH}") as reply:
        return Load.of(json.load(reply))


def _wait_for(port: int) -> None:
    until = time.monotonic() + READY
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    message = "the emulator does not answer"
    raise RuntimeError(message)
