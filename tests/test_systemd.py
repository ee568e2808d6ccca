"""Signs of life for systemd; its end of the socket is played here."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.adapters.systemd import notifier
from runner.agent.pulse import Pulse, read


@pytest.fixture(params=["path", "abstract"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    path = str(tmp_path / "notify")
    name, address = (path, path) if request.param == "path" else (f"@{path}", f"\0{path}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        try:
            end.bind(address)
        except OSError:
            pytest.skip("no abstract sockets here")
        end.settimeout(5)
        yield name, end


def test_what_is_said_arrives(listening: tuple[str, socket.socket]) -> None:
    name, end = listening
    notifier({"NOTIFY_SOCKET": name})("WATCHDOG=1")
    assert end.recv(100) == b"WATCHDOG=1"


def test_without_systemd_it_is_said_to_nobody() -> None:
    notifier({})("WATCHDOG=1")


def test_nobody_listening_is_no_error(tmp_path: Path) -> None:
    notifier({"NOTIFY_SOCKET": str(tmp_path / "none")})("WATCHDOG=1")


def test_every_beat_of_an_agent_is_a_sign_of_life(tmp_path: Path) -> None:
    said: list[str] = []
    Pulse(tmp_path / "pulse", "1", said.append).beat()
    assert said == ["READY=1\nWATCHDOG=1"]


def test_a_beat_that_cannot_be_written_is_still_a_sign_of_life(tmp_path: Path) -> None:
    said: list[str] = []
    Pulse(tmp_path / "none" / "pulse", "1", said.append).begin()
    assert said == ["READY=1\nWATCHDOG=1"]


def test_the_file_is_the_predecessors_until_the_agent_has_begun(tmp_path: Path) -> None:
    path = tmp_path / "pulse"
    path.write_text("1 7")
    pulse = Pulse(path, "2")
    pulse.beat()
    assert read(path) == ("1", "7")
    pulse.begin()
    assert read(path) == ("2", "2")


def test_an_agents_end_is_announced(tmp_path: Path) -> None:
    said: list[str] = []
    Pulse(tmp_path / "pulse", "1", said.append).end()
    assert said == ["STOPPING=1"]
