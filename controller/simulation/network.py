"""What lies between processes and the services: latency, faults, and the client's own tries.

A request takes a while to arrive, is carried out in one moment, and its reply takes a while again. What is under way
goes on whatever becomes of the process that asked. Requests that fail in passing are made again as `BotoAws` has
boto3 make them ("standard" mode), so that a lost reply may mean that something was done twice.
"""

from __future__ import annotations

import asyncio
from asyncio.events import TimerHandle
from collections import Counter
from collections.abc import Awaitable, Mapping
from contextvars import Context, ContextVar
from math import log
from random import Random
from typing import Any, Protocol

from controller.simulation.clock import OUTSIDE, Process
from controller.simulation.faults import CARRIED_OUT, Effect, Fault
from runner.aws import AwsError, Reply, Trouble

Answer = Reply | asyncio.Future[Reply]

# Whose long poll this is.
_LONG_POLL: ContextVar[str] = ContextVar("long_poll", default="")


class Service(Protocol):
    def answer(self, operation: str, parameters: dict[str, Any], /) -> Reply | Awaitable[Reply]:
        """Carried out at once; awaitable only where the reply waits for something. Raises AwsError."""
        ...


# Seconds from a request to its reply: the least, and what comes on top on average.
LATENCY: Mapping[str, tuple[float, float]] = {
    "sqs": (0.006, 0.006),
    "dynamodb": (0.003, 0.003),
    "s3": (0.02, 0.03),
    "autoscaling": (0.05, 0.1),
}
USUAL = (0.02, 0.03)

# As `runner.adapters.boto` has it: how often a request is made, how long its reply is waited for.
ATTEMPTS, URGENT_ATTEMPTS = 4, 2
READ_TIMEOUT, URGENT_READ_TIMEOUT = 30.0, 5.0
CONNECT_TIMEOUT = 5.0
ONCE = frozenset(
    {"add_job_flow_steps", "run_job_flow", "submit_job", "terminate_instance_in_auto_scaling_group"}
)
LONGEST_BACKOFF = 20.0
# What of a request an error names.
RESOURCES = (
    "QueueUrl",
    "QueueName",
    "TableName",
    "Bucket",
    "AutoScalingGroupName",
    "InstanceId",
    "jobName",
    "jobId",
    "jobQueue",
    "ClusterId",
    "JobFlowId",
)
PASSING = frozenset({Trouble.THROTTLED, Trouble.UNREACHABLE, Trouble.SERVER})


class Network:
    """`services` by botocore's names. `requests` counts those made, by service and operation; `caller` is whose request
    is being carried out."""

    def __init__(self, services: Mapping[str, Service], random: Random) -> None:
        self.services = services
        self.random = random
        self._caller = ""
        self.faults: list[Fault] = []
        self.requests: Counter[tuple[str, str]] = Counter()
        self.failures: Counter[str] = Counter()

    def aws(self, process: Process) -> ProcessAws:
        return ProcessAws(self, process)

    @property
    def caller(self) -> str:
        return _LONG_POLL.get() or self._caller

    def nobody_asks(self) -> None:
        """What happens next is nobody's request."""
        self._caller = ""

    def carry_out(self, caller: str, service: str, operation: str, parameters: dict[str, Any]) -> Answer:
        """At once. Raises AwsError."""
        self._caller = caller
        answer = self.services[service].answer(operation, parameters)
        if not isinstance(answer, Awaitable):
            return answer
        context = OUTSIDE.copy()
        context.run(_LONG_POLL.set, caller)
        return context.run(asyncio.ensure_future, answer)

    def latency(self, service: str) -> float:
        least, more = LATENCY.get(service, USUAL)
        return least - more * log(1.0 - self.random.random())

    def fault(self, at: float, service: str, operation: str, process: str) -> Fault | None:
        for fault in self.faults:
            if fault.hits(at, service, operation, process) and (
                fault.share >= 1 or self.random.random() < fault.share
            ):
                self.failures[str(fault.effect)] += 1
                return fault
        return None


class ProcessAws:
    """`runner.aws.Aws` as one process has it."""

    def __init__(self, network: Network, process: Process) -> None:
        self.network = network
        self.process = process
        self.context = process.context()

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        call = _Call(self, service, operation, parameters, urgent)
        call.request()
        return await call.pending

    async def close(self) -> None: ...


