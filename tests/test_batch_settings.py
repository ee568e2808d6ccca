"""The section `batch` of `runner.yaml`, mode `batch`, and which jobs are taken for AWS Batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from controller.intake import checked_draft
from runner.batch_settings import BatchQueue, BatchSettings
from runner.configuration import load_settings
from runner.errors import BadInput
from runner.model import Job
from runner.routing import Routes
from runner.settings import FLEET_AGENT, FLEET_SUPERVISOR, Settings

FLEET = """\
queues: {default: {environments: [small]}, urgent: {environments: [small], priority: 5}}
fleet:
  name: shards
  region: us-east-1
  environments:
    small: {instance_types: [m6i.large]}
"""
OWN = "batch: {name: mine, region: eu-west-1, queues: {default: {job_queue: theirs}}}\n"
CALLER = "arn:aws-cn:sts::123456789012:assumed-role/somebody/session"


def load(directory: Path, text: str) -> Settings:
    (directory / "runner.yaml").write_text(text)
    return load_settings(None, {}, directory)


def batch_of(directory: Path, text: str) -> BatchSettings:
    batch = load(directory, text).batch
    assert batch is not None
    return batch


def refused(directory: Path, text: str) -> str:
    with pytest.raises(BadInput) as error:
        load(directory, text)
    return str(error.value)


def test_another_mode_is_all_that_a_fleets_file_needs(tmp_path: Path) -> None:
    fleet = load(tmp_path, "mode: fleet\n" + FLEET)
    batch = load(tmp_path, "mode: batch\n" + FLEET)
    assert replace(batch, mode="fleet", batch=None) == fleet


def test_queues_and_role_are_named_after_the_installation(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, "mode: batch\n" + FLEET)
    assert batch.queues == {"default": BatchQueue("shards-default"), "urgent": BatchQueue("shards-urgent")}
    role = "arn:aws-cn:iam::123456789012:role/shards-batch-execution"
    assert batch.in_account_of(CALLER).execution_role == role


def test_a_role_that_is_given_stands(tmp_path: Path) -> None:
    role = "arn:aws:iam::123456789012:role/path/mine"
    batch = batch_of(tmp_path, f"mode: batch\n{FLEET}batch: {{execution_role: '{role}'}}\n")
    assert (batch.needs_account, batch.in_account_of(CALLER).execution_role) == (False, role)


def test_on_one_machine_no_role_is_made_up(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, OWN)
    assert (batch.has_execution_role, batch.in_account_of(CALLER).execution_role) == (False, None)


@pytest.mark.parametrize(
    ("fleet", "batch", "group"),
    [
        ("", "", "/aws/batch/job"),
        ("  log_group: /one\n", "", "/one"),
        ("  log_group: /one\n", "batch: {log_group: /two}\n", "/two"),
    ],
)
def test_tasks_write_to_the_fleets_log_group(tmp_path: Path, fleet: str, batch: str, group: str) -> None:
    assert batch_of(tmp_path, f"mode: batch\n{FLEET}{fleet}{batch}").log_group == group


def test_a_queue_that_is_given_stands_beside_those_that_are_deployed(tmp_path: Path) -> None:
    more = "batch: {queues: {urgent: {job_queue: theirs, fair: true}, small: {fargate: true, disk: 30GiB}}}\n"
    queues = batch_of(tmp_path, "mode: batch\n" + FLEET + more).queues
    assert queues["urgent"] == BatchQueue("theirs", fair=True)
    assert queues["small"] == BatchQueue("shards-small", fargate=True, disk=30 * 1024**3)
    assert queues["default"] == BatchQueue("shards-default")


def test_a_fleet_has_it_only_with_the_section(tmp_path: Path) -> None:
    assert load(tmp_path, "mode: fleet\n" + FLEET).batch is None
    assert (
        batch_of(tmp_path, "mode: fleet\nbatch: {}\n" + FLEET).queues["default"].job_queue == "shards-default"
    )


def test_mode_batch_has_neither_channels_nor_environments(tmp_path: Path) -> None:
    settings = load(tmp_path, "mode: batch\n" + FLEET)
    routes = Routes.of(settings)
    assert (settings.machines, list(routes.environments), dict(routes.channels)) == (None, [], {})


def test_mode_batch_supervises_as_a_fleet_does(tmp_path: Path) -> None:
    settings = load(tmp_path, "mode: batch\n" + FLEET)
    assert (settings.agent, settings.supervisor) == (FLEET_AGENT, FLEET_SUPERVISOR)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mode: batch\n", "mode: needs a section fleet: its name, region and environments"),
        ("mode: batch\nbatch: {name: abc}\n" + FLEET, "batch.name: is fleet.name in this mode; leave it out"),
        ("batch: {region: eu-west-1, queues: {a: {job_queue: a}}}\n", "batch: needs name in mode embedded"),
        ("batch: {name: abc, region: eu-west-1}\n", "batch: needs queues in mode embedded"),
        (
            "batch: {name: abc, region: eu-west-1, queues: {a: {fair: true}}}\n",
            "batch.queues.a: needs job_queue: its name in AWS Batch",
        ),
        (
            "mode: batch\nbatch: {queues: {default: {disk: 30GiB}}}\n" + FLEET,
            "batch.queues.default.disk: is for Fargate",
        ),
        ("mode: batch\nbatch: {execution_role: me}\n" + FLEET, "allowed: an IAM role's ARN"),
        (
            "mode: batch\nbatch: {queues: {default: {job_queue: 'a b'}}}\n" + FLEET,
            "a job queue's name or ARN",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in refused(tmp_path, text)


def drafted(settings: Settings, **keys: object) -> Job:
    return checked_draft(settings, None, {"name": "j", "command": ["x"], "image": "i", **keys}).job


def not_taken(settings: Settings, **keys: object) -> str:
    with pytest.raises(BadInput) as error:
        drafted(settings, **keys)
    return str(error.value)


def test_in_mode_batch_a_job_that_says_nothing_runs_there(tmp_path: Path) -> None:
    assert drafted(load(tmp_path, "mode: batch\n" + FLEET)).backend == "batch"


def test_elsewhere_only_one_that_says_so(tmp_path: Path) -> None:
    settings = load(tmp_path, "mode: fleet\nbatch: {}\n" + FLEET)
    assert [drafted(settings).backend, drafted(settings, backend="batch").backend] == ["", "batch"]


def test_without_the_section_it_is_refused_with_what_to_write(tmp_path: Path) -> None:
    problem = not_taken(load(tmp_path, "mode: fleet\n" + FLEET), backend="batch")
    assert problem == "--backend: the settings have no section batch: write one, see docs/settings.md"


def test_a_backend_that_nobody_knows_is_refused() -> None:
    assert "--backend: unknown value 'lambda'" in not_taken(Settings(), backend="lambda")


def test_what_aws_batch_cannot_do_is_refused_with_the_key(tmp_path: Path) -> None:
    settings = load(tmp_path, OWN)
    problem = not_taken(settings, backend="batch", image=None)
    assert problem == "--image: missing: on AWS Batch everything runs in containers"
    assert "unknown queue 'gone'" in not_taken(settings, backend="batch", queue="gone")


def test_a_job_for_aws_batch_need_not_fit_on_this_machine(tmp_path: Path) -> None:
    job = drafted(load(tmp_path, OWN), backend="batch", vcpus=512, memory="4TiB")
    assert job.limits.vcpus == 512


def test_the_engine_here_does_not_matter_for_a_job_there(tmp_path: Path) -> None:
    assert not drafted(load(tmp_path, "engine: process\n" + OWN), backend="batch").bare


def test_secrets_need_an_execution_role(tmp_path: Path) -> None:
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-abcdef"
    secret = {"secrets": {"PASSWORD": {"arn": arn}}}
    assert "batch.execution_role" in not_taken(load(tmp_path, OWN), backend="batch", **secret)
    assert drafted(load(tmp_path, "mode: batch\n" + FLEET), **secret).secrets


def test_fargate_needs_an_execution_role(tmp_path: Path) -> None:
    settings = load(tmp_path, OWN.replace("theirs", "theirs, fargate: true"))
    assert "batch.execution_role" in not_taken(settings, backend="batch")
