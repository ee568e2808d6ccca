"""What simulated services have in common: they remember their calls and fail when told to."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import Any

from runner.aws import AwsError, Reply, Trouble


def refused(code: str, message: str = "because", trouble: Trouble = Trouble.REFUSED) -> AwsError:
    return AwsError("some:Action", "resource", code, message, trouble)


def throttled() -> AwsError:
    return refused("ThrottlingException", "Rate exceeded", Trouble.THROTTLED)


def unreachable() -> AwsError:
    return refused("EndpointConnection", "no route", Trouble.UNREACHABLE)


def denied() -> AwsError:
    return refused("AccessDeniedException", "User x is not authorized to perform y", Trouble.DENIED)


class Simulated:
    """`failing` makes an operation's next calls raise; `deaf` carries so many out and loses the reply; `down` makes all
    calls raise, for as long as it is set. `remembers`: whether calls are kept, to be looked at."""

    service = ""
    remembers = True

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failing: dict[str, deque[AwsError]] = defaultdict(deque)
        self.deaf: dict[str, int] = defaultdict(int)
        self.down: AwsError | None = None

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        assert service == self.service
        return self.answer(operation, parameters)

    def answer(self, operation: str, parameters: dict[str, Any]) -> Reply:
        """Carried out at once. Raises AwsError."""
        if self.remembers:
            self.calls.append((operation, parameters))
        if self.down is not None:
            raise self.down
        if self.failing[operation]:
            raise self.failing[operation].popleft()
        reply: Reply = getattr(self, f"_{operation}")(**parameters) or {}
        if self.deaf[operation]:
            self.deaf[operation] -= 1
            raise refused("ReadTimeout", "no answer", Trouble.UNREACHABLE)
        return reply

    async def close(self) -> None: ...

    def called(self, operation: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.calls if name == operation]


class RateLimited(Simulated):
    """`per_second`: how many calls are admitted, none of them carried over beyond a second; None: all."""

    too_many = ("ThrottlingException", "Rate exceeded")

    def __init__(self) -> None:
        super().__init__()
        self.per_second: float | None = None
        self._allowed = 0.0
        self._asked_at = 0.0

    def answer(self, operation: str, parameters: dict[str, Any]) -> Reply:
        if self.per_second is not None and not self._admitted(self.per_second):
            raise refused(*self.too_many, Trouble.THROTTLED)
        return super().answer(operation, parameters)

    def _admitted(self, per_second: float) -> bool:
        at = asyncio.get_running_loop().time()
        self._allowed = min(max(1.0, per_second), self._allowed + (at - self._asked_at) * per_second)
        self._asked_at = at
        if self._allowed < 1:
            return False
        self._allowed -= 1
        return True
