"""What every command begins with: its settings, the storage opened, one event loop for it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from controller.wiring import Parts
    from runner.settings import Settings


# What a shell expects of a command that Ctrl-C ended.
INTERRUPTED = 130

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class App:
    config: Path | None = None

    def settings(self) -> Settings:
        from runner.configuration import load_settings

        return load_settings(self.config, os.environ, Path.cwd())

    def run(self, work: Callable[[Parts], Awaitable[int | None]]) -> None:
        """Run `work`. What it returns, if anything, is the exit status."""
        leave(self.call(work))

    def call(self, work: Callable[[Parts], Awaitable[T]]) -> T:
        """What `work` returns, run in an event loop with the storage open."""
        # Imported when a command runs: `--help` and completion need none of it.
        import asyncio

        from controller.wiring import open_parts

        async def opened() -> T:
            async with open_parts(self.settings()) as parts:
                return await work(parts)

        return asyncio.run(opened())


def leave(code: int | None) -> None:
    if code:
        raise click.exceptions.Exit(code)


pass_app = click.make_pass_decorator(App)
