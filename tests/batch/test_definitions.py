"""Job definitions, and what AWS Batch cannot be asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.adapters.batch.admission import problems
from controller.adapters.batch.definitions import definition_of
from controller.adapters.batch.requests import request, share_of
from controller.adapters.batch.shim import SHELL
from controller.adapters.batch.submissions import Lot, Submission
from runner.array import Array
from runner.batch_settings import BatchQueue, BatchSettings
from runner.model import Job, Kind, Limits, Mount, Retry, Secret, Sidecar, Status
from tests.batch.stage import SETTINGS, Stage, scene
from tests.batch.test_backend import Program

JOB = Job("job", "name", ("do", "it"), Array.of_size(5), image="image")
QUEUE = BatchQueue("default")
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-abcdef"
ROLE = "arn:aws:iam::123456789012:role/task"
MIB = 1024**2


def defined(queue: BatchQueue = QUEUE, settings: BatchSettings = SETTINGS, **changes: Any) -> dict[str, Any]:
    return definition_of(replace(JOB, **changes), queue, settings, wrapped=False)


def container(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = defined(**changes)["containerProperties"]
    return found


def test_vcpus_are_rounded_up_to_whole_ones_and_memory_to_mebibytes() -> None:
    found = container(limits=Limits(vcpus=1.5, memory=100 * MIB + 1))
    assert found["resourceRequirements"] == [
        {"type": "VCPU", "value": "2"},
        {"type": "MEMORY", "value": "101"},
    ]


def test_on_fargate_parts_of_vcpus_and_the_disk_are_as_they_are_asked_for() -> None:
    queue = BatchQueue("default", fargate=True, disk=100 * 1024**3)
    found = defined(queue, limits=Limits(vcpus=0.5))
    assert found["platformCapabilities"] == ["FARGATE"]
    assert found["containerProperties"]["resourceRequirements"][0]["value"] == "0.5"
    assert found["containerProperties"]["ephemeralStorage"] == {"sizeInGiB": 100}


def test_a_jobs_role_is_the_tasks() -> None:
    assert container(role=ROLE)["jobRoleArn"] == ROLE


def test_secrets_are_named_and_never_read_by_us() -> None:
    found = container(secrets=(Secret("PASSWORD", "arn", ARN),))
    assert found["secrets"] == [{"name": "PASSWORD", "valueFrom": ARN}]


FARGATE = BatchQueue("default", fargate=True)


@pytest.mark.parametrize(
    ("vcpus", "memory", "given"),
    [
        (0.1, 100, ("0.25", "512")),
        (0.25, 2049, ("0.5", "3072")),
        (1, 512, ("1", "2048")),
        (1.5, 9000, ("2", "9216")),
        (2, 20_000, ("4", "20480")),
        (8, 17_000, ("8", "20480")),
        (16, 120_000, ("16", "122880")),
        (32, 130_000, ("32", "249856")),
    ],
)
def test_on_fargate_a_task_has_the_next_larger_size_that_there_is(
    vcpus: float, memory: int, given: tuple[str, str]
) -> None:
    found = container(queue=FARGATE, limits=Limits(vcpus=vcpus, memory=memory * MIB))
    assert tuple(each["value"] for each in found["resourceRequirements"]) == given


def test_with_more_memory_it_may_need_more_vcpus_there() -> None:
    submission = Submission("job", 1, Lot(1, 1, 10_000 * MIB), (0,))
    given = request(replace(JOB, limits=Limits(memory=4096 * MIB)), submission, "arn", FARGATE, SETTINGS)
    requirements = given["containerOverrides"]["resourceRequirements"]
    assert [each["value"] for each in requirements] == ["2", "10240"]


def test_on_fargate_no_volume_has_a_host() -> None:
    assert container(queue=FARGATE)["volumes"] == [{"name": "scratch"}]


def test_mounts_are_volumes_of_the_host() -> None:
    found = container(mounts=(Mount("/data", "/in"),))
    assert {"name": "mount-0", "host": {"sourcePath": "/data"}} in found["volumes"]
    assert {"sourceVolume": "mount-0", "containerPath": "/in", "readOnly": True} in found["mountPoints"]


SIDECARS = (Sidecar("helper", "helper-image", ("serve",), {"A": "b"}),)


def test_sidecars_are_containers_of_the_same_task_that_start_first_and_end_with_it() -> None:
    (task,) = defined(sidecars=SIDECARS, role=ROLE)["ecsProperties"]["taskProperties"]
    main, helper = task["containers"]
    assert main["essential"]
    assert not helper["essential"]
    assert main["dependsOn"] == [{"containerName": "helper", "condition": "START"}]
    assert task["taskRoleArn"] == ROLE
    assert {mount["containerPath"] for each in (main, helper) for mount in each["mountPoints"]} == {
        "/scratch"
    }


def test_a_job_with_sidecars_runs_and_its_own_container_decides() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3, sidecars=SIDECARS)
        record = await stage.finish()
        assert record.status is Status.SUCCEEDED
        task = await stage.task(1)
        assert task.outcome is not None
        assert task.outcome.log
        assert task.outcome.kind is Kind.SUCCEEDED

    scene(play)


def test_equal_content_has_one_definition_and_other_content_another() -> None:
    assert defined() == defined(id="other", name="other", env={"A": "b"}, user="me")
    assert defined() != defined(image="other")


def asked(job: Job, indices: tuple[int, ...] = (0,), queue: BatchQueue = QUEUE) -> dict[str, Any]:
    submission = Submission(job.id, 1, Lot(0, 0, job.limits.memory), indices)
    return request(job, submission, "arn", queue, SETTINGS)


def test_what_runs_without_help_has_its_command_as_it_is() -> None:
    assert container()["command"] == ["do", "it"]


def test_what_needs_help_is_run_by_a_shell() -> None:
    found = definition_of(JOB, QUEUE, SETTINGS, wrapped=True)["containerProperties"]["command"]
    assert found[0] == SHELL
    assert found[-2:] == ["do", "it"]


def test_variables_reach_the_tasks_own_container_only() -> None:
    given = asked(replace(JOB, sidecars=SIDECARS))
    (task,) = given["ecsPropertiesOverride"]["taskProperties"]
    assert [each["name"] for each in task["containers"]] == ["default"]


def test_in_a_fair_queue_a_users_jobs_are_one_share() -> None:
    given = asked(replace(JOB, user="ann.b@example"), queue=BatchQueue("default", fair=True))
    assert given["shareIdentifier"] == "annbexample"
    assert share_of("…") == "default"


@pytest.mark.parametrize(
    ("changes", "loc", "word"),
    [
        ({"queue": "other"}, ("queue",), "unknown queue"),
        ({"image": None}, ("image",), "containers"),
        ({"command": ()}, ("command",), "missing"),
        ({"limits": Limits(memory=250_000 * MIB), "queue": "fargate"}, ("memory",), "Fargate"),
        ({"limits": Limits(vcpus=33), "queue": "fargate"}, ("memory",), "Fargate"),
        ({"command": ("a", "")}, ("command", 1), "empty"),
        ({"command": ("a", "x=Ref::runner_job")}, ("command", 1), "Ref::runner_"),
        (
            {"sidecars": (Sidecar("s", "i", ("Ref::runner_job",)),)},
            ("sidecars", 0, "command"),
            "Ref::runner_",
        ),
        ({"env": {"AWS_BATCHES": "1"}}, ("env", "AWS_BATCHES"), "AWS Batch's own"),
        ({"secrets": (Secret("A", "file", "/x"),)}, ("secrets", "A"), "ARN"),
        ({"secrets": (Secret("A", "arn", ARN),)}, ("secrets",), "execution role"),
        ({"sidecars": (Sidecar("default", "i"),)}, ("sidecars", 0, "name"), "own container"),
        ({"command": ("x" * 6_000,)}, ("command",), "Amazon ECS takes"),
        ({"env": {"A": "x" * 6_000}}, ("env",), "Amazon ECS takes"),
        ({"env": {"A": "x" * 100}, "command": ("x" * 5_000,)}, ("command",), "Amazon ECS takes"),
        ({"sidecars": (Sidecar("s", "i", ("x" * 6_000,)),)}, ("sidecars",), "Amazon ECS takes"),
        (
            {"secrets": tuple(Secret(f"A{at}", "arn", ARN * 3) for at in range(100))},
            ("secrets",),
            "AWS Batch takes",
        ),
    ],
)
def test_what_it_cannot_give_is_refused_with_the_key(
    changes: dict[str, Any], loc: tuple[object, ...], word: str
) -> None:
    settings = replace(SETTINGS, queues={"default": QUEUE, "fargate": FARGATE})
    found = list(problems(replace(JOB, **changes), settings))
    assert any(at == loc and word in text for at, text in found), found


def test_what_is_just_taken_runs_and_is_tried_again() -> None:
    def of(size: int) -> dict[str, str]:
        return {"A": "x" * size}

    largest = next(
        size for size in range(7000, 0, -1) if not list(problems(replace(JOB, env=of(size)), SETTINGS))
    )
    assert largest > 4000
    failures = {0: 1, 7: 1, 9: 1}

    async def play(stage: Stage) -> None:
        await stage.submit(tasks=20, env=of(largest), retry=Retry(retries=1, backoff=1.0))
        record = await stage.finish()
        assert record.counts.succeeded == 20
        assert len(stage.submitted()) == 2

    scene(play, Program(failures))


def test_on_fargate_there_is_nothing_to_mount() -> None:
    settings = replace(SETTINGS, queues={"default": BatchQueue("default", fargate=True)})
    found = dict(problems(replace(JOB, mounts=(Mount("/a", "/b"),)), settings))
    assert ("mounts",) in found


def test_an_ordinary_job_is_taken() -> None:
    assert list(problems(JOB, SETTINGS)) == []


def test_secrets_are_taken_where_a_role_reads_them() -> None:
    settings = replace(SETTINGS, execution_role=ROLE)
    assert list(problems(replace(JOB, secrets=(Secret("A", "arn", ARN),)), settings)) == []


def test_another_log_group_is_named_for_every_container() -> None:
    settings = replace(SETTINGS, log_group="/ours")
    options = {"awslogs-group": "/ours", "awslogs-stream-prefix": "inst"}
    expected = {"logDriver": "awslogs", "options": options}
    assert defined(settings=settings)["containerProperties"]["logConfiguration"] == expected
    sidecars = (Sidecar("helper", "image"),)
    (task,) = defined(settings=settings, sidecars=sidecars)["ecsProperties"]["taskProperties"]
    assert [each["logConfiguration"] for each in task["containers"]] == [expected, expected]


def test_aws_batchs_own_log_group_needs_no_name() -> None:
    assert "logConfiguration" not in container()
