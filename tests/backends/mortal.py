"""Ports as a process has them that is killed before or after one of its calls."""

from __future__ import annotations

from typing import Any


class Killed(BaseException):
    pass


class Life:
    """Of one process: `calls` until it is killed, before or `after` the last of them is carried out."""

    def __init__(self, calls: int, after: bool) -> None:
        self.left, self.after, self.over = calls, after, False

    async def spend(self, call: Any, *args: Any, **more: Any) -> Any:
        if self.over:
            raise Killed
        self.left -= 1
        last = self.left == 0
        if last and not self.after:
            self.over = True
            raise Killed
        result = await call(*args, **more)
        self.over = self.over or last
        if self.over:
            raise Killed
        return result


class Mortal:
    """A port as that process has it."""

    def __init__(self, port: Any, life: Life) -> None:
        self._port, self._life = port, life

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **more: Any) -> Any:
            return await self._life.spend(getattr(self._port, name), *args, **more)

        return call
