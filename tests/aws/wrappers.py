"""What tests put around an `Aws`: one that counts, one that fails as it is told, one that has another clock."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from typing import Any

from runner.aws import Aws, AwsError, Reply, Trouble
from runner.ports import Clock


class Counting:
    """`requests`: how many there were of each operation; `calls`: all of them with what they were given."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.requests: Counter[str] = Counter()
        self.calls: list[tuple[str, Mapping[str, Any]]] = []

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        self.requests[operation] += 1
        self.calls.append((operation, {**parameters, "urgent": urgent}))
        return await self._aws.call(service, operation, urgent=urgent, **parameters)

    def given(self, operation: str) -> list[Mapping[str, Any]]:
        return [parameters for name, parameters in self.calls if name == operation]

    async def close(self) -> None:
        await self._aws.close()


class Dated:
    """Its replies say that it is `now`."""

    def __init__(self, aws: Aws, now: Clock) -> None:
        self._aws = aws
        self._now = now

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        reply = await self._aws.call(service, operation, urgent=urgent, **parameters)
        date = formatdate(int(self._now()), usegmt=True)
        return {**reply, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}

    async def close(self) -> None:
        await self._aws.close()


Fault = Callable[[Mapping[str, Any], Callable[..., Any]], Any]


class Faulty:
    """The faults planned for an operation meet its next calls, one each; then it works again."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._faults: dict[str, deque[Fault]] = {}

    def plan(self, operation: str, *faults: Fault) -> None:
        self._faults.setdefault(operation, deque()).extend(faults)

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        async def proceed(**changed: Any) -> Reply:
            return await self._aws.call(service, operation, urgent=urgent, **{**parameters, **changed})

        planned = self._faults.get(operation)
        if planned:
            reply: Reply = await planned.popleft()(parameters, proceed)
            return reply
        return await proceed()

    async def close(self) -> None:
        await self._aws.close()


def an_error(code: str, trouble: Trouble = Trouble.SERVER) -> AwsError:
    return AwsError("sqs:Something", "a-queue", code, "as planned", trouble)


def fails(code: str, trouble: Trouble = Trouble.SERVER) -> Fault:
    """The call is not carried out."""

    async def fault(parameters: Mapping[str, Any], proceed: Callable[..., Any]) -> Reply:
        raise an_error(code, trouble)

    return fault


def loses_the_reply(parameters: Mapping[str, Any], proceed: Callable[..., Any]) -> Any:
    """The call is carried out, and nobody hears of it."""

    async def fault() -> Reply:
        await proceed()
        code = "ReadTimeout"
        raise an_error(code, Trouble.UNREACHABLE)

    return fault()


def refuses(*positions: int, code: str = "InternalError", sender: bool = False) -> Fault:
    """Of a batch, the entries at these positions are not carried out, the others are."""

    async def fault(parameters: Mapping[str, Any], proceed: Callable[..., Any]) -> Reply:
        entries: Sequence[Mapping[str, Any]] = parameters["Entries"]
        failed = [entries[at] for at in positions]
        others = [entry for entry in entries if entry not in failed]
        reply = await proceed(Entries=others) if others else {"Successful": []}
        why = {"Code": code, "Message": "as planned", "SenderFault": sender}
        return {
            **reply,
            "Failed": [*reply.get("Failed", []), *({"Id": each["Id"], **why} for each in failed)],
        }

    return fault


def answers(reply: Reply) -> Fault:
    async def fault(parameters: Mapping[str, Any], proceed: Callable[..., Any]) -> Reply:
        return reply

    return fault
