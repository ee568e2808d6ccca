"""What is asked of the engine for a task."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.adapters.docker import spec as module
from runner.adapters.docker.spec import (
    Owner,
    Placing,
    check,
    container_name,
    given_labels,
    sidecar_body,
    task_body,
)
from runner.errors import StartError
from runner.model import Mount, Sidecar
from runner.ports import ContainerSpec

SPEC = ContainerSpec(
    name="runner-job-1-1",
    host="here",
    job_id="job",
    image="image:1",
    command=("cmd", "arg"),
    env={"TOKEN": "hunter2"},
    vcpus=2.0,
    memory=100_000_000,
    pids=50,
    grace=5.0,
    labels={"attempt": "job/1#1"},
)
PLACING = Placing(Owner("here", Path("/state")), "number", "sandbox-id", 4, "/state/metadata/x", "/runner/x")


def test_a_value_of_the_environment_is_nowhere_but_in_the_environment() -> None:
    body = task_body(SPEC, PLACING)
    assert "TOKEN=hunter2" in body.pop("Env")
    assert "hunter2" not in str(body)


def test_the_spec_does_not_show_the_environment() -> None:
    assert "hunter2" not in repr(SPEC)


def test_a_task_joins_its_sandbox() -> None:
    assert task_body(SPEC, PLACING)["HostConfig"]["NetworkMode"] == "container:sandbox-id"


@pytest.mark.parametrize(("asked", "given"), [(0.5, 0.5), (2.0, 2.0), (4.0, 4.0), (100.0, 4.0), (0.0, 0.01)])
def test_cpus_are_what_was_asked_for_within_what_the_engine_takes(asked: float, given: float) -> None:
    body = task_body(replace(SPEC, vcpus=asked), PLACING)
    assert body["HostConfig"]["NanoCpus"] == given * 1e9


def test_an_engine_that_cannot_limit_cpus_is_not_asked_to() -> None:
    placing = replace(PLACING, cpus=None)
    bodies = (task_body(SPEC, placing), sidecar_body(SPEC, Sidecar("s", "i"), placing, "scratch"))
    assert not [body for body in bodies if "NanoCpus" in body["HostConfig"]]


def test_mounts_are_read_only_unless_writable() -> None:
    spec = replace(SPEC, mounts=(Mount("/a", "/in"), Mount("/b", "/out", writable=True)))
    mounts = {mount["Target"]: mount for mount in task_body(spec, PLACING)["HostConfig"]["Mounts"]}
    assert (mounts["/in"]["ReadOnly"], mounts["/out"]["ReadOnly"]) == (True, False)


def test_labels_come_back_as_they_were() -> None:
    labels = {"attempt": "x", "runner.host": "not the host", "": "empty"}
    body = task_body(replace(SPEC, labels=labels), PLACING)
    assert given_labels(body["Labels"]) == labels
    assert body["Labels"][module.HOST] == "here"


def test_an_empty_command_is_left_to_the_image() -> None:
    assert "Cmd" not in task_body(replace(SPEC, command=()), PLACING)


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, env={"": "x"}),
        replace(SPEC, env={"A=B": "x"}),
        replace(SPEC, env={"A": "hunter2\0"}),
        replace(SPEC, env={"A": "hunter2\udc80"}),
        replace(SPEC, command=("cmd", "\0")),
        replace(SPEC, command=("cmd", "\udc80")),
        replace(SPEC, sidecars=(Sidecar("s", "i", env={"A": "hunter2\0"}),)),
        replace(SPEC, sidecars=(Sidecar("s", "i", ("\0",)),)),
    ],
)
def test_what_no_program_can_be_given_is_refused_without_showing_values(spec: ContainerSpec) -> None:
    with pytest.raises(StartError) as raised:
        check(spec)
    assert "hunter2" not in str(raised.value)


@given(st.text())
def test_every_name_becomes_one_that_the_engine_takes(name: str) -> None:
    made = container_name(name)
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", made)
    assert len(made) < 200


@given(st.text(), st.text())
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (container_name(one) == container_name(other)) == (one == other)


@given(st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,100}", fullmatch=True))
def test_a_name_the_engine_takes_stays_as_it_is(name: str) -> None:
    assert container_name(name) == name
