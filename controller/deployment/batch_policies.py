"""Who may do what on AWS Batch: its instances, what prepares tasks, the controller, and people who submit jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.deployment.names import batch_clusters
from controller.deployment.statements import Statement, allow
from runner.batch_settings import BatchSettings, execution_role_name

PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
WRITE_LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
READ_LOGS = ("logs:GetLogEvents",)

# What Amazon ECS's agent calls, but for making clusters: AWS Batch makes them.
OF_CLUSTER = (
    "ecs:RegisterContainerInstance",
    "ecs:DeregisterContainerInstance",
    "ecs:SubmitTaskStateChange",
    "ecs:SubmitContainerStateChange",
    "ecs:SubmitAttachmentStateChanges",
)
OF_INSTANCE = ("ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState")

# None of these can be limited to some resources.
LOOK = (
    "batch:DescribeJobs",
    "batch:ListJobs",
    "batch:DescribeJobQueues",
    "batch:DescribeJobDefinitions",
    "batch:DescribeComputeEnvironments",
)


@dataclass(frozen=True, slots=True)
class BatchPolicies:
    """`queues` are the ARNs of the job queues that jobs are submitted to, or patterns of them."""

    batch: BatchSettings
    partition: str
    account: str
    queues: Sequence[str]
    task_roles: str

    def instance(self) -> Sequence[Statement]:
        """Of Amazon ECS's agent on instances. Tasks share its network, and so its rights: these, and no more."""
        own = batch_clusters(self.batch.name)
        instances = [self._arn("ecs", f"container-instance/{own}/*")]
        return [
            allow("Join", OF_CLUSTER, [self._arn("ecs", f"cluster/{own}")]),
            allow("Serve", OF_INSTANCE, instances),
            allow("Tag", ("ecs:TagResource",), instances, {"ecs:CreateAction": "RegisterContainerInstance"}),
            allow("LookAround", ("ecs:DiscoverPollEndpoint", "ec2:DescribeTags"), ["*"]),
            *self._prepare(),
        ]

    def execution(self) -> Sequence[Statement]:
        """For a task, before it starts."""
        return [
            *self._prepare(),
            allow("Secrets", ("secretsmanager:GetSecretValue",), [self._own("secretsmanager", "secret:")]),
            allow("Parameters", ("ssm:GetParameters",), [self._own("ssm", "parameter/")]),
        ]

    def controller(self) -> Sequence[Statement]:
        definitions = self._arn("batch", f"job-definition/{self.batch.name}-*")
        jobs = self._arn("batch", "job/*")
        return [
            allow("Submit", ("batch:SubmitJob",), [definitions, *self.queues]),
            allow("Define", ("batch:RegisterJobDefinition",), [definitions]),
            allow("TagJobs", ("batch:TagResource",), [definitions, jobs]),
            # Children of arrays have no tags to know them by.
            allow("Terminate", ("batch:TerminateJob",), [jobs]),
            *self.user(),
            allow(
                "LookAtInstances",
                ("ecs:DescribeContainerInstances",),
                [self._arn("ecs", "container-instance/AWSBatch-*")],
            ),
            allow(
                "LendRoles",
                ("iam:PassRole",),
                [self.execution_role, self.task_roles],
                {"iam:PassedToService": "ecs-tasks.amazonaws.com"},
            ),
        ]

    def user(self) -> Sequence[Statement]:
        """To see what becomes of jobs, and to read their logs."""
        return [allow("LookAtBatch", LOOK, ["*"]), allow("BatchLogs", READ_LOGS, self._log_group)]

    @property
    def execution_role(self) -> str:
        """Its ARN."""
        made = f"arn:{self.partition}:iam::{self.account}:role/{execution_role_name(self.batch.name)}"
        return self.batch.execution_role or made

    @property
    def _log_group(self) -> Sequence[str]:
        group = self._arn("logs", f"log-group:{self.batch.log_group}")
        return [group, f"{group}:*"]

    def _prepare(self) -> Sequence[Statement]:
        return [
            allow("Images", PULL, [self._arn("ecr", "repository/*")]),
            allow("Registry", ("ecr:GetAuthorizationToken",), ["*"]),
            allow("Logs", WRITE_LOGS, self._log_group),
        ]

    def _own(self, service: str, kind: str) -> str:
        return self._arn(service, f"{kind}{self.batch.name}/*")

    def _arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.batch.region}:{self.account}:{resource}"
