"""ministack's DynamoDB: one server for all tests of a process, and a table for each."""

from __future__ import annotations

import atexit
import itertools
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from functools import cache

from boto3.session import Session

from runner.adapters.boto import BotoAws
from runner.aws import Aws
from tests.aws import tethered

REGION = "us-east-1"
READY_WITHIN = 20.0

_numbers = itertools.count(1)


@cache
def endpoint() -> str:
    """Of the server, which is started when it is first asked for and ends with this process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tempfile.TemporaryDirectory()
    server = tethered.start(
        "ministack",
        environment={
            "PATH": os.environ["PATH"],
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "SERVICES": "dynamodb",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "ERROR",
            "TMPDIR": folder.name,
            "DOCKER_HOST": f"unix://{folder.name}/none",  # it would look for containers of its own
        },
    )

    def end() -> None:
        tethered.end(server)
        folder.cleanup()

    atexit.register(end)
    url = f"http://127.0.0.1:{port}"
    _wait_for(server, url)
    return url


def _wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/_ministack/health", timeout=1).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
        else:
            return
    message = "the emulator did not start"
    raise RuntimeError(message)


@cache
def _session() -> Session:
    """One for all: it takes as long as some tests to read the descriptions of the services."""
    return Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)


def connect(url: str) -> BotoAws:
    return BotoAws(endpoint=url, session=_session())


def a_name(kind: str) -> str:
    """One that nothing in this process had before."""
    return f"{kind}-{next(_numbers)}"


async def create_table(aws: Aws, name: str) -> None:
    """As a deployment makes it."""
    await aws.call(
        "dynamodb",
        "create_table",
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    )
