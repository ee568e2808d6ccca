"""What the containers of one engine share, once it has answered."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from runner.adapters.docker.api import Api
from runner.adapters.docker.background import Background
from runner.adapters.docker.executable import Executables
from runner.adapters.docker.images import Images
from runner.adapters.docker.removal import Remover
from runner.adapters.docker.sandbox import Sandboxes
from runner.adapters.docker.spec import Owner
from runner.adapters.docker.usage import Meters
from runner.adapters.docker.watch import SignalWatch
from runner.ports import Clock

# A task's metadata, of which no more is read.
MOST_METADATA = 64 * 1024


@dataclass(frozen=True, slots=True)
class Site:
    """`state` is absolute. `cpus`: how many the engine has; None: it cannot limit them. `patience`: seconds it
    may be away before what runs on it is given up. `live`: ids of the containers we hold, which recovery must
    leave alone."""

    api: Api
    images: Images
    sandboxes: Sandboxes
    executables: Executables
    remover: Remover
    meters: Meters
    signals: SignalWatch
    background: Background
    now: Clock
    state: Path
    cpus: int | None
    patience: float
    live: set[str] = field(default_factory=set)

    def owner(self, host: str) -> Owner:
        return Owner(host, self.state)

    def metadata(self, host: str, task: str) -> MetadataFile:
        return MetadataFile(self.metadata_of(host) / task)

    def metadata_of(self, host: str) -> Path:
        """The directory of a host's metadata files: agents of several hosts may share `state`."""
        return self.state / "metadata" / hashlib.sha256(host.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """A file of this host's that is mounted into one container, by itself: so the task cannot put anything
    else, a link to a file of the host's say, in its place.
    """

    path: Path

    def make(self) -> None:
        """Empty, and writable for whatever user the task is."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        self.path.chmod(0o666)

    def read(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                return file.read(MOST_METADATA)
        except OSError:
            return b""

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
