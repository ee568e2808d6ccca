"""A container's stdout and stderr, taken off the engine's wire as they come."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp

from runner.ports import Output

HEADER = 8


class Demultiplexer:
    """Takes the engine's frames apart: each has a header of eight bytes, of which the last four are its
    length.

    However long a frame, and however the bytes are cut on their way, no more is held than a header.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self._left = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        view = memoryview(data)
        while view:
            if self._left:
                yield bytes(view[: self._left])
                taken = min(self._left, len(view))
                self._left -= taken
            else:
                taken = min(HEADER - len(self._header), len(view))
                self._take_header(view[:taken])
            view = view[taken:]

    def _take_header(self, part: memoryview) -> None:
        self._header += part
        if len(self._header) == HEADER:
            self._left = int.from_bytes(self._header[4:], "big")
            self._header.clear()


async def pump(response: aiohttp.ClientResponse, output: Output) -> bool:
    """Deliver until the stream ends. False if it broke."""
    frames = Demultiplexer()
    try:
        async with response:
            async for chunk in response.content.iter_any():
                for data in frames.feed(chunk):
                    output.write(data)
    except (aiohttp.ClientError, OSError):
        return False
    return True
