"""`runner.aws.Aws` over boto3: blocking calls in threads of two pools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from botocore.parsers import ResponseParserError
from botocore.response import StreamingBody

from runner.aws import DENIED, THROTTLED, AwsError, Reply, Trouble


class Patience(NamedTuple):
    """How long to wait for an answer, in seconds, and how often to ask in all."""

    read_timeout: float
    attempts: int


CONNECT_TIMEOUT = 5.0
# Longer than the longest poll of a queue, 20 s.
PATIENT = Patience(30.0, 4)
# A beat that hangs for longer comes too late; whoever makes the call decides whether to repeat it.
URGENT = Patience(5.0, 2)
THREADS = 32
URGENT_THREADS = 16

# What names the resource in a request, in the order in which a reader would want to see it.
_RESOURCES = (
    "QueueUrl",
    "QueueName",
    "TableName",
    "Bucket",
    "AutoScalingGroupName",
    "StackName",
    "logGroupName",
    "SecretId",
    "RoleArn",
    "InstanceId",
    "Name",
)

# Carried out twice they do twice as much. Whoever makes these calls first looks what became of one without a reply.
_ONCE = frozenset({"terminate_instance_in_auto_scaling_group"})


class BotoAws:
    """`region` None: the usual AWS variables and files decide, as do they about endpoint and credentials, unless
    `endpoint` or a `session` says otherwise."""

    def __init__(
        self, region: str | None = None, *, endpoint: str | None = None, session: Session | None = None
    ) -> None:
        self._session = session or Session(region_name=region)
        self._endpoint = endpoint
        self._clients: dict[tuple[str, Patience], Any] = {}
        self._making = Lock()  # boto3 sessions must not make two clients at once
        self._pools = {
            False: ThreadPoolExecutor(THREADS, "aws"),
            True: ThreadPoolExecutor(URGENT_THREADS, "aws-urgent"),
        }

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        loop = asyncio.get_running_loop()
        work: Callable[[], Reply] = partial(
            self._call, service, operation, parameters, URGENT if urgent else PATIENT
        )
        running = loop.run_in_executor(self._pools[urgent], work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            with suppress(Exception):
                await running
            raise

    async def close(self) -> None:
        for pool in self._pools.values():
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)
        for client in self._clients.values():
            client.close()

    def _call(self, service: str, operation: str, parameters: dict[str, Any], patience: Patience) -> Reply:
        if operation in _ONCE:
            patience = patience._replace(attempts=1)
        try:
            reply: dict[str, Any] = getattr(self._client(service, patience), operation)(**parameters)
            if isinstance(reply.get("Body"), StreamingBody):
                reply["Body"] = reply["Body"].read()  # here: reading on is waiting for the network as well
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            raise _translated(service, operation, parameters, error) from error
        return reply

    def _client(self, service: str, patience: Patience) -> Any:
        with self._making:
            if (service, patience) not in self._clients:
                config = Config(
                    connect_timeout=CONNECT_TIMEOUT,
                    read_timeout=patience.read_timeout,
                    retries={"mode": "standard", "total_max_attempts": patience.attempts},
                    max_pool_connections=THREADS + URGENT_THREADS,
                )
                self._clients[service, patience] = self._session.client(
                    service, endpoint_url=self._endpoint, config=config
                )
            return self._clients[service, patience]


def _translated(service: str, operation: str, parameters: dict[str, Any], error: Exception) -> AwsError:
    action = f"{service}:{''.join(part.capitalize() for part in operation.split('_'))}"
    resource = next((str(parameters[name]) for name in _RESOURCES if name in parameters), "")
    if not isinstance(error, ClientError):
        unsigned = isinstance(error, (NoCredentialsError, PartialCredentialsError))
        trouble = Trouble.DENIED if unsigned else Trouble.UNREACHABLE
        code = "NoCredentials" if unsigned else type(error).__name__.removesuffix("Error")
        return AwsError(action, resource, code, str(error), trouble)
    response: dict[str, Any] = dict(error.response)
    said = response.pop("Error", {})
    code = str(said.get("Code", "Unknown"))
    status = int(response.pop("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return AwsError(action, resource, code, str(said.get("Message", "")), _meaning(code, status), response)


def _meaning(code: str, status: int) -> Trouble:
    if code in THROTTLED:
        return Trouble.THROTTLED
    if code in DENIED:
        return Trouble.DENIED
    return Trouble.SERVER if status >= 500 else Trouble.REFUSED
