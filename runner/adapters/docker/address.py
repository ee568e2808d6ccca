"""Where the Docker engine is: as told, else where the `docker` command would look."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import BadInput

USUAL_SOCKET = Path("/var/run/docker.sock")

# In a home directory, for engines that run without root: Docker Desktop, Colima, Rancher, OrbStack.
HOME_SOCKETS = (
    ".docker/run/docker.sock",
    ".colima/default/docker.sock",
    ".rd/docker.sock",
    ".orbstack/run/docker.sock",
)


@dataclass(frozen=True, slots=True)
class Address:
    """`unix:///path`, or `tcp://host:port`. `certificates`: a directory of ca.pem, cert.pem and key.pem,
    for TLS.
    """

    url: str
    certificates: Path | None = None

    @property
    def socket(self) -> str | None:
        return self.url.removeprefix("unix://") if self.url.startswith("unix://") else None


def find_address(docker_host: str | None, environment: Mapping[str, str], home: Path) -> Address:
    """`docker_host`, else DOCKER_HOST, else the `docker` command's context, else the first usual socket
    that exists.

    Raises BadInput for an address of a kind we cannot use.
    """
    found = _named(docker_host or environment.get("DOCKER_HOST"), environment)
    found = found or _of_context(environment, home / ".docker") or Address(_first_socket(environment, home))
    if not found.url.startswith(("unix:///", "tcp://")):
        problem = f"Docker at {found.url} cannot be used; give unix:///path/to/socket or tcp://host:port"
        raise BadInput(problem)
    return found


def _named(url: str | None, environment: Mapping[str, str]) -> Address | None:
    if not url:
        return None
    wants_tls = url.startswith("tcp://") and environment.get("DOCKER_TLS_VERIFY")
    certificates = environment.get("DOCKER_CERT_PATH") or str(Path.home() / ".docker")
    return Address(url, Path(certificates) if wants_tls else None)


def _of_context(environment: Mapping[str, str], settings: Path) -> Address | None:
    name = environment.get("DOCKER_CONTEXT") or _read(settings / "config.json").get("currentContext")
    if not isinstance(name, str) or name in ("", "default"):
        return None
    digest = hashlib.sha256(name.encode()).hexdigest()
    endpoints = _read(settings / "contexts" / "meta" / digest / "meta.json").get("Endpoints") or {}
    url = (endpoints.get("docker") or {}).get("Host")
    if not isinstance(url, str):
        return None
    certificates = settings / "contexts" / "tls" / digest / "docker"
    return Address(url, certificates if certificates.is_dir() else None)


def _first_socket(environment: Mapping[str, str], home: Path) -> str:
    runtime = environment.get("XDG_RUNTIME_DIR")
    rootless = [Path(runtime) / "docker.sock"] if runtime else []
    candidates = [USUAL_SOCKET, *rootless, *(home / name for name in HOME_SOCKETS)]
    return next((f"unix://{path}" for path in candidates if path.is_socket()), f"unix://{USUAL_SOCKET}")


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty if it cannot be read, as for the `docker` command's own files that nobody must
    have.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
