"""What a task writes, read without blocking and without a thread."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from runner.errors import EngineUnavailable
from runner.ports import Output

CHUNK = 1 << 16
DRAIN = 16  # chunks: more than a pipe holds, so that a writer that never stops cannot hold up the loop


class Pipe:
    """Both streams of one task, merged as they come. `open` until the last writer has closed it.

    `writer` is for the task; whoever made the pipe closes it once the task has it. `on_close` is called once.
    """

    def __init__(self, output: Output) -> None:
        try:
            self._reader, self.writer = os.pipe()
        except OSError as error:
            msg = f"cannot make a pipe: {os.strerror(error.errno or 0)}"
            raise EngineUnavailable(msg) from error
        os.set_blocking(self._reader, False)
        self._loop = asyncio.get_running_loop()
        self._output = output
        self.open = True
        self.on_close: Callable[[], None] = _nobody

    def listen(self) -> None:
        """Deliver what comes from now on."""
        self._loop.add_reader(self._reader, self._deliver)

    def drain(self) -> None:
        """Deliver what is there already."""
        for _ in range(DRAIN):
            if not (self.open and self._deliver()):
                return

    def _deliver(self) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(self._reader, CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._output.write(data)
            return True
        self.close()
        return False

    def close(self) -> None:
        if self.open:
            self.open = False
            self._loop.remove_reader(self._reader)
            os.close(self._reader)
            self.on_close()


def _nobody() -> None:
    """Nobody wants to know yet."""
