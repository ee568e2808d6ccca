"""Prints the tag of an image with Python and a shell, and brings it to the Docker engine if it is not there.

No registry is asked where engine and machine are of one kind: then the image is made of this machine's own
Python, its standard library, a shell and a few tools, each with the shared libraries it needs. Elsewhere
(macOS) it is pulled.

Exit status 3, with one line on standard error: no Docker engine answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from runner.adapters.docker.address import find_address
from runner.adapters.docker.client import ApiError, Client, NoAnswerError
from runner.errors import BadInput

PULLED = "python:3-slim"
# What a step is likely to call, beside Python.
TOOLS = ["sh", "awk", "cat", "cp", "cut", "date", "echo", "env", "false", "grep", "head", "ls", "mkdir", "mv"]
TOOLS += ["rm", "sed", "sleep", "sort", "tail", "tr", "true", "uniq", "wc"]
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "site-packages",
    "dist-packages",
}
PATIENCE = 120.0  # seconds for the engine to take the image in
NO_ENGINE = 3

BASE = dict.fromkeys(("base", "installed_base", "platbase", "installed_platbase"), sys.base_prefix)
PYTHON = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
LOADER_CACHE = Path("/etc/ld.so.cache")


async def main() -> int:
    # The client that the agents use: what it finds here, they find too.
    try:
        client = Client(find_address(None, os.environ, Path.home()))
    except BadInput as error:
        print(error, file=sys.stderr)
        return NO_ENGINE
    try:
        print(await bring(client))
    except (ApiError, NoAnswerError) as error:
        print(f"no Docker engine can be used at {client.address.url}: {error}", file=sys.stderr)
        return NO_ENGINE
    finally:
        await client.close()
    return 0


async def bring(client: Client) -> str:
    """The tag of an image that is there now."""
    engine = await client.call("GET", "/version")
    if platform.system() != "Linux" or engine["Arch"] != ARCHITECTURES.get(platform.machine()):
        return await pull(client)
    files = dict(contents())
    tag = f"runner-demo:{fingerprint(files)}"
    if not await has(client, tag):
        print(f"making the image {tag} of this machine's Python {platform.python_version()}", file=sys.stderr)
        await client.call("POST", "images/load", data=archive(files, tag, engine["Arch"]), seconds=PATIENCE)
    return tag


async def pull(client: Client) -> str:
    if not await has(client, PULLED):
        print(f"pulling the image {PULLED}", file=sys.stderr)
        repository, _, tag = PULLED.partition(":")
        reply = await client.stream("POST", "images/create", query={"fromImage": repository, "tag": tag})
        async with reply:
            await reply.read()
    return PULLED


async def has(client: Client, tag: str) -> bool:
    try:
        await client.call("GET", f"images/{tag}/json")
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return True


def contents() -> Iterator[tuple[str, Path]]:
    """Paths in the image and files of this machine. Python keeps its paths, so that it finds itself there."""
    programs = [PYTHON]
    for tool in TOOLS:
        if found := shutil.which(tool):
            programs.append(Path(found).resolve())
            yield f"/bin/{tool}", programs[-1]
    modules = list(standard_library())
    libraries = shared_libraries([*programs, *(path for path in modules if path.suffix == ".so")])
    for path in (PYTHON, *modules, *libraries, LOADER_CACHE):
        if path.exists():
            yield str(path), path


def standard_library() -> Iterator[Path]:
    # A virtual environment has none of its own; that of the Python it was made from is meant.
    for root in {sysconfig.get_path(name, vars=BASE) for name in ("stdlib", "platstdlib")}:
        for directory, directories, files in os.walk(root):
            directories[:] = [d for d in directories if d not in LEFT_OUT and not d.startswith("config-")]
            yield from (Path(directory, name) for name in files if ".opt-" not in name)


def shared_libraries(programs: Iterable[Path]) -> set[Path]:
    listing = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True).stdout
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", listing)}


def fingerprint(files: Mapping[str, Path]) -> str:
    """Of what would be copied, compiled modules aside: they come and go with what was imported before."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for target, path in sorted(files.items()):
        if path.suffix != ".pyc":
            status = path.stat()
            digest.update(f"{target} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]


def archive(files: Mapping[str, Path], tag: str, arch: str) -> bytes:
    """What `docker save` would have written: one layer, its configuration, a manifest."""
    layer = tar_of_files(files)
    diff_id = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = {
        "architecture": arch,
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as outer:
        add(outer, "layer.tar", layer)
        add(outer, "config.json", json.dumps(config).encode())
        add(outer, "manifest.json", json.dumps(manifest).encode())
    return buffer.getvalue()


def tar_of_files(files: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as layer:
        for target, path in files.items():
            entry = tarfile.TarInfo(target.lstrip("/"))
            status = path.stat()
            # The time must stay: a compiled module is good only for a source of exactly that time.
            entry.size, entry.mtime, entry.mode = status.st_size, int(status.st_mtime), status.st_mode & 0o755
            with path.open("rb") as file:
                layer.addfile(entry, file)
        link = tarfile.TarInfo("bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, str(PYTHON)
        layer.addfile(link)
        temporary = tarfile.TarInfo("tmp")
        temporary.type, temporary.mode = tarfile.DIRTYPE, 0o1777
        layer.addfile(temporary)
        add(layer, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
    return buffer.getvalue()


def add(into: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    into.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
