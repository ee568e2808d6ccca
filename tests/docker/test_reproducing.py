"""`reproduce` with a real engine: what the agent ran in a container runs in the same image again."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.adapters.docker.engine import DockerEngine
from tests.engines.rig_docker import an_image
from tests.faults.installation import Installation

pytestmark = [
    pytest.mark.docker,
    pytest.mark.processes,
    pytest.mark.skipif(shutil.which("docker") is None, reason="needs the docker command"),
]

SCRIPT = (
    'echo "$RUNNER_TASK_INDEX $RUNNER_ITEM $X $TOKEN"; cat /in; '
    "touch $RUNNER_SCRATCH/a && echo k=v > $RUNNER_METADATA; exit 7"
)


async def sweep(host: str, state: Path) -> None:
    """Nobody comes after its agents, that were killed, to remove what they kept ready."""
    engine = DockerEngine(host, 0, state, None, time.time)
    await engine.sweep(host)
    await engine.close()


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, engine="docker")
    yield made
    made.end()
    asyncio.run(sweep("local-1", made.home / "hosts" / "local-1"))


@pytest.fixture
def image(tmp_path: Path) -> str:
    return asyncio.run(an_image(tmp_path))


def test_a_container_runs_again_with_all_that_it_had(
    installation: Installation, image: str, tmp_path: Path
) -> None:
    (tmp_path / "lines").write_text("alpha\nbeta\n")
    (tmp_path / "token").write_text("hunter2")
    (tmp_path / "data").write_text("the data\n")
    flags = ["--name", "n", "--image", image, "--each-line", str(tmp_path / "lines"), "--env", "X=it's"]
    flags += [
        "--secret",
        f"TOKEN=file:{tmp_path}/token",
        "--mount",
        f"{tmp_path}/data:/in",
        "--memory",
        "64MiB",
    ]
    installation.run("submit", *flags, "--", "sh", "-c", SCRIPT, expect=1)
    expected = "1 beta it's {token}\nthe data\n"
    assert installation.run("logs", "n/1") == expected.format(token="***")
    assert installation.run("reproduce", "n/1", expect=7) == expected.format(token="hunter2")


def test_the_printed_line_names_the_digest_that_ran(installation: Installation, image: str) -> None:
    installation.run("submit", "--name", "n", "--image", image, "--", "true")
    digest = installation.json("tasks", "n")[0]["outcome"]["image_digest"]
    assert digest.partition("sha256:")[1]
    assert f" {digest} true" in installation.run("reproduce", "n", "--print")


def test_a_task_of_a_user_that_is_not_root_can_write_its_scratch_when_reproduced(
    installation: Installation, image: str
) -> None:
    made = subprocess.run(["docker", "create", image, "true"], capture_output=True, text=True, check=True)
    container, nobody = made.stdout.strip(), f"{image}-nobody"
    subprocess.run(["docker", "commit", "--change", "USER 1000", container, nobody], check=True)
    try:
        write = "touch $RUNNER_SCRATCH/a && ls $RUNNER_SCRATCH"
        installation.run("submit", "--name", "n", "--image", nobody, "--", "sh", "-c", write)
        assert installation.run("reproduce", "n") == installation.run("logs", "n") == "a\n"
    finally:
        subprocess.run(["docker", "rm", container], check=True)
        subprocess.run(["docker", "rmi", nobody], check=True)
