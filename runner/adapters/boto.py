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
from botocore.exceptions import BotoCoreError, ClientError
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
    "jobName",
    "jobId",
    "jobQueue",
    "ClusterId",
    "JobFlowId",
)

# What rights to a service are called, where that is not its name.
_PREFIXES = {"emr": "elasticmapreduce"}

_CONFIGURATION = "check AWS_PROFILE, AWS_CONFIG_FILE and what that file says"
_SOURCE = (
    "check what gives the credentials: `credential_process` or a role of the profile, the machine's own role"
)
_LOGIN = "log in again with `aws sso login`, or `aws login`"
_ENDPOINT = "check region and AWS_ENDPOINT_URL, which begins with https:// or http://"

# What a request finds missing that `deploy` makes.
_ABSENT = frozenset({"ResourceNotFoundException", "NoSuchBucket", "NonExistentQueue", "QueueDoesNotExist"})
_KEPT = frozenset({"dynamodb", "s3", "sqs"})
_DEPLOY = "run `runner-controller deploy`, or mend fleet.region and the name: `runner-controller doctor` looks for all"

# Errors that are raised before anything was sent, also those derived from them. By name: which there are depends on
# botocore's version.
_WRONG_HERE = {
    "NoCredentialsError": (Trouble.DENIED, ""),
    "PartialCredentialsError": (Trouble.DENIED, ""),
    "CredentialRetrievalError": (Trouble.DENIED, _SOURCE),
    "RefreshWithMFAUnsupportedError": (Trouble.DENIED, _SOURCE),
    "MetadataRetrievalError": (Trouble.DENIED, _SOURCE),
    "SSOError": (Trouble.DENIED, _LOGIN),
    "LoginError": (Trouble.DENIED, _LOGIN),
    "TokenRetrievalError": (Trouble.DENIED, _LOGIN),
    "JSONDecodeError": (Trouble.DENIED, _SOURCE),  # of what the program printed
    "FileNotFoundError": (Trouble.DENIED, _SOURCE),
    "PermissionError": (Trouble.DENIED, _SOURCE),
    "ProfileNotFound": (Trouble.DENIED, _CONFIGURATION),
    "ConfigParseError": (Trouble.DENIED, _CONFIGURATION),
    "InvalidConfigError": (Trouble.DENIED, _CONFIGURATION),
    "UnknownCredentialError": (Trouble.DENIED, _CONFIGURATION),
    "ParamValidationError": (Trouble.REFUSED, ""),
    "NoRegionError": (Trouble.REFUSED, _ENDPOINT),
    "ValueError": (Trouble.REFUSED, _ENDPOINT),
}

# Carried out twice they do twice as much. Whoever makes these calls first looks what became of one without a reply.
_ONCE = frozenset(
    {"add_job_flow_steps", "run_job_flow", "submit_job", "terminate_instance_in_auto_scaling_group"}
)


class BotoAws:
    """`region` None: the usual AWS variables and files decide, as do they about endpoint and credentials, unless
    `endpoint` or a `session` says otherwise."""

    def __init__(
        self, region: str | None = None, *, endpoint: str | None = None, session: Session | None = None
    ) -> None:
        self._region = region
        self._session = session
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
        except (ClientError, BotoCoreError, ResponseParserError, ValueError, OSError) as error:
            raise _translated(service, operation, parameters, error) from error
        return reply

    def _client(self, service: str, patience: Patience) -> Any:
        with self._making:
            if self._session is None:  # only now: a profile or file that is wrong shall be an error of a call
                self._session = Session(region_name=self._region)
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
    action = (
        f"{_PREFIXES.get(service, service)}:{''.join(part.capitalize() for part in operation.split('_'))}"
    )
    resource = next((str(parameters[name]) for name in _RESOURCES if name in parameters), "")
    if not isinstance(error, ClientError):
        trouble, next_step = _wrong_here(error)
        code = type(error).__name__.removesuffix("Error")
        return AwsError(action, resource, code, str(error), trouble, next_step=next_step)
    response: dict[str, Any] = dict(error.response)
    said = response.pop("Error", {})
    code = str(said.get("Code", "Unknown"))
    status = int(response.pop("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    trouble = _meaning(code, status)
    next_step = _DEPLOY if service in _KEPT and code.rpartition(".")[2] in _ABSENT else ""
    return AwsError(
        action, resource, code, str(said.get("Message", "")), trouble, response, next_step=next_step
    )


def _wrong_here(error: Exception) -> tuple[Trouble, str]:
    """What an error means that no service gave, and what to do if that is known. Else a call got no answer."""
    found = (_WRONG_HERE[each.__name__] for each in type(error).__mro__ if each.__name__ in _WRONG_HERE)
    return next(found, (Trouble.UNREACHABLE, ""))


def _meaning(code: str, status: int) -> Trouble:
    if code in THROTTLED:
        return Trouble.THROTTLED
    if code in DENIED:
        return Trouble.DENIED
    return Trouble.SERVER if status >= 500 else Trouble.REFUSED
