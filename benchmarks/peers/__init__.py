"""What people use today, each in a virtual environment of its own under `.bench/`.

The programs beside this file run in that environment, so they import nothing of ours. Each takes the number
of tasks and prints the seconds they took.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

PYTHON_PEERS = ("hyperqueue", "luigi")


def python(space: Path) -> Path:
    """The interpreter that has the peers, made and filled the first time."""
    place = space / "venv"
    interpreter = place / "bin" / "python"
    if not (place / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(interpreter), "-m", "pip", "install", "--quiet", *PYTHON_PEERS], check=True)
        (place / "complete").touch()
    return interpreter


def versions(interpreter: Path) -> dict[str, str]:
    ask = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"
    asked = subprocess.run(
        [str(interpreter), "-c", ask, *PYTHON_PEERS], capture_output=True, text=True, check=True
    )
    return dict(zip(PYTHON_PEERS, asked.stdout.split(), strict=True))


async def seconds_in(interpreter: Path, program: str, *arguments: str, space: Path) -> float:
    """What `program`, beside this file, says that its tasks took, its own start left out.

    It runs in a new directory in `space`, since some peers leave a file for each task.
    """
    with tempfile.TemporaryDirectory(dir=space) as place:
        process = await asyncio.create_subprocess_exec(
            str(interpreter),
            str(Path(__file__).parent / program),
            *arguments,
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        output, messages = await process.communicate()
    if process.returncode != 0:
        message = f"{program} ended with {process.returncode}: {messages.decode(errors='replace')[-2000:]}"
        raise RuntimeError(message)
    return float(output.split()[-1])
