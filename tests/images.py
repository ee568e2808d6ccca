"""Images for tests, made from this machine's own static busybox: no registry is needed."""

from __future__ import annotations

import hashlib
import io
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from runner.adapters.docker.api import Api
from runner.adapters.docker.client import ApiError

MISSING = "these tests need a static busybox on this machine (Debian, Ubuntu: the package busybox-static)"
PASSWD = b"root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000:user:/:/bin/sh\n"


@cache
def busybox_archive() -> bytes:
    """A root file system of busybox with all its applets, as a tar archive; the same bytes every time."""
    path = shutil.which("busybox")
    if path is None or not is_static(Path(path).read_bytes()):
        raise RuntimeError(MISSING)
    applets = subprocess.run([path, "--list"], check=True, capture_output=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for directory, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        _add(tar, "bin/busybox", Path(path).read_bytes(), 0o755)
        _add(tar, "etc/passwd", PASSWD, 0o644)
        for applet in sorted(set(applets) - {"busybox"}):
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return buffer.getvalue()


def is_static(program: bytes) -> bool:
    """Whether an ELF executable of 64 bits names no interpreter (dynamic linker)."""
    (start,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    return all(struct.unpack_from("<I", program, start + size * n)[0] != 3 for n in range(count))


async def busybox_image(api: Api, changes: Sequence[str] = ()) -> str:
    """The name of a busybox image on that engine, with `changes` (Dockerfile lines) made to it."""
    archive = busybox_archive()
    content = hashlib.sha256(archive + "\n".join(changes).encode()).hexdigest()[:16]
    name = f"runner-test-busybox:{content}"
    try:
        await api.client.call("GET", f"images/{name}/json")
    except ApiError:
        query = {"fromSrc": "-", "repo": "runner-test-busybox", "tag": content}
        path = "images/create?" + "&".join(f"changes={change}" for change in changes)
        await api.client.call("POST", path, query=query, data=archive, seconds=60.0)
    return name


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
