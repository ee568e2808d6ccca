"""Who may do what: the statements of the roles' policies. Least privilege, and nothing of other fleets.

What each part calls stands in its adapter's docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from controller.deployment.batch_policies import PULL, BatchPolicies
from controller.deployment.emr_policies import emr_controller, emr_user
from controller.deployment.job_queues import own_queues
from controller.deployment.names import TAG, controller_group
from controller.deployment.site import Site
from controller.deployment.statements import Statement, allow, size
from runner.batch_settings import BatchSettings
from runner.emr_settings import EmrSettings
from runner.routing import Routes
from runner.settings import FleetSettings, Settings

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
# What begins and ends of tasks take that go in company; without them each goes by itself.
STATEMENTS = ("dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate")
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


@dataclass(frozen=True, slots=True)
class Policies:
    """`agents`: the fleet has machines of its own. `batch` and `emr` are given where jobs run there."""

    fleet: FleetSettings
    site: Site
    routes: Routes
    agents: bool = True
    batch: BatchSettings | None = None
    emr: EmrSettings | None = None

    @classmethod
    def of(cls, settings: Settings, fleet: FleetSettings, site: Site) -> Policies:
        agents = settings.machines is not None
        return cls(fleet, site, Routes.of(settings), agents, settings.batch, settings.emr)

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
        return next(each for each in made if size(each) <= largest)

    def batch_instance(self) -> Sequence[Statement]:
        """Of AWS Batch's instances. Only with `batch`."""
        return self._of_batch(()).instance()

    def batch_execution(self) -> Sequence[Statement]:
        """Of what prepares a task on AWS Batch. Only with `batch`."""
        return self._of_batch(()).execution()

    def _scopes(self) -> Iterator[_Scope]:
        fleet = self.fleet
        groups = [self.group(fleet.group(environment)) for environment in fleet.environments]
        queues = [self.arn("sqs", fleet.queue_name(channel)) for channel in self.routes.channels]
        exact = _Scope(queues, groups, self._job_queues())
        yield exact
        # No less exact: of groups the tag always decides.
        few_groups = replace(exact, groups=[self.group(f"{fleet.name}-*")])
        yield few_groups
        few = replace(
            few_groups, job_queues=[self.arn("batch", f"job-queue/{fleet.name}-*"), *self._others()]
        )
        yield replace(few, queues=[self.arn("sqs", f"{fleet.name}-{queue}-*") for queue in fleet.queues])
        # Of queues it does only here: not every region knows tags of queues in policies. Without it this would be the
        # queues of all fleets whose names begin with this one's, too.
        fewest = replace(few, queues=[self.arn("sqs", f"{fleet.name}-*")], equal=self._tagged)
        yield fewest
        # Of those that are the user's own there may be too many to name; what is submitted is the fleet's all the same.
        yield replace(fewest, job_queues=[self.arn("batch", "job-queue/*")])

    def _agent(self, scope: _Scope) -> Sequence[Statement]:
        return [
            scope.allow("Queues", TAKE),
            allow("Quarantine", ("sqs:GetQueueUrl", "sqs:SendMessage"), [self._dead_letters]),
            allow("Ledger", (*RECORD, *STATEMENTS), [self.table]),
            allow("StoreLogs", ("s3:PutObject", "s3:AbortMultipartUpload"), [f"{self.bucket}/logs/*"]),
            allow("Fetch", ("s3:GetObject",), [f"{self.bucket}/manifests/*", f"{self.bucket}/deploy/*"]),
            *self._list_bucket(),
            *self._live_logs("logs:CreateLogStream", "logs:PutLogEvents"),
            allow("Secrets", ("secretsmanager:GetSecretValue",), [self._secret]),
            allow("Parameters", ("ssm:GetParameter",), [self._parameter]),
            allow("Images", PULL, [self.arn("ecr", "repository/*")]),
            allow("Registry", ("ecr:GetAuthorizationToken",), ["*"]),
            allow("TaskRoles", ("sts:AssumeRole",), [self.task_roles]),
            allow(
                "LookAtGroups",
                (
                    "autoscaling:DescribeAutoScalingInstances",
                    "autoscaling:DescribeAutoScalingGroups",
                    "autoscaling:DescribeLifecycleHooks",
                ),
                ["*"],  # what describes groups cannot be limited to some
            ),
            allow("LeaveGroup", LEAVE, scope.groups, self._tagged),
        ]

    def _controller(self, scope: _Scope) -> Sequence[Statement]:
        own = self.group(controller_group(self.fleet))
        manifests = [f"{self.bucket}/manifests/*"] if self.batch else []
        return [
            *self._fill(scope),
            allow("Ledger", TABLE, [self.table]),
            # What runs on AWS Batch gets its items with its submission.
            allow("Fetch", ("s3:GetObject",), [f"{self.bucket}/deploy/*", *manifests]),
            *self._list_bucket(),
            *([allow("Scale", SCALE, scope.groups, self._tagged)] if self.agents else []),
            allow("ReplaceSelf", ("autoscaling:SetInstanceHealth",), [own]),
            allow("Report", ("cloudwatch:PutMetricData",), ["*"], {"cloudwatch:namespace": METRICS}),
            *(self._of_batch(scope.job_queues).controller() if self.batch else []),
            *(emr_controller(self.emr, self.site.partition, self.site.account) if self.emr else []),
        ]

    def _user(self, scope: _Scope) -> Sequence[Statement]:
        return [
            *self._fill(scope),
            allow("Ledger", TABLE, [self.table]),
            allow("Manifests", ("s3:GetObject", "s3:PutObject"), [f"{self.bucket}/manifests/*"]),
            allow("ReadLogs", ("s3:GetObject",), [f"{self.bucket}/logs/*"]),
            *self._list_bucket(),
            *(self._live_logs("logs:FilterLogEvents") if self.agents else []),
            *(self._of_batch(()).user() if self.batch else []),
            *(emr_user(self.emr, self.site.partition, self.site.account) if self.emr else []),
        ]

    def _fill(self, scope: _Scope) -> Sequence[Statement]:
        """Queues of agents with work, and see what becomes of it."""
        if not self.agents:
            return []
        return [
            scope.allow("Queues", FILL),
            allow("DeadLetters", SORT_OUT, [self._dead_letters]),
            allow(
                "LookAtGroups",
                ("autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities"),
                ["*"],
            ),
        ]

    def _of_batch(self, job_queues: Sequence[str]) -> BatchPolicies:
        assert self.batch is not None
        site = self.site
        return BatchPolicies(self.batch, site.partition, site.account, job_queues, self.task_roles)

    def _job_queues(self) -> Sequence[str]:
        """ARNs of those on AWS Batch."""
        if self.batch is None:
            return []
        names = (queue.job_queue for queue in self.batch.queues.values())
        return [name if name.startswith("arn:") else self.arn("batch", f"job-queue/{name}") for name in names]

    def _others(self) -> Sequence[str]:
        """Of these, the user's own."""
        own = set(own_queues(self.fleet, self.batch)) if self.batch is not None else set()
        return [
            arn
            for name, arn in zip(self.batch.queues if self.batch else (), self._job_queues(), strict=True)
            if name not in own
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
        return [allow("SeeWhatIsMissing", ("s3:ListBucket",), [self.bucket])]

    def _live_logs(self, *actions: str) -> Sequence[Statement]:
        if self.fleet.log_group is None:
            return []
        group = self.arn("logs", f"log-group:{self.fleet.log_group}")
        return [allow("LiveLogs", actions, [group, f"{group}:*"])]

    @property
    def _tagged(self) -> Mapping[str, str]:
        return {f"aws:ResourceTag/{TAG}": self.fleet.name}


@dataclass(frozen=True, slots=True)
class _Scope:
    """How queues, groups and job queues are named. `equal`: what must hold of the queues beside."""

    queues: Sequence[str]
    groups: Sequence[str]
    job_queues: Sequence[str]
    equal: Mapping[str, str] = field(default_factory=dict)

    def allow(self, sid: str, actions: Sequence[str]) -> Statement:
        return allow(sid, actions, self.queues, self.equal)
