"""Who may do what: the statements of the roles' policies. Least privilege, and nothing of other fleets.

What each part calls stands in its adapter's docstring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.deployment.names import TAG, controller_group
from controller.deployment.site import Site
from runner.routing import Routes
from runner.settings import FleetSettings

Statement = Mapping[str, Any]

# A role's policies have 10,240 characters in all; more queues than that are named by their beginnings.
MOST_NAMED_QUEUES = 60

METRICS = "Runner"

TAKE = (
    "sqs:GetQueueUrl",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
)
TABLE = (
    "dynamodb:GetItem",
    "dynamodb:BatchGetItem",
    "dynamodb:Query",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:ConditionCheckItem",
)
LEAVE = (
    "autoscaling:SetInstanceProtection",
    "autoscaling:RecordLifecycleActionHeartbeat",
    "autoscaling:CompleteLifecycleAction",
    "autoscaling:TerminateInstanceInAutoScalingGroup",
    "autoscaling:SetInstanceHealth",
)
SCALE = (
    "autoscaling:SetDesiredCapacity",
    "autoscaling:TerminateInstanceInAutoScalingGroup",
    "autoscaling:SetInstanceHealth",
)
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


@dataclass(frozen=True, slots=True)
class Policies:
    fleet: FleetSettings
    site: Site
    routes: Routes

    @property
    def bucket(self) -> str:
        return f"arn:{self.site.partition}:s3:::{self.fleet.bucket_name(self.site.account)}"

    @property
    def table(self) -> str:
        return self.arn("dynamodb", f"table/{self.fleet.table}")

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.site.partition}:{service}:{self.fleet.region}:{self.site.account}:{resource}"

    def group(self, name: str) -> str:
        return self.arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{name}")

    def queues(self) -> Sequence[str]:
        names = [self.fleet.queue_name(channel) for channel in self.routes.channels]
        if len(names) > MOST_NAMED_QUEUES:
            names = [f"{self.fleet.name}-{queue}-*" for queue in self.fleet.queues]
        return [self.arn("sqs", name) for name in names]

    def agent(self) -> Sequence[Statement]:
        return [
            _allow("Queues", TAKE, self.queues()),
            _allow("Quarantine", ("sqs:GetQueueUrl", "sqs:SendMessage"), [self._dead_letters]),
            _allow("Ledger", TABLE, [self.table]),
            _allow("StoreLogs", ("s3:PutObject", "s3:AbortMultipartUpload"), [f"{self.bucket}/logs/*"]),
            _allow("Fetch", ("s3:GetObject",), [f"{self.bucket}/manifests/*", f"{self.bucket}/deploy/*"]),
            *self._list_bucket(),
            *self._live_logs("logs:CreateLogStream", "logs:PutLogEvents"),
            _allow("Secrets", ("secretsmanager:GetSecretValue",), [self._secret]),
            _allow("Parameters", ("ssm:GetParameter",), [self._parameter]),
            _allow("Images", PULL, [self.arn("ecr", "repository/*")]),
            _allow("Registry", ("ecr:GetAuthorizationToken",), ["*"]),
            _allow("TaskRoles", ("sts:AssumeRole",), [self.task_roles]),
            _allow(
                "LookAtGroups",
                (
                    "autoscaling:DescribeAutoScalingInstances",
                    "autoscaling:DescribeAutoScalingGroups",
                    "autoscaling:DescribeLifecycleHooks",
                ),
                ["*"],  # what describes groups cannot be limited to some
            ),
            self._on_groups("LeaveGroup", LEAVE),
        ]

    def controller(self) -> Sequence[Statement]:
        own = self.group(controller_group(self.fleet))
        return [
            _allow("Queues", TAKE, [*self.queues(), self._dead_letters]),
            _allow("Ledger", TABLE, [self.table]),
            _allow("Fetch", ("s3:GetObject",), [f"{self.bucket}/manifests/*", f"{self.bucket}/deploy/*"]),
            *self._list_bucket(),
            _allow(
                "LookAtGroups",
                ("autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities"),
                ["*"],
            ),
            self._on_groups("Scale", SCALE),
            _allow("ReplaceSelf", ("autoscaling:SetInstanceHealth",), [own]),
            {
                **_allow("Report", ("cloudwatch:PutMetricData",), ["*"]),
                "Condition": {"StringEquals": {"cloudwatch:namespace": METRICS}},
            },
        ]

    def user(self) -> Sequence[Statement]:
        """Of people and programs that submit jobs, watch them and read their logs."""
        return [
            _allow("Queues", TAKE, [*self.queues(), self._dead_letters]),
            _allow("Ledger", TABLE, [self.table]),
            _allow("Manifests", ("s3:GetObject", "s3:PutObject"), [f"{self.bucket}/manifests/*"]),
            _allow("ReadLogs", ("s3:GetObject",), [f"{self.bucket}/logs/*"]),
            *self._list_bucket(),
            *self._live_logs("logs:FilterLogEvents"),
            _allow(
                "LookAtGroups",
                ("autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities"),
                ["*"],
            ),
        ]

    @property
    def task_roles(self) -> str:
        """The roles that jobs may name."""
        return f"arn:{self.site.partition}:iam::{self.site.account}:role/{self.fleet.name}-task-*"

    @property
    def _dead_letters(self) -> str:
        return self.arn("sqs", self.fleet.dead_letters)

    @property
    def _secret(self) -> str:
        return self.arn("secretsmanager", f"secret:{self.fleet.name}/*")

    @property
    def _parameter(self) -> str:
        return self.arn("ssm", f"parameter/{self.fleet.name}/*")

    def _list_bucket(self) -> Sequence[Statement]:
        # Without it S3 says "access denied" of an object that is not there.
        return [_allow("SeeWhatIsMissing", ("s3:ListBucket",), [self.bucket])]

    def _live_logs(self, *actions: str) -> Sequence[Statement]:
        if self.fleet.log_group is None:
            return []
        group = self.arn("logs", f"log-group:{self.fleet.log_group}")
        return [_allow("LiveLogs", actions, [group, f"{group}:*"])]

    def _on_groups(self, sid: str, actions: Sequence[str]) -> Statement:
        names = [self.group(self.fleet.group(environment)) for environment in self.fleet.environments]
        return {
            **_allow(sid, actions, names),
            "Condition": {"StringEquals": {f"aws:ResourceTag/{TAG}": self.fleet.name}},
        }


def document(statements: Sequence[Statement]) -> Mapping[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(sid: str, actions: Sequence[str], resources: Sequence[str]) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
