"""Where the engine is looked for."""

from __future__ import annotations

import hashlib
import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.adapters.docker import address
from runner.adapters.docker.address import find_address
from runner.errors import BadInput


@pytest.fixture
def home() -> Iterator[Path]:
    # A socket's path may have 108 bytes, which pytest's own directories can exceed.
    with tempfile.TemporaryDirectory(prefix="runner-") as directory:
        yield Path(directory)


def make_context(home: Path, name: str, host: str) -> Path:
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = home / ".docker" / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    return home / ".docker" / "contexts" / "tls" / digest / "docker"


def choose_context(home: Path, name: str) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def test_what_is_configured_goes_first(home: Path) -> None:
    choose_context(home, "laptop")
    make_context(home, "laptop", "unix:///laptop.sock")
    found = find_address("unix:///given.sock", {"DOCKER_HOST": "unix:///variable.sock"}, home)
    assert found.url == "unix:///given.sock"


def test_then_docker_host(home: Path) -> None:
    choose_context(home, "laptop")
    make_context(home, "laptop", "unix:///laptop.sock")
    assert find_address(None, {"DOCKER_HOST": "unix:///variable.sock"}, home).url == "unix:///variable.sock"


def test_then_the_context_the_docker_command_uses(home: Path) -> None:
    choose_context(home, "laptop")
    make_context(home, "laptop", "unix:///laptop.sock")
    assert find_address(None, {}, home).url == "unix:///laptop.sock"


def test_docker_context_chooses_another_context(home: Path) -> None:
    choose_context(home, "laptop")
    make_context(home, "laptop", "unix:///laptop.sock")
    make_context(home, "other", "unix:///other.sock")
    assert find_address(None, {"DOCKER_CONTEXT": "other"}, home).url == "unix:///other.sock"


def test_a_context_may_have_certificates(home: Path) -> None:
    certificates = make_context(home, "far", "tcp://far:2376")
    certificates.mkdir(parents=True)
    assert find_address(None, {"DOCKER_CONTEXT": "far"}, home).certificates == certificates


@pytest.mark.parametrize("content", ["", "{", "[]", '{"currentContext": 7}', '{"currentContext": "gone"}'])
def test_settings_that_cannot_be_read_are_as_good_as_none(home: Path, content: str) -> None:
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text(content)
    assert find_address(None, {}, home).url.startswith("unix://")


@pytest.mark.parametrize("place", [".docker/run/docker.sock", ".colima/default/docker.sock"])
def test_sockets_in_the_home_directory_are_found(
    home: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "USUAL_SOCKET", home / "not-there.sock")
    path = home / place
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert find_address(None, {}, home).url == f"unix://{path}"


def test_tls_is_used_when_the_environment_says_so(home: Path) -> None:
    environment = {
        "DOCKER_HOST": "tcp://far:2376",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": "/certificates",
    }
    assert find_address(None, environment, home).certificates == Path("/certificates")


@pytest.mark.parametrize("url", ["ssh://me@far", "npipe:////./pipe/docker", "docker.sock", "unix://relative"])
def test_an_address_we_cannot_use_is_refused_with_what_is_allowed(home: Path, url: str) -> None:
    with pytest.raises(BadInput, match=r"unix:///path/to/socket or tcp://host:port"):
        find_address(url, {}, home)
