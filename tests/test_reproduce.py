"""One attempt again, as a command."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import reproduce
from controller.reproduce import again, docker_command, docker_line, mount_option, process_line, quoted
from runner.adapters.docker import spec
from runner.array import Array
from runner.errors import NotFound
from runner.model import (
    Charge,
    Job,
    Kind,
    Limits,
    Mount,
    Outcome,
    Retry,
    Rule,
    Secret,
    Sidecar,
    Status,
    TaskId,
)
from runner.records import AttemptRecord, TaskRecord

MIB = 1024**2
DIGEST = "team/tool@sha256:" + "a" * 64
MORE_MEMORY = Rule(retry=True, kinds=frozenset({Kind.OUT_OF_MEMORY}), memory_factor=2.0)
JOB = Job(
    "jjj",
    "job",
    ("sh", "-c", 'echo "$X"'),
    Array.of_size(10, "manifest"),
    image="team/tool:latest",
    env={"X": "it's"},
    limits=Limits(vcpus=2, memory=100 * MIB),
    retry=Retry(retries=3, rules=(MORE_MEMORY,)),
    mounts=(Mount("/data", "/in"), Mount("/out", "/out", writable=True)),
    secrets=(Secret("TOKEN", "file", "/run/token"),),
)
TASK = TaskRecord(TaskId("jjj", 7), Status.FAILED, attempt=3, owner="local-1#a")


def ended(
    number: int, kind: Kind, round_: int = 1, digest: str | None = DIGEST, memory: int | None = None
) -> AttemptRecord:
    charge = Charge.INFRA if kind is Kind.LOST else Charge.USER
    outcome = Outcome(kind, charge, exit_code=1, image_digest=digest, memory=memory)
    return AttemptRecord(TASK.task, round_, number, "local-1#a", 1.0, outcome)


ATTEMPTS = [
    ended(1, Kind.OUT_OF_MEMORY),
    ended(2, Kind.LOST, digest=None, memory=200 * MIB),
    ended(3, Kind.FAILED, memory=200 * MIB),
]


def value_after(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def variables(command: list[str]) -> list[str]:
    return [command[at + 1] for at, word in enumerate(command) if word == "--env"]


def test_it_runs_the_very_image_that_the_attempt_ran() -> None:
    assert again(JOB, TASK, ATTEMPTS, None).image == DIGEST


def test_where_no_digest_is_known_it_says_that_the_name_is_used() -> None:
    this = again(JOB, TASK, ATTEMPTS, None, number=2)
    assert this.image == JOB.image
    assert "not recorded" in this.remarks[0]


def test_what_ran_as_a_process_runs_as_a_process() -> None:
    assert again(replace(JOB, bare=True), TASK, [ended(3, Kind.FAILED, digest=None)], None).image is None


def test_the_attempt_has_the_memory_that_retries_had_raised_by_then() -> None:
    memory = [again(JOB, TASK, ATTEMPTS, None, number=number).attempt.memory for number in (1, 2, 3)]
    assert memory == [100 * MIB, 200 * MIB, 200 * MIB]


def test_an_attempt_that_still_runs_has_the_memory_of_its_task() -> None:
    running = replace(TASK, status=Status.RUNNING, memory=300 * MIB)
    assert again(JOB, running, ATTEMPTS[:2], None).attempt.memory == 300 * MIB


def test_a_scratch_for_an_image_that_does_not_run_as_root_is_everybodys() -> None:
    command = docker_command(again(JOB, TASK, ATTEMPTS, None), cpus=8, root=False)
    assert "type=tmpfs,target=/scratch,tmpfs-mode=1777" in command


def test_tries_count_from_one_in_each_round() -> None:
    attempts = [ended(1, Kind.FAILED), ended(2, Kind.FAILED, round_=2), ended(3, Kind.FAILED, round_=2)]
    tries = [again(JOB, TASK, attempts, None, number=number).attempt.tries for number in (1, 2, 3)]
    assert tries == [1, 1, 2]


def test_it_sees_the_index_attempt_and_item_that_the_attempt_saw() -> None:
    environment = again(JOB, TASK, ATTEMPTS, "an item").environment
    assert environment["AWS_BATCH_JOB_ARRAY_INDEX"] == "7"
    assert environment["RUNNER_ATTEMPT"] == "3"
    assert environment["RUNNER_ITEM"] == "an item"


def test_a_task_that_never_began_can_be_tried_too() -> None:
    unbegun = TaskRecord(TASK.task, Status.RUNNABLE)
    assert again(JOB, unbegun, [], None).attempt.tries == 1


def test_an_attempt_that_never_was_is_refused() -> None:
    with pytest.raises(NotFound, match="has had 3 attempts"):
        again(JOB, TASK, ATTEMPTS, None, number=4)


def test_sidecars_are_said_to_be_missing() -> None:
    job = replace(JOB, sidecars=(Sidecar("db", "postgres"),))
    assert "its sidecars are not started: db" in again(job, TASK, ATTEMPTS, None).remarks


def test_the_docker_command_has_limits_mounts_and_command() -> None:
    command = docker_command(again(JOB, TASK, ATTEMPTS, None), cpus=8)
    assert value_after(command, "--memory") == str(200 * MIB)
    assert value_after(command, "--cpus") == "2"
    assert value_after(command, "--pids-limit") == "4096"
    assert value_after(command, "--security-opt") == "no-new-privileges"
    assert "type=bind,source=/data,target=/in,readonly" in command
    assert "type=bind,source=/out,target=/out" in command
    assert command[-4:] == [DIGEST, *JOB.command]


def test_it_asks_for_no_more_cpus_than_there_are() -> None:
    assert value_after(docker_command(again(JOB, TASK, ATTEMPTS, None), cpus=1), "--cpus") == "1"


def test_secrets_are_in_no_argument_but_by_name() -> None:
    assert "TOKEN" in variables(docker_command(again(JOB, TASK, ATTEMPTS, None), cpus=8))


def test_a_shell_takes_the_place_of_entrypoint_and_command() -> None:
    command = docker_command(again(JOB, TASK, ATTEMPTS, None), cpus=8, shell=True)
    assert command[-3:] == ["--entrypoint", "/bin/sh", DIGEST]


@pytest.mark.parametrize(
    ("terminal", "given"), [(True, ["--interactive", "--tty"]), (False, ["--interactive"])]
)
def test_a_shell_reads_what_is_typed(terminal: bool, given: list[str]) -> None:
    command = docker_command(again(JOB, TASK, ATTEMPTS, None), cpus=8, shell=True, terminal=terminal)
    assert [word for word in command if word in ("--interactive", "--tty")] == given


def test_a_command_reads_nothing() -> None:
    assert "--interactive" not in docker_command(again(JOB, TASK, ATTEMPTS, None), cpus=8)


def test_another_docker_host_is_named() -> None:
    line = docker_line(again(JOB, TASK, ATTEMPTS, None), cpus=8, host="tcp://there:2375")
    assert line.startswith("docker --host tcp://there:2375 run --rm ")


def test_a_printed_line_reads_back_as_the_command() -> None:
    this = again(JOB, TASK, ATTEMPTS, "it's $HOME; `id`")
    assert shlex.split(docker_line(this, cpus=8)) == docker_command(this, cpus=8)


def test_the_process_line_runs_the_command_with_exactly_its_environment(tmp_path: Path) -> None:
    job = replace(JOB, command=("sh", "-c", 'echo "$X $TOKEN $TMPDIR"; pwd'), image=None)
    this = again(job, TASK, [], None)
    line = process_line(this, {**this.environment, "TMPDIR": reproduce.HERE + "/t"})
    given = {"TOKEN": "s e c", "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    done = subprocess.run(["sh", "-c", line], env=given, capture_output=True, text=True, check=True)
    shown, directory = done.stdout.splitlines()
    assert shown == f"it's s e c {directory}/t"


def test_a_mount_with_a_comma_stays_one_field() -> None:
    assert mount_option(Mount('/a,"b', "/t")) == 'type=bind,"source=/a,""b",target=/t,readonly'


@given(st.lists(st.text(), min_size=1))
def test_a_quoted_line_never_steers_a_terminal(words: list[str]) -> None:
    assert quoted(words).isprintable()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, which reads $'…'")
@pytest.mark.parametrize("word", ["\x1b[31mred", "two\nlines", "it's\t\\n", "\u202eleft", "é\x7f", "$'x'"])
def test_a_quoted_word_means_itself_to_a_shell(word: str) -> None:
    line = f"printf %s {quoted([word])}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert done.stdout.decode() == word


def test_containers_have_their_scratch_and_metadata_where_the_engine_puts_them() -> None:
    assert (reproduce.SCRATCH, reproduce.METADATA) == (spec.SCRATCH, spec.METADATA)
