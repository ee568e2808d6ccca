"""Where local agents log."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from controller.adapters.processes import LARGEST_LOG, open_log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hosts" / "local-1" / "agent.log"


def log(path: Path, text: bytes) -> None:
    descriptor = open_log(path)
    os.write(descriptor, text)
    os.close(descriptor)


def test_only_its_user_may_read_it(path: Path) -> None:
    log(path, b"started")
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, *list(path.parents)[:2])]
    assert modes == [0o600, 0o700, 0o700]


def test_the_next_agent_adds_to_it(path: Path) -> None:
    log(path, b"one\n")
    log(path, b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_large_one_is_put_aside_when_an_agent_starts(path: Path) -> None:
    for text in (b"oldest", b"old"):
        log(path, text)
        os.truncate(path, LARGEST_LOG + 1)
    log(path, b"new")
    assert path.read_bytes() == b"new"
    assert sorted(each.name for each in path.parent.iterdir()) == ["agent.log", "agent.log.old"]
    assert path.with_name("agent.log.old").read_bytes().startswith(b"old\0")


def test_no_link_is_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    log(path, b"x")
    path.unlink()
    path.symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        open_log(path)
