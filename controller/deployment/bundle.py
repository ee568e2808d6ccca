"""What machines install: this very program as a wheel, the versions of what it needs, and the settings.

The wheel is made of the packages as they are imported here, so that a checkout and an installation deploy alike, and
without a build. The same content makes the same bytes: what has not changed is not deployed again.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from importlib import metadata, resources
from pathlib import Path

from runner.errors import NotFound

DISTRIBUTION = "shard-runner"
PACKAGES = ("runner", "controller")
PREFIX = "deploy/"

LISTING, CONSTRAINTS, SETTINGS = "files", "constraints.txt", "runner.yaml"

# The first moment that a zip file can name.
EPOCH = (1980, 1, 1, 0, 0, 0)
MODE = 0o644 << 16

_WHEEL = "Wheel-Version: 1.0\nGenerator: shard-runner\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Files = Mapping[str, bytes]


def bundle(settings: bytes) -> Files:
    """By file name; the listing names all others. Raises NotFound if this program is not installed."""
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        message = (
            f"{DISTRIBUTION} is not installed here: `pip install` it first, from its checkout if need be"
        )
        raise NotFound(message) from None
    name, content = wheel(distribution)
    files = {name: content, CONSTRAINTS: constraints().encode(), SETTINGS: settings}
    return {**files, LISTING: "\n".join(files).encode()}


def prefix(files: Files) -> str:
    """Where the files stand in the bucket: others stand elsewhere."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return PREFIX + digest.hexdigest()[:16]


def wheel(distribution: metadata.Distribution) -> tuple[str, bytes]:
    """A wheel's name and bytes."""
    name = f"{DISTRIBUTION.replace('-', '_')}-{distribution.version}"
    files = {f"{package}/{path}": data for package in PACKAGES for path, data in _sources(package)}
    files |= {f"{name}.dist-info/{path}": data for path, data in _described(distribution)}
    files[f"{name}.dist-info/RECORD"] = _record(files, f"{name}.dist-info/RECORD")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.external_attr = MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return f"{name}-py3-none-any.whl", packed.getvalue()


def constraints() -> str:
    """Everything that is installed here of what the program needs, with its version, as pip reads it."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(_needed().items()))


def _sources(package: str) -> Iterator[tuple[str, bytes]]:
    with resources.as_file(resources.files(package)) as folder:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(folder)), path.read_bytes()


def _described(distribution: metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    described = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    yield "METADATA", described.encode()
    yield "entry_points.txt", (distribution.read_text("entry_points.txt") or "").encode()
    yield "WHEEL", _WHEEL.encode()


def _record(files: Files, own: str) -> bytes:
    lines = [f"{path},sha256={_hash(data)},{len(data)}\n" for path, data in files.items()]
    return ("".join(lines) + f"{own},,\n").encode()


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _needed() -> Mapping[str, str]:
    found: dict[str, str] = {}
    waiting = list(_requirements(DISTRIBUTION))
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # for other platforms
        waiting.extend(_requirements(name))
    return found


def _requirements(name: str) -> Iterator[str]:
    for requirement in metadata.requires(name) or ():
        named = _NAME.match(requirement)
        if named and "extra ==" not in requirement:
            yield named[0].lower().replace("_", "-").replace(".", "-")


def read_settings_file(source: str | None) -> bytes:
    """The file that the settings were read from. Raises NotFound."""
    if source is None or not Path(source).exists():
        message = "there is no settings file to deploy: `runner-controller init` writes one"
        raise NotFound(message)
    return Path(source).read_bytes()
