"""What a fleet's machines can hold is known before anything is submitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.intake import checked_draft
from runner.configuration import load_settings
from runner.errors import BadInput
from runner.settings import Settings

FLEET = """\
mode: fleet
queues:
  default: {environments: [small, wide]}
  big: {environments: [large]}
fleet:
  name: shards
  region: us-east-1
  environments:
    small: {instance_types: [m6i.large]}
    wide: {instance_types: [c6i.4xlarge]}
    large: {instance_types: [r6i.4xlarge]}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "runner.yaml").write_text(FLEET)
    return load_settings(None, {}, tmp_path)


def draft(settings: Settings, **keys: object) -> str:
    """The queue of the job that was taken."""
    return checked_draft(settings, None, {"name": "j", "command": ["x"], "image": "i", **keys}).job.queue


def refused(settings: Settings, **keys: object) -> str:
    with pytest.raises(BadInput) as error:
        draft(settings, **keys)
    return str(error.value)


@pytest.fixture
def on_batch(tmp_path: Path) -> Settings:
    """The same, and a queue whose job queue is the user's own."""
    theirs = "  theirs: {environments: [small]}\nfleet:"
    text = FLEET.replace("mode: fleet", "mode: batch").replace("fleet:", theirs, 1)
    (tmp_path / "runner.yaml").write_text(f"{text}batch: {{queues: {{theirs: {{job_queue: own}}}}}}\n")
    return load_settings(None, {}, tmp_path)


def test_on_aws_batch_a_task_must_fit_on_a_whole_machine_of_its_queue(on_batch: Settings) -> None:
    assert draft(on_batch, memory="31GiB", vcpus=16) == "default"
    expected = "--memory: a task needs 33GiB; the largest machine has 32GiB"
    assert refused(on_batch, memory="33GiB") == expected


def test_on_aws_batch_sidecars_take_whole_vcpus(on_batch: Settings) -> None:
    sidecars = [{"name": "s", "image": "i", "memory": "64MiB"}]
    assert draft(on_batch, vcpus=14.5, sidecars=sidecars) == "default"
    expected = "--vcpus: a task needs 17 vCPUs; the largest machine has 16"
    assert refused(on_batch, vcpus=15.5, sidecars=sidecars) == expected


@pytest.mark.parametrize("name", ["settings", "on_batch"])
def test_what_is_mounted_is_on_the_machines_and_not_here(name: str, request: pytest.FixtureRequest) -> None:
    there = request.getfixturevalue(name)
    assert draft(there, mounts=["/mnt/efs/nowhere-here:/data"]) == "default"


def test_what_is_mounted_from_this_machine_must_be_there(tmp_path: Path) -> None:
    here = load_settings(None, {}, tmp_path)
    assert "'/mnt/efs/nowhere-here' does not exist" in refused(here, mounts=["/mnt/efs/nowhere-here:/data"])


def test_the_machines_of_somebodys_own_job_queue_are_not_known(on_batch: Settings) -> None:
    assert draft(on_batch, memory="500GiB", queue="theirs") == "theirs"


def test_a_job_that_a_machine_of_its_queue_holds_is_taken(settings: Settings) -> None:
    assert draft(settings, memory="60GiB", vcpus=16, queue="big") == "big"


def test_what_only_another_queues_machines_hold_is_refused(settings: Settings) -> None:
    assert (
        refused(settings, memory="60GiB") == "--memory: a task needs 60GiB; the largest machine has 29.1GiB"
    )


def test_more_vcpus_than_any_machine_has_are_refused(settings: Settings) -> None:
    assert refused(settings, vcpus=17) == "--vcpus: a task needs 17 vCPUs; the largest machine has 16"


def test_vcpus_and_memory_must_be_on_one_machine(tmp_path: Path) -> None:
    (tmp_path / "runner.yaml").write_text(FLEET.replace("c6i.4xlarge", "c6i.xlarge").replace("m6i", "r6i"))
    told = refused(load_settings(None, {}, tmp_path), vcpus=4, memory="10GiB")
    assert told == (
        "--memory: no machine has 4 vCPUs and 10GiB together; "
        "there are 2 vCPUs with 14.3GiB, 4 vCPUs with 6.9GiB"
    )


def test_a_queue_that_is_not_there_is_refused(settings: Settings) -> None:
    told = refused(settings, queue="bigg")
    assert told == "--queue: unknown queue 'bigg'; did you mean 'big'? allowed: default, big"


def test_a_job_without_an_image_is_refused_where_all_runs_in_containers(settings: Settings) -> None:
    assert refused(settings, image=None) == "--image: missing: here everything runs in containers"
