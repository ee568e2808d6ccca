"""What the controller really calls of AWS Batch and Amazon EMR, held against what its policy allows: jobs of every kind
over simulated services that refuse the rest, as IAM would. And nothing is allowed that is not called.

Emulated: IAM by actions, resources and conditions that hold of the request itself. Tags of clusters are known by their
names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from controller.adapters.batch.backend import BatchBackend
from controller.adapters.batch.logs import BatchLogReader
from controller.adapters.batch.waiting import reasons_of
from controller.adapters.emr.backend import EmrBackend
from controller.deployment.policies import Policies
from controller.deployment.site import Site
from controller.deployment.statements import Statement
from controller.logs import recorded_of
from controller.simulation.clock import now
from controller.simulation.services.batch_hosts import Environment, JobQueue
from controller.simulation.services.batch_job import Run
from runner.aws import Aws, AwsError, Reply, Trouble
from runner.batch_settings import BatchQueue, BatchSettings
from runner.emr import Emr
from runner.emr_settings import EmrSettings
from runner.model import Retry, Status, TaskId
from runner.routing import Routes
from runner.settings import AgentSettings
from tests.batch import stage as batch_stage
from tests.deploy.sample import ACCOUNT
from tests.emr import stage as emr_stage
from tests.fleets import environment, fleet_of

REGION = "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/inst-task-reader"

BATCH = BatchSettings("inst", REGION, {"default": BatchQueue("inst-default")}, deployed=True).in_account_of(
    f"arn:aws:iam::{ACCOUNT}:user/a"
)
EMR = EmrSettings("inst", REGION, log_uri="s3://logs/emr/")
SITE = Site(ACCOUNT, "aws", "", (), {}, "")

SERVICES = {"emr": "elasticmapreduce"}


def policies(**backends: Any) -> Policies:
    fleet = replace(fleet_of(environment("spot", "m6i.large")), name="inst", region=REGION)
    return Policies(fleet, SITE, Routes(None, AgentSettings(), {}), agents=False, **backends)


@dataclass(frozen=True)
class Asked:
    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)

    def allowed(self, statement: Statement) -> bool:
        conditions: Mapping[str, str] = statement.get("Condition", {}).get("StringEquals", {})
        return (
            self.action in statement["Action"]
            and any(fnmatchcase(self.resource, pattern) for pattern in statement["Resource"])
            and all(self.context.get(key) == value for key, value in conditions.items())
        )


class Guarded:
    """`used`: the actions that were allowed. What was refused is kept too: not every refusal shows in a job."""

    def __init__(self, aws: Aws, allowed: Sequence[Statement]) -> None:
        self._aws = aws
        self._allowed = allowed
        self.used: set[str] = set()
        self.refused: list[Asked] = []

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        for asked in _asked(service, operation, parameters):
            if not any(asked.allowed(statement) for statement in self._allowed):
                self.refused.append(asked)
                raise AwsError(asked.action, asked.resource, "AccessDenied", "not allowed", Trouble.DENIED)
            self.used.add(asked.action)
        return await self._aws.call(service, operation, urgent=urgent, **parameters)

    async def close(self) -> None:
        await self._aws.close()


def _asked(service: str, operation: str, parameters: Mapping[str, Any]) -> Iterator[Asked]:
    """By the service authorization reference: which actions and resources IAM looks at."""
    action = (
        f"{SERVICES.get(service, service)}:{re.sub('(?:^|_)(.)', lambda found: found[1].upper(), operation)}"
    )
    for resource in _resources(service, operation, parameters):
        yield Asked(action, resource, _context(parameters))
    if operation in ("submit_job", "register_job_definition") and parameters.get("tags"):
        tagged = "job/x" if operation == "submit_job" else f"job-definition/{parameters['jobDefinitionName']}"
        yield Asked("batch:TagResource", _arn("batch", tagged))
    if operation == "run_job_flow":
        yield Asked("elasticmapreduce:AddTags", _arn("elasticmapreduce", "cluster/x"), _context(parameters))
    for role, lent_to in _roles(parameters):
        yield Asked("iam:PassRole", role, {"iam:PassedToService": lent_to})


def _resources(service: str, operation: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    if operation == "submit_job":
        yield _arn("batch", f"job-queue/{parameters['jobQueue']}")
        yield parameters["jobDefinition"]
    elif operation == "register_job_definition":
        yield _arn("batch", f"job-definition/{parameters['jobDefinitionName']}")
    elif operation == "terminate_job":
        yield _arn("batch", f"job/{parameters['jobId']}")
    elif operation == "describe_container_instances":
        yield from parameters["containerInstances"]
    elif service == "logs":
        group, stream = parameters["logGroupName"], parameters["logStreamName"]
        yield _arn("logs", f"log-group:{group}:log-stream:{stream}")
    elif service == "emr" and operation not in ("run_job_flow", "list_clusters"):
        ids = parameters.get("JobFlowIds") or [parameters.get("JobFlowId") or parameters["ClusterId"]]
        yield from (_arn("elasticmapreduce", f"cluster/{each}") for each in ids)
    else:
        yield "*"


def _context(parameters: Mapping[str, Any]) -> Mapping[str, str]:
    """Clusters that are terminated are our own: none but those are in the tests that do so."""
    tags = {
        f"elasticmapreduce:RequestTag/{each['Key']}": each["Value"] for each in parameters.get("Tags") or ()
    }
    own = {"elasticmapreduce:ResourceTag/runner-fleet": "inst"} if "JobFlowIds" in parameters else {}
    return {**tags, **own}


def _roles(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, lent_to in (("ServiceRole", "elasticmapreduce"), ("JobFlowRole", "ec2")):
        if key in parameters:
            yield f"arn:aws:iam::{ACCOUNT}:role/{parameters[key]}", f"{lent_to}.amazonaws.com"
    container = parameters.get("containerProperties") or {}
    for key in ("executionRoleArn", "jobRoleArn"):
        if key in container:
            yield container[key], "ecs-tasks.amazonaws.com"


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def granted(statements: Sequence[Statement], *services: str) -> set[str]:
    actions = {action for each in statements for action in each["Action"]}
    return {action for action in actions if action.partition(":")[0] in services}


async def batch_world(statements: Sequence[Statement], program: Any) -> tuple[batch_stage.Stage, Guarded]:
    stage = await batch_stage.make_stage(program, BATCH)
    stage.batch.queues.clear()
    machines = Environment(name="AWSBatch-inst-spot")
    stage.batch.queues["inst-default"] = JobQueue("inst-default", environments=(machines,))
    guarded = Guarded(stage.aws, statements)
    stage.backend = BatchBackend(
        guarded, stage.records, stage.ledger, stage.items, BATCH, now, jitter=lambda: 0.5
    )
    return stage, guarded


def fails(env: Mapping[str, str], command: Sequence[str]) -> Run:
    return Run(seconds=float(env.get("SECONDS", "5")), exit_code=1, lines=("it does not work",))


def test_on_aws_batch_the_controller_may_do_what_it_does_and_nothing_else() -> None:
    statements = policies(batch=BATCH).controller()

    async def main() -> None:
        stage, guarded = await batch_world(statements, fails)
        await stage.submit("a", tasks=3, role=ROLE, retry=Retry(retries=1, backoff=30.0))
        await stage.finish("a")
        await stage.submit("b", tasks=2, env={"SECONDS": "600"})
        await stage.steps(20)
        await reasons_of(guarded, BATCH, await stage.job("b"), now())
        await stage.cancel("b")
        await stage.finish("b")
        assert guarded.refused == []
        used = guarded.used
        assert used == granted(statements, "batch", "logs", "ecs", "iam")

    batch_stage.run(main())


def test_users_may_ask_aws_batch_why_a_job_waits_and_read_what_its_tasks_write() -> None:
    statements = policies(batch=BATCH).user()

    async def main() -> None:
        stage, _ = await batch_world(policies(batch=BATCH).controller(), fails)
        users = Guarded(stage.aws, statements)
        await stage.submit("a", tasks=1)
        await stage.steps(20)
        await reasons_of(users, BATCH, await stage.job("a"), now())
        assert (await stage.finish("a")).status is Status.FAILED
        (attempt,) = await stage.attempts(0, "a")
        reader = BatchLogReader(users, BATCH.log_group, None)  # type: ignore[arg-type]
        recorded = await recorded_of(stage.records, await stage.task(0, "a"), attempt.number)
        assert [data async for data in reader.read(TaskId("a", 0), attempt.number, 0, recorded)]
        assert users.refused == []

    batch_stage.run(main())


def test_users_submit_nothing_to_aws_batch_themselves() -> None:
    looking = {action.partition(":")[2] for action in granted(policies(batch=BATCH).user(), "batch")}
    assert {name for name in looking if not name.startswith(("Describe", "List"))} == set()


async def emr_world(statements: Sequence[Statement]) -> tuple[emr_stage.Stage, Guarded]:
    stage = await emr_stage.make_stage(settings=EMR)
    guarded = Guarded(stage.aws, statements)
    stage.backend = EmrBackend(guarded, stage.records, stage.ledger, EMR, now, jitter=lambda: 0.5)
    return stage, guarded


def test_of_clusters_the_controller_may_do_what_it_does_and_nothing_else() -> None:
    statements = policies(emr=EMR).controller()

    async def main() -> None:
        stage, guarded = await emr_world(statements)
        await stage.submit("a")
        await stage.finish("a")
        await stage.submit("b")
        await stage.until("RUNNING")
        await stage.cancel("b")
        await stage.finish("b")
        theirs = stage.emr.add()
        await stage.submit("c", emr=Emr(cluster=theirs.id))
        await stage.steps(60)
        await stage.cancel("c")
        await stage.finish("c")
        assert guarded.refused == []
        assert guarded.used == granted(statements, "elasticmapreduce", "iam")

    emr_stage.run(main())


def test_clusters_are_started_as_the_fleets_and_only_such_are_terminated() -> None:
    statements = policies(emr=EMR).controller()
    run, end = (
        next(each for each in statements if f"elasticmapreduce:{action}" in each["Action"])
        for action in ("RunJobFlow", "TerminateJobFlows")
    )
    assert run["Condition"] == {"StringEquals": {"elasticmapreduce:RequestTag/runner-fleet": "inst"}}
    assert end["Condition"] == {"StringEquals": {"elasticmapreduce:ResourceTag/runner-fleet": "inst"}}


def test_where_the_settings_name_no_such_service_nothing_of_it_is_allowed() -> None:
    alone = policies()
    for statements in (alone.controller(), alone.user()):
        assert granted(statements, "batch", "elasticmapreduce", "ecs", "iam") == set()
