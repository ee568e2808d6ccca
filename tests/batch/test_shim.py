"""What a task's command sees through the shim, run by a real `/bin/sh`."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.adapters.batch.requests import variables
from controller.adapters.batch.shim import wrapped
from controller.adapters.batch.submissions import Lot, Submission
from runner.array import Array
from runner.environment import task_environment
from runner.model import Attempt, Job, TaskId
from tests.batch.stage import seen

MEMORY = 512 * 1024**2


def a_job(array: Array, **env: str) -> Job:
    return Job("job", "name", ("x",), array, image="image", env=env)


def through(
    job: Job, indices: tuple[int, ...], place: int, *, items: dict[int, str] | None = None, tries: int = 0
) -> dict[str, str]:
    submission = Submission("job", 1, Lot(0, tries, MEMORY), indices)
    env = variables(job, submission, items, wrapped=True)
    env |= {"AWS_BATCH_JOB_ID": "id", "AWS_BATCH_JOB_ATTEMPT": "1", "AWS_BATCH_JQ_NAME": "default"}
    if len(indices) > 1:
        env |= {"AWS_BATCH_JOB_ARRAY_INDEX": str(place), "AWS_BATCH_JOB_ARRAY_SIZE": str(len(indices))}
    return seen(env, wrapped(job.command))


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, 300), min_size=1, max_size=60), st.data())
def test_every_place_in_a_submission_is_the_index_that_stands_there(
    chosen: set[int], data: st.DataObject
) -> None:
    indices = tuple(sorted(chosen))
    place = data.draw(st.integers(0, len(indices) - 1))
    found = through(a_job(Array.of_size(301)), indices, place)
    assert found["AWS_BATCH_JOB_ARRAY_INDEX"] == found["RUNNER_TASK_INDEX"] == str(indices[place])


def test_what_a_task_sees_is_what_it_sees_on_a_fleet() -> None:
    job = a_job(Array.of_size(50, "manifest"), COLOUR="red")
    found = through(job, (3, 7), 1, items={3: "three", 7: "seven"})
    attempt = Attempt(TaskId("job", 7), 1, 1, "host#1", MEMORY)
    expected = task_environment(job, attempt, "seven")
    others = {"AWS_BATCH_JOB_ID", "RUNNER_SCRATCH", "RUNNER_METADATA"}
    assert {name: found[name] for name in found if name not in others} == {
        name: value for name, value in expected.items() if name != "AWS_BATCH_JOB_ID"
    }


def test_the_task_finds_its_own_id_in_the_container() -> None:
    found = through(a_job(Array.of_size(1)), (0,), 0)
    assert (found["RUNNER_JOB_ID"], found["RUNNER_TASK_INDEX"]) == ("job", "0")


def test_one_shard_has_an_index_and_a_size() -> None:
    found = through(a_job(Array.of_size(1)), (0,), 0)
    assert (found["AWS_BATCH_JOB_ARRAY_INDEX"], found["AWS_BATCH_JOB_ARRAY_SIZE"]) == ("0", "1")


def test_tries_are_counted_over_submissions() -> None:
    found = through(a_job(Array.of_size(9)), (4,), 0, tries=2)
    assert found["AWS_BATCH_JOB_ATTEMPT"] == found["RUNNER_ATTEMPT"] == "3"


@pytest.mark.parametrize(
    "item",
    ["", "a b", "it's", '"', "$(touch /tmp/x)", "`id`", "\\", "a\nb", "*", "é\u2028", "${HOME}", "-n", "a=b"],
)
def test_an_item_comes_as_it_is(item: str) -> None:
    found = through(a_job(Array.of_size(2, "manifest")), (0, 1), 1, items={0: "other", 1: item})
    assert found["RUNNER_ITEM"] == item


def test_a_task_sees_no_other_tasks_items() -> None:
    found = through(a_job(Array.of_size(3, "manifest")), (0, 1, 2), 1, items={0: "a", 1: "b", 2: "c"})
    assert [name for name in found if name.startswith("RUNNER_ITEM")] == ["RUNNER_ITEM"]


def test_the_shims_own_variables_are_gone() -> None:
    found = through(a_job(Array.of_size(9)), (4, 5), 0)
    assert not {"RUNNER_SHARDS", "RUNNER_TRIES", "RUNNER_ARRAY_SIZE"} & found.keys()


def test_the_jobs_variables_are_left_as_they_are_whatever_their_names() -> None:
    env = {"n": "1", "index": "2", "first": "3", "part": "4", "IFS_": ",", "item": "5"}
    found = through(a_job(Array.of_size(9), **env), (4, 5), 0)
    assert {name: found[name] for name in env} == env


def test_an_empty_variable_is_set_though_aws_batch_drops_it() -> None:
    job = a_job(Array.of_size(9), EMPTY="", OTHER="", COLOUR="red")
    given = variables(job, Submission("job", 1, Lot(0, 0, MEMORY), (4, 5)), None, wrapped=True)
    assert "" not in given.values()
    found = through(job, (4, 5), 0)
    assert (found["EMPTY"], found["OTHER"], found["COLOUR"]) == ("", "", "red")
    assert "RUNNER_EMPTY" not in found


def test_arguments_reach_the_command_as_they_are() -> None:
    words = ["printf", "%s|", "a b", "$HOME", "*", "'", "-x", "a\nb"]
    env = {"RUNNER_SHARDS": "0", "RUNNER_TRIES": "0", "RUNNER_ARRAY_SIZE": "1", "PATH": "/usr/bin:/bin"}
    output = subprocess.run(wrapped(words), env=env, capture_output=True, check=True).stdout.decode()
    assert output == "a b|$HOME|*|'|-x|a\nb|"


def test_the_commands_exit_status_is_the_containers() -> None:
    env = {"RUNNER_SHARDS": "0", "RUNNER_TRIES": "0", "RUNNER_ARRAY_SIZE": "1", "PATH": "/usr/bin:/bin"}
    assert subprocess.run(wrapped(["sh", "-c", "exit 41"]), env=env, check=False).returncode == 41
