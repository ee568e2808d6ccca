"""Installs pip into the virtual environment that runs this, where Python came without it.

Debian and Ubuntu keep pip's own wheel in a package beside `ensurepip`. Fetching and unpacking a package needs no
rights, unlike installing it, and apt checks its signature.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "python3-pip-whl"
ADVICE = "as root, once: apt-get update && apt-get install python3-venv"


def fetch(directory: Path) -> Path:
    """The wheel. Raises OSError, CalledProcessError, StopIteration if this is no Debian or the package is unknown."""
    subprocess.run(["apt-get", "download", "-qq", PACKAGE], cwd=directory, check=True, capture_output=True)
    package = next(directory.glob("*.deb"))
    subprocess.run(["dpkg-deb", "--extract", package, directory / "content"], check=True, capture_output=True)
    return next(directory.glob("content/usr/share/python-wheels/pip-*.whl"))


def main() -> None:
    if sys.prefix == sys.base_prefix:
        sys.exit("run this with the Python of a virtual environment: it installs pip there")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)  # apt fetches as a user of its own where it runs as root
        try:
            wheel = fetch(directory)
        except (OSError, subprocess.CalledProcessError, StopIteration):
            sys.exit(f"this Python has no pip, and none could be fetched; {ADVICE}")
        subprocess.run([sys.executable, wheel / "pip", "install", "--quiet", "--no-index", wheel], check=True)


if __name__ == "__main__":
    main()
