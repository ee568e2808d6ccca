"""Who may do what: the statements of the roles' policies. Least privilege, and nothing of other fleets.

What each part calls stands in its adapter's docstring.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.deployment.names import TAG, controller_group
from controller.deployment.site import Site
from runner.routing import Routes
from runner.settings import FleetSettings

Statement = Mapping[str, Any]

# What IAM takes, in characters. A role's may have 10,240 in all, of which some are left for what people add.
LARGEST_POLICY = 6_144
LARGEST_ROLE = 9_216

METRICS = "Runner"

TAKE = (
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
)
FILL = ("sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:SendMessage")
SORT_OUT = (
    "sqs:GetQueueUrl",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
)
RECORD = (
    "dynamodb:GetItem",
    "dynamodb:BatchGetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
)
TABLE = (*RECORD, "dynamodb:Query")
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

    def agent(self) -> Sequence[Statement]:
        return self._fitting(self._agent, LARGEST_ROLE)

    def controller(self) -> Sequence[Statement]:
        return self._fitting(self._controller, LARGEST_ROLE)

    def user(self) -> Sequence[Statement]:
        """Of people and programs that submit jobs, watch them and read their logs."""
        return self._fitting(self._user, LARGEST_POLICY)

    def _fitting(
        self, statements: Callable[[_Scope], Sequence[Statement]], largest: int
    ) -> Sequence[Statement]:
        """With queues and groups named as exactly as there is room for."""
        made = (statements(scope) for scope in self._scopes())
        return next(each for each in made if len(_dense(document(each))) <= largest)

    def _scopes(self) -> Iterator[_Scope]:
        fleet = self.fleet
        groups = [self.group(fleet.group(environment)) for environment in fleet.environments]
        queues = [self.arn("sqs", fleet.queue_name(channel)) for channel in self.routes.channels]
        yield _Scope(queues, groups)
        groups = [self.group(f"{fleet.name}-*")]  # no less exact: of groups the tag always decides
        yield _Scope(queues, groups)
        yield _Scope([self.arn("sqs", f"{fleet.name}-{queue}-*") for queue in fleet.queues], groups)
        # Of queues it does only here: not every region knows tags of queues in policies. Without it this would be the
        # queues of all fleets whose names begin with this one's, too.
        yield _Scope([self.arn("sqs", f"{fleet.name}-*")], groups, self._tagged)

    def _agent(self, scope: _Scope) -> Sequence[Statement]:
        return [
            scope.allow("Queues", TAKE),
            _allow("Quarantine", ("sqs:GetQueueUrl", "sqs:SendMessage"), [self._dead_letters]),
            _allow("Ledger", RECORD, [self.table]),
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
            _allow("LeaveGroup", LEAVE, scope.groups, self._tagged),
        ]

    def _controller(self, scope: _Scope) -> Sequence[Statement]:
        own = self.group(controller_group(self.fleet))
        return [
            scope.allow("Queues", FILL),
            _allow("DeadLetters", SORT_OUT, [self._dead_letters]),
            _allow("Ledger", TABLE, [self.table]),
            _allow("Fetch", ("s3:GetObject",), [f"{self.bucket}/deploy/*"]),
            *self._list_bucket(),
            _allow(
                "LookAtGroups",
                ("autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities"),
                ["*"],
            ),
            _allow("Scale", SCALE, scope.groups, self._tagged),
            _allow("ReplaceSelf", ("autoscaling:SetInstanceHealth",), [own]),
            _allow("Report", ("cloudwatch:PutMetricData",), ["*"], {"cloudwatch:namespace": METRICS}),
        ]

    def _user(self, scope: _Scope) -> Sequence[Statement]:
        return [
            scope.allow("Queues", FILL),
            _allow("DeadLetters", SORT_OUT, [self._dead_letters]),
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

    @property
    def _tagged(self) -> Mapping[str, str]:
        return {f"aws:ResourceTag/{TAG}": self.fleet.name}


@dataclass(frozen=True, slots=True)
class _Scope:
    """How queues and groups are named. `equal`: what must hold of the queues beside."""

    queues: Sequence[str]
    groups: Sequence[str]
    equal: Mapping[str, str] = field(default_factory=dict)

    def allow(self, sid: str, actions: Sequence[str]) -> Statement:
        return _allow(sid, actions, self.queues, self.equal)


def document(statements: Sequence[Statement]) -> Mapping[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _dense(value: object) -> str:
    """As IAM counts: without white space."""
    return json.dumps(value, separators=(",", ":"))


def _allow(
    sid: str, actions: Sequence[str], resources: Sequence[str], equal: Mapping[str, str] | None = None
) -> Statement:
    condition = {"Condition": {"StringEquals": dict(equal)}} if equal else {}
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources), **condition}
