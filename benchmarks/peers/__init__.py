"""What people use today, each in a virtual environment of its own under `.bench/`.

The programs beside this file run in that environment, so they import nothing of ours. Each takes the number
of tasks and prints the seconds they took; that of Celery more.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

PYTHON_PEERS = ("celery", "hyperqueue", "luigi")
# What pip is asked for: Celery's transport for SQS and its results in DynamoDB need more than Celery.
REQUIREMENTS = ("celery[dynamodb,sqs]", "hyperqueue", "luigi")


def python(space: Path) -> Path:
    """The interpreter that has the peers, made and filled the first time."""
    place = space / "venv"
    interpreter = place / "bin" / "python"
    complete, wanted = place / "complete", "\n".join(REQUIREMENTS)
    if not complete.exists() or complete.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(interpreter), "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        complete.write_text(wanted)
    return interpreter


def versions(interpreter: Path) -> dict[str, str]:
    ask = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"
    asked = subprocess.run(
        [str(interpreter), "-c", ask, *PYTHON_PEERS], capture_output=True, text=True, check=True
    )
    return dict(zip(PYTHON_PEERS, asked.stdout.split(), strict=True))


async def seconds_in(interpreter: Path, program: str, *arguments: str, space: Path) -> float:
    """What `program`, beside this file, says that its tasks took, its own start left out."""
    return float((await output_of(interpreter, program, *arguments, space=space)).split()[-1])


async def output_of(interpreter: Path, program: str, *arguments: str, space: Path) -> str:
    """What `program`, beside this file, prints. Raises RuntimeError if it fails.

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
    return output.decode()
