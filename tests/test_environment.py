"""What the container sees."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runner.adapters.process.environment import METADATA, SCRATCH
from runner.array import Array
from runner.environment import parse_metadata, task_environment
from runner.model import Attempt, Job, TaskId

JOB = Job("abc", "n", ("x",), Array((range(3, 8),), total=5), env={"LANG": "C"}, queue="big")
ATTEMPT = Attempt(TaskId("abc", 4), 7, 2, "h#1", 1)


def test_a_task_sees_batchs_names_with_batchs_meanings() -> None:
    seen = task_environment(JOB, ATTEMPT, None)
    assert seen == {
        "LANG": "C",
        "AWS_BATCH_JOB_ID": "abc:4",
        "AWS_BATCH_JOB_ATTEMPT": "2",
        "AWS_BATCH_JOB_ARRAY_INDEX": "4",
        "AWS_BATCH_JOB_ARRAY_SIZE": "5",
        "AWS_BATCH_JQ_NAME": "big",
        "RUNNER_JOB_ID": "abc",
        "RUNNER_RUN_ID": "abc",
        "RUNNER_TASK_INDEX": "4",
        "RUNNER_ATTEMPT": "2",
    }


def test_a_task_of_an_array_of_items_sees_its_item() -> None:
    assert task_environment(JOB, ATTEMPT, "s3://bucket/a b\nc")["RUNNER_ITEM"] == "s3://bucket/a b\nc"


def test_a_single_job_is_not_its_own_child() -> None:
    single = replace(JOB, array=Array.of_size(1))
    assert (
        task_environment(single, replace(ATTEMPT, task=TaskId("abc", 0)), None)["AWS_BATCH_JOB_ID"] == "abc"
    )


def test_metadata_is_the_last_value_of_each_key() -> None:
    assert parse_metadata(b"rows=1\nstage = load \nrows=2\n") == {"rows": "2", "stage": "load"}


def test_what_is_no_key_and_value_is_passed_over() -> None:
    assert parse_metadata(b"hello\n=x\n\x00k=v\nok=1") == {"ok": "1"}


@given(st.binary(max_size=5000))
def test_metadata_of_any_bytes_is_small_and_printable(written: bytes) -> None:
    found = parse_metadata(written)
    assert len(found) <= 50
    assert all(text.isprintable() for pair in found.items() for text in pair)


def test_the_page_names_every_variable_and_no_other() -> None:
    page = (Path(__file__).parent.parent / "docs" / "jobfile.md").read_text()
    named = set(re.findall(r"^\| `((?:AWS_BATCH|RUNNER)_\w+)` \|", page, re.MULTILINE))
    given = set(task_environment(JOB, ATTEMPT, "item")) - set(JOB.env)
    assert named == given | {SCRATCH, METADATA}
