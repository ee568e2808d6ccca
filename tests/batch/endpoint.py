"""The simulated AWS Batch and Amazon EMR as boto3 reaches them: over HTTP, so that whole commands run against them,
each in a process or an event loop of its own.

Their time passes as often as they are asked, `speed` times as fast as everybody's.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import botocore.session
from botocore import xform_name

from controller.simulation.clock import EPOCH, VirtualTimeLoop, abandon
from controller.simulation.services.batch import Program, SimulatedBatch
from controller.simulation.services.batch_logs import SimulatedBatchLogs, SimulatedEcs
from controller.simulation.services.emr import SimulatedEmr
from controller.simulation.services.emr_cluster import Program as Steps
from controller.simulation.services.emr_cluster import StepRun
from runner.aws import AwsError, Reply, Trouble

TARGETS = {"Logs_20140328": "logs", "AmazonEC2ContainerServiceV20141113": "ecs", "ElasticMapReduce": "emr"}
STATUS = {Trouble.THROTTLED: 429, Trouble.DENIED: 403, Trouble.SERVER: 500}

_BATCH = botocore.session.get_session().get_service_model("batch")
OPERATIONS = {
    _BATCH.operation_model(name).http["requestUri"]: xform_name(name) for name in _BATCH.operation_names
}


class Endpoint:
    """`environment`: the variables that lead there."""

    def __init__(self, program: Program, speed: float, steps: Steps) -> None:
        self._loop = VirtualTimeLoop()
        self._speed = speed
        self._lock = Lock()
        self._asked_at = time.monotonic()
        self.batch = SimulatedBatch(program)
        self.emr = SimulatedEmr(steps)
        self._services = {
            "batch": self.batch,
            "logs": SimulatedBatchLogs(self.batch),
            "ecs": SimulatedEcs(self.batch),
            "emr": self.emr,
        }
        self._loop.run_until_complete(asyncio.sleep(time.time() - EPOCH))
        self.environment = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def answer(self, service: str, operation: str, parameters: dict[str, Any]) -> Reply:
        """Raises AwsError."""
        with self._lock:
            passed = time.monotonic() - self._asked_at
            self._asked_at += passed
            return self._loop.run_until_complete(
                self._answer(self._speed * passed, service, operation, parameters)
            )

    def pass_time(self, seconds: float) -> None:
        with self._lock:
            self._loop.run_until_complete(asyncio.sleep(seconds))

    async def _answer(self, passed: float, service: str, operation: str, parameters: dict[str, Any]) -> Reply:
        await asyncio.sleep(passed)
        return self._services[service].answer(operation, parameters)

    def close(self) -> None:
        abandon(self._loop)


def _asked(path: str, target: str) -> tuple[str, str]:
    if target:
        prefix, _, name = target.partition(".")
        return TARGETS[prefix], xform_name(name)
    return "batch", OPERATIONS[path]


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service, operation = _asked(self.path, self.headers.get("X-Amz-Target", ""))
            try:
                self._send(200, endpoint.answer(service, operation, json.loads(body)), "")
            except AwsError as error:
                said = {"message": str(error), "__type": error.code}
                self._send(STATUS.get(error.trouble, 400), said, error.code)

        def _send(self, status: int, reply: Reply, error: str) -> None:
            body = json.dumps(reply, default=datetime.timestamp).encode()
            self.send_response(status)
            if error:
                self.send_header("x-amzn-ErrorType", error)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nobody wants to see them."""

    return Handler


@contextmanager
def serving(
    program: Program, speed: float = 60.0, steps: Steps = lambda _words: StepRun()
) -> Iterator[Endpoint]:
    """`program`: what containers do; `steps`: what steps of clusters do."""
    endpoint = Endpoint(program, speed, steps)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(endpoint))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    endpoint.environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.server_port}"
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        endpoint.close()
