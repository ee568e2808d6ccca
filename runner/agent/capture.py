"""Takes what a container writes: secrets out, the rest into its log, the last lines kept for its record."""

from __future__ import annotations

import re
from collections.abc import Collection

from runner.ports import LogWriter

MASK = b"***"
SHORTEST_SECRET = 4  # characters; masking every "1" or "no" would ruin the log and hide nothing
TAIL_LINES = 20
TAIL_LINE_LENGTH = 1000  # characters
TAIL_BYTES = 64 * 1024

# Control characters but the tab, and those that reorder or break lines where text is shown.
_UNSEEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Capture:
    """An `Output` over a `LogWriter`. Values of `secrets` are replaced by `***` wherever a chunk may end."""

    def __init__(self, writer: LogWriter, secrets: Collection[str] = ()) -> None:
        self._writer = writer
        self._redactor = Redactor(secrets)
        self._recent = bytearray()
        self._closed = False

    def write(self, data: bytes) -> None:
        if not self._closed:
            self._keep(self._redactor.feed(data))

    def close(self) -> None:
        """Write what was held back, and close the writer. Later output is ignored."""
        if not self._closed:
            self._closed = True
            self._keep(self._redactor.flush())
            self._writer.close()

    def redacted(self, data: bytes) -> bytes:
        """The same secrets out of something else that the task wrote."""
        return self._redactor.masked(data)

    def tail(self) -> tuple[str, ...]:
        """The last lines, of characters that can be shown anywhere."""
        text = self._recent.decode("utf-8", "replace")
        lines = text.split("\n")
        if lines[-1] == "":
            lines.pop()
        return tuple(shown(line.removesuffix("\r")) for line in lines[-TAIL_LINES:])

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        self._writer.write(data)
        self._recent += data
        if len(self._recent) > TAIL_BYTES:
            del self._recent[:-TAIL_BYTES]


def shown(line: str) -> str:
    """Cut to its length, and with what terminals and pages would act upon made visible."""
    visible = _UNSEEN.sub(_escape, line[: TAIL_LINE_LENGTH + 1])
    return visible if len(visible) <= TAIL_LINE_LENGTH else visible[: TAIL_LINE_LENGTH - 1] + "…"


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


class Redactor:
    """Replaces secrets in a stream as if in all of it at once; the longest goes first where several fit.

    Holds back only what may be the beginning of one: at most the longest secret less a byte.
    """

    def __init__(self, secrets: Collection[str]) -> None:
        worth = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
        self._secrets = sorted((secret.encode("utf-8", "surrogateescape") for secret in worth), key=len)[::-1]
        self._pattern = re.compile(b"|".join(map(re.escape, self._secrets)))
        self.held = b""

    def feed(self, data: bytes) -> bytes:
        """What of it all can be passed on."""
        if not self._secrets:
            return data
        text = self.held + data
        passed = bytearray()
        at = 0
        undecided = self._undecided(text, at)
        for match in self._pattern.finditer(text):
            if match.start() >= undecided:
                break
            passed += text[at : match.start()] + MASK
            at = match.end()
            if at > undecided:
                undecided = self._undecided(text, at)
        self.held = text[undecided:]
        passed += text[at:undecided]
        return bytes(passed)

    def flush(self) -> bytes:
        """What was held back: no more will come."""
        held, self.held = self.held, b""
        return self.masked(held)

    def masked(self, data: bytes) -> bytes:
        """All of `data` by itself, which is no part of the stream."""
        return self._pattern.sub(MASK, data) if self._secrets else data

    def _undecided(self, text: bytes, at: int) -> int:
        """The first place from `at` on where `text` ends in the beginning of a secret."""
        return min((_beginning(text, at, secret) for secret in self._secrets), default=len(text))


def _beginning(text: bytes, at: int, secret: bytes) -> int:
    start = max(at, len(text) - len(secret) + 1)
    while (start := text.find(secret[:1], start)) >= 0:
        if secret.startswith(text[start:]):
            return start
        start += 1
    return len(text)