class DirectAws:
    """`runner.aws.Aws` for whoever only looks on: no latency, no faults, not counted."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        self._services = services

    async def call(
        self,
        service: str,
        operation: str,
        /,
        *,
        urgent: bool = False,  # noqa: ARG002 - the port's
        **parameters: Any,
    ) -> Reply:
        answer = self._services[service].answer(operation, parameters)
        return await answer if isinstance(answer, Awaitable) else answer

    async def close(self) -> None: ...


class _Pending(asyncio.Future[Reply]):
    """A call that is cancelled is waited for first, as threads cannot be stopped. Asked again, it is given up."""

    _asked = False

    def cancel(self, msg: Any = None) -> bool:
        if self._asked:
            return super().cancel(msg)
        self._asked = True
        return False


class _Call:
    """One call and the requests made for it."""

    __slots__ = (
        "_aws",
        "_left",
        "_loop",
        "_operation",
        "_parameters",
        "_service",
        "_tries",
        "_urgent",
        "pending",
    )

    def __init__(
        self, aws: ProcessAws, service: str, operation: str, parameters: dict[str, Any], urgent: bool
    ) -> None:
        self._aws = aws
        self._service = service
        self._operation = operation
        self._parameters = parameters
        self._urgent = urgent
        self._tries = 0
        self._left = 1 if operation in ONCE else URGENT_ATTEMPTS if urgent else ATTEMPTS
        self._loop = asyncio.get_running_loop()
        self.pending = _Pending(loop=self._loop)

    # the process's part

    def request(self) -> None:
        network = self._aws.network
        self._tries += 1
        self._left -= 1
        network.requests[self._service, self._operation] += 1
        fault = None
        if network.faults:
            fault = network.fault(self._loop.time(), self._service, self._operation, self._aws.process.name)
        if fault is not None and fault.effect not in CARRIED_OUT:
            self._fail(fault)
            return
        late = fault.seconds if fault is not None else 0.0
        self._after(late + network.latency(self._service) / 2, OUTSIDE, self._arrive, fault)

    def _fail(self, fault: Fault) -> None:
        unreachable = fault.effect is Effect.UNREACHABLE
        seconds = CONNECT_TIMEOUT if unreachable else self._aws.network.latency(self._service)
        self._after(seconds, self._aws.context, self._failed, self._error(fault))

    def _failed(self, error: AwsError) -> None:
        if self._left and error.trouble in PASSING:
            pause = min(LONGEST_BACKOFF, self._aws.network.random.random() * 2.0 ** (self._tries - 1))
            self._after(pause, self._aws.context, self.request)
        elif not self.pending.done():
            self.pending.set_exception(error)

    def _succeeded(self, reply: Reply) -> None:
        if not self.pending.done():
            self.pending.set_result(reply)

    # the service's part

    def _arrive(self, fault: Fault | None) -> None:
        network, caller = self._aws.network, self._aws.process.name
        try:
            answer = network.carry_out(caller, self._service, self._operation, self._parameters)
        except AwsError as error:
            self._reply(fault, error)
            return
        if isinstance(answer, asyncio.Future):
            answer.add_done_callback(lambda _: self._polled(fault, answer))
        else:
            self._reply(fault, answer)

    def _polled(self, fault: Fault | None, answer: asyncio.Future[Reply]) -> None:
        error = answer.exception()
        assert error is None or isinstance(error, AwsError)
        self._reply(fault, error or answer.result())

    def _reply(self, fault: Fault | None, reply: Reply | AwsError) -> None:
        seconds = self._aws.network.latency(self._service) / 2
        if fault is not None and fault.effect is not Effect.SLOW:
            if fault.effect is Effect.LOST:
                seconds = URGENT_READ_TIMEOUT if self._urgent else READ_TIMEOUT
            reply = self._error(fault)
        back = self._failed if isinstance(reply, AwsError) else self._succeeded
        self._after(seconds, self._aws.context, back, reply)

    def _error(self, fault: Fault) -> AwsError:
        return error_of(fault, self._service, self._operation, self._parameters)

    def _after(self, seconds: float, context: Context, act: Any, *args: Any) -> TimerHandle:
        return self._loop.call_later(seconds, act, *args, context=context)


_TROUBLES = {
    Effect.THROTTLED: (Trouble.THROTTLED, "ThrottlingException", "Rate exceeded"),
    Effect.FAILED: (Trouble.SERVER, "InternalFailure", "internal error"),
    Effect.FAILED_AFTER: (Trouble.SERVER, "InternalFailure", "internal error"),
    Effect.REFUSED: (Trouble.UNREACHABLE, "EndpointConnection", "connection refused"),
    Effect.UNREACHABLE: (Trouble.UNREACHABLE, "ConnectTimeout", "no connection"),
    Effect.RESET: (Trouble.UNREACHABLE, "ConnectionClosed", "connection was closed"),
    Effect.LOST: (Trouble.UNREACHABLE, "ReadTimeout", "no reply"),
    Effect.DENIED: (Trouble.DENIED, "AccessDeniedException", "not authorized"),
}


def error_of(fault: Fault, service: str, operation: str, parameters: Mapping[str, Any]) -> AwsError:
    trouble, code, problem = _TROUBLES[fault.effect]
    action = f"{service}:{''.join(part.capitalize() for part in operation.split('_'))}"
    resource = next((str(parameters[name]) for name in RESOURCES if name in parameters), "")
    return AwsError(action, resource, fault.code or code, problem, trouble)
