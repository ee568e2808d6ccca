"""Servers end with the process that started them, as an emulator must even where the tests are killed."""

from __future__ import annotations

from tests.aws import tethered

# How long a process may take to end, in seconds.
SOON = 20.0


def test_a_server_ends_when_nobody_holds_its_input_any_more() -> None:
    server = tethered.start("http.server", "--bind", "127.0.0.1", "0")
    try:
        assert server.stdin is not None
        server.stdin.close()
        assert server.wait(SOON) == 0
    finally:
        tethered.end(server)
