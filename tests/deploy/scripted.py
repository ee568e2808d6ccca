"""An `Aws` that answers as it was told: for what real services say and emulators do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runner.aws import AwsError, Reply

Answer = Reply | AwsError | Callable[..., Reply]


class Scripted:
    """`answers` by operation: a reply, an error, or what makes a reply of the parameters. A list is used up one by one,
    its last entry again and again. What is not in it is answered with nothing."""

    def __init__(self, answers: Mapping[str, Answer | list[Answer]]) -> None:
        self._answers: dict[str, list[Answer]] = {}
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.answers(**answers)

    def answers(self, **answers: Answer | list[Answer]) -> None:
        """From now on."""
        for name, answer in answers.items():
            self._answers[name] = list(answer) if isinstance(answer, list) else [answer]

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        self.calls.append((operation, parameters))
        waiting = self._answers.get(operation, [{}])
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(answer, AwsError):
            raise answer
        return answer(**parameters) if callable(answer) else answer

    async def close(self) -> None:
        pass

    def given(self, operation: str) -> list[Mapping[str, Any]]:
        return [parameters for name, parameters in self.calls if name == operation]
