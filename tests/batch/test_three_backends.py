"""One job file, three places to run: what the ledger has of it afterwards is the same.

Real: on this machine the commands, agents, engine and SQLite; in the other two the supervisor, the adapters, DynamoDB's
use, the shim, and the job's own command in a shell. Simulated: AWS, machines, containers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from controller.ports import Records
from controller.wiring import open_parts
from runner.model import TaskId
from runner.records import Counts
from tests.batch.worlds import BatchWorld, scene
from tests.desk import Desk
from tests.engines.rig_docker import an_image

# The third shard fails for good, the second in its first try.
PLAIN = """\
name: plain
image: {image}
command: |
  echo "shard $AWS_BATCH_JOB_ARRAY_INDEX of $AWS_BATCH_JOB_ARRAY_SIZE"
  case $AWS_BATCH_JOB_ARRAY_INDEX in
    1) test $AWS_BATCH_JOB_ATTEMPT -gt 1;;
    2) exit 7;;
  esac
array: 4
retries: {{count: 1, backoff: {backoff}}}
"""
ITEMS = """\
name: items
image: {image}
command: |
  echo "item $RUNNER_ITEM"
  case $RUNNER_ITEM in
    twice) test $RUNNER_ATTEMPT -gt 1;;
    never) exit $((RUNNER_TASK_INDEX + 10));;
  esac
array: {{items_file: items.jsonl}}
retries: {{count: 1, backoff: {backoff}}}
"""
INDICES = """\
name: indices
image: {image}
command: test $AWS_BATCH_JOB_ARRAY_INDEX -ne 11
array: "3,7,10-12"
"""
SINGLE = """\
name: single
image: {image}
command: test $AWS_BATCH_JOB_ARRAY_INDEX$AWS_BATCH_JOB_ARRAY_SIZE = 01
"""
FILES = {
    "plain": PLAIN.replace("{backoff}", "1s"),
    "at-once": PLAIN.replace("{backoff}", "0s"),
    "items": ITEMS.replace("{backoff}", "1s"),
    "indices": INDICES,
    "single": SINGLE,
}


class Result(NamedTuple):
    """All that must not depend on where a job runs. `tasks`: status, tries and failures of each; `attempts`: number,
    kind, exit code, and who is charged."""

    status: str
    counts: Counts
    tasks: Mapping[int, tuple[str, int, int, int]]
    attempts: Mapping[int, list[tuple[Any, ...]]]


async def result(records: Records, job_id: str) -> Result:
    record = await records.job(job_id)
    assert record is not None
    tasks = {each.task.index: each for each in await records.tasks(job_id)}
    attempts = {index: await records.attempts(TaskId(job_id, index)) for index in tasks}
    return Result(
        str(record.status),
        record.counts,
        {
            index: (str(task.status), task.tries, task.user_failures, task.infra_failures)
            for index, task in tasks.items()
        },
        {
            index: [
                (each.number, str(each.outcome.kind), each.outcome.exit_code, each.outcome.charge)
                for each in found
            ]
            for index, found in attempts.items()
        },
    )


def written(folder: Path, text: str) -> Path:
    (folder / "items.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in ("a", "twice", "never")))
    (folder / "job.yaml").write_text(text)
    return folder / "job.yaml"


def embedded(folder: Path, text: str, engine: str) -> Result:
    desk = Desk(folder)
    desk.environment["RUNNER_ENGINE"] = engine
    desk.call("submit", str(written(folder, text)), "--wait", "--output", "table")
    (job,) = desk.json("jobs")

    async def read() -> Result:
        async with open_parts(desk.settings) as parts:
            return await result(parts.records, job["id"])

    return asyncio.run(read())


def simulated(folder: Path, text: str, mode: str, **flags: str) -> Result:
    async def play(world: BatchWorld) -> Result:
        job_id = await world.submit(written(folder, text), **flags)
        record = await world.world.until_ended(job_id)
        on_batch = {True} if mode == "batch" or flags else {False}
        assert {bool(world.batch.jobs), not world.world.machines} == on_batch
        return await result(world.records, record.job.id)

    return scene(play, mode)


@pytest.mark.processes
@pytest.mark.parametrize("which", FILES)
def test_the_ledger_is_the_same_wherever_a_job_file_ran(tmp_path: Path, which: str) -> None:
    text = FILES[which].format(image="busybox")
    here = embedded(tmp_path, text, "process")
    assert simulated(tmp_path, text, "fleet") == here
    assert simulated(tmp_path, text, "batch") == here
    assert simulated(tmp_path, text, "fleet", backend="batch") == here


@pytest.mark.docker
@pytest.mark.processes
def test_and_with_a_real_docker_engine_here(tmp_path: Path) -> None:
    image = asyncio.run(an_image(tmp_path))
    here = embedded(tmp_path, PLAIN.format(image=image, backoff="1s"), "docker")
    there = simulated(tmp_path, FILES["plain"].format(image="busybox"), "batch")
    assert there == here


def test_a_job_ends_as_its_file_says(tmp_path: Path) -> None:
    found = simulated(tmp_path, FILES["plain"].format(image="busybox"), "batch")
    assert (found.status, found.counts.succeeded, found.counts.failed) == ("FAILED", 3, 1)
    assert [each[:3] for each in found.attempts[1]] == [(1, "failed", 1), (2, "succeeded", 0)]
    assert [each[:3] for each in found.attempts[2]] == [(1, "failed", 7), (2, "failed", 7)]
