"""Whether what `deploy` makes is there, and is as the settings want it."""

from __future__ import annotations

from collections.abc import Sequence

from controller.deployment.findings import Findings
from controller.deployment.installing import SUSPENDED
from controller.deployment.names import controller_group, fleet_stack, log_groups, storage_stack
from controller.deployment.queues import MOST_RECEIVES
from controller.deployment.remains import has_log_group
from controller.deployment.shipping import bucket_exists
from controller.deployment.stacks import Stacks
from runner.aws import Aws, AwsError, Reply
from runner.batch_settings import BatchSettings
from runner.routing import Routes
from runner.settings import Environment, FleetSettings, Settings

DEPLOY = "run `runner-controller deploy`"
REGION = "run `runner-controller deploy`, or mend fleet.region if it was deployed elsewhere"
HEALTHY = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})


async def check_stacks(aws: Aws, fleet: FleetSettings, findings: Findings) -> None:
    stacks = Stacks(aws, fleet.name, lambda _: None)
    for name in (storage_stack(fleet), fleet_stack(fleet)):
        subject = f"stack {name}"
        async with findings.about(subject):
            stack = await stacks.owned(name)
            if stack is None:
                findings.problem(subject, f"is not in {fleet.region}", REGION)
            elif stack.status not in HEALTHY:
                findings.problem(subject, f"is {stack.status}", DEPLOY)
            else:
                findings.ok(subject, stack.status)


async def check_table(aws: Aws, fleet: FleetSettings, findings: Findings) -> None:
    subject = f"table {fleet.table}"
    async with findings.about(subject):
        try:
            table: Reply = (await aws.call("dynamodb", "describe_table", TableName=fleet.table))["Table"]
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            findings.problem(subject, f"is not in {fleet.region}", REGION)
            return
        keys = [key["AttributeName"] for key in table["KeySchema"]]
        if keys != ["pk", "sk"]:
            findings.problem(subject, f"has the keys {keys}, not pk and sk", "name another in fleet.table")
        elif table["TableStatus"] not in ("ACTIVE", "UPDATING"):
            findings.problem(subject, f"is {table['TableStatus']}", "wait until it is ACTIVE")
        else:
            await _time_to_live(aws, fleet, findings, subject)


async def _time_to_live(aws: Aws, fleet: FleetSettings, findings: Findings, subject: str) -> None:
    reply = await aws.call("dynamodb", "describe_time_to_live", TableName=fleet.table)
    told: Reply = reply.get("TimeToLiveDescription") or {}
    if told.get("AttributeName") == "expires" and told.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
        findings.ok(subject)
    elif fleet.history is None:
        findings.ok(subject, "keeps everything for ever")
    else:
        findings.problem(subject, "has no time to live on `expires`, so no history ends", DEPLOY)


async def check_bucket(aws: Aws, fleet: FleetSettings, account: str, findings: Findings) -> None:
    name = fleet.bucket_name(account)
    subject = f"bucket {name}"
    async with findings.about(subject):
        if await bucket_exists(aws, fleet, name):
            findings.ok(subject)
        else:
            findings.problem(subject, "does not exist", DEPLOY)


async def check_log_groups(
    aws: Aws, fleet: FleetSettings, batch: BatchSettings | None, findings: Findings
) -> None:
    for name in log_groups(fleet, batch):
        subject = f"log group {name}"
        async with findings.about(subject):
            if await has_log_group(aws, name):
                findings.ok(subject)
            else:
                findings.problem(subject, f"is not in {fleet.region}", DEPLOY)


async def check_queues(aws: Aws, settings: Settings, fleet: FleetSettings, findings: Findings) -> None:
    channels = Routes.of(settings).channels
    names = [fleet.dead_letters, *(fleet.queue_name(channel) for channel in channels)]
    for name in names if channels else ():
        subject = f"queue {name}"
        async with findings.about(subject):
            try:
                url = (await aws.call("sqs", "get_queue_url", QueueName=name))["QueueUrl"]
            except AwsError as error:
                if "NonExistentQueue" not in error.code and "QueueDoesNotExist" not in error.code:
                    raise
                findings.problem(subject, f"is not in {fleet.region}", REGION)
                continue
            reply = await aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["All"])
            redrive = str((reply.get("Attributes") or {}).get("RedrivePolicy", ""))
            if name != fleet.dead_letters and str(MOST_RECEIVES) not in redrive:
                findings.problem(subject, "does not pass dead letters on as it should", DEPLOY)
            else:
                findings.ok(subject)


async def check_groups(aws: Aws, settings: Settings, fleet: FleetSettings, findings: Findings) -> None:
    environments = fleet.environments if settings.machines else {}
    wanted = {controller_group(fleet): None} | {
        fleet.group(name): environment for name, environment in environments.items()
    }
    found: dict[str, Reply] = {}
    async with findings.about("Auto Scaling groups"):
        names = list(wanted)
        for start in range(0, len(names), 50):
            reply = await aws.call(
                "autoscaling",
                "describe_auto_scaling_groups",
                AutoScalingGroupNames=names[start : start + 50],
                MaxRecords=100,
            )
            found |= {str(group["AutoScalingGroupName"]): group for group in reply["AutoScalingGroups"]}
        for name, environment in wanted.items():
            _check_group(name, found.get(name), environment, fleet, findings)


def _check_group(
    name: str, group: Reply | None, environment: Environment | None, fleet: FleetSettings, findings: Findings
) -> None:
    subject = f"group {name}"
    if group is None:
        findings.problem(subject, f"is not in {fleet.region}", REGION)
    elif environment is None:
        _check_controller(subject, group, findings)
    elif wrong := _wrong(group, environment):
        findings.problem(subject, "; ".join(wrong), DEPLOY)
    else:
        findings.ok(subject, f"{len(group.get('Instances') or ())} instances")


def _check_controller(subject: str, group: Reply, findings: Findings) -> None:
    if any(each.get("LifecycleState") == "InService" for each in group.get("Instances") or ()):
        findings.ok(subject)
    else:
        step = "see its activities in the EC2 console; `runner-controller serve` can run anywhere meanwhile"
        findings.problem(subject, "runs no instance: nobody supervises", step)


def _wrong(group: Reply, environment: Environment) -> Sequence[str]:
    suspended = {each["ProcessName"] for each in group.get("SuspendedProcesses") or ()}
    bounds = int(group["MinSize"]), int(group["MaxSize"])
    wrong = []
    if bounds != (environment.minimum, environment.maximum):
        wrong.append(
            f"has bounds {bounds[0]} to {bounds[1]}, not {environment.minimum} to {environment.maximum}"
        )
    if not suspended >= set(SUSPENDED):
        wrong.append("may end busy instances to rebalance zones")
    if not group.get("NewInstancesProtectedFromScaleIn"):
        wrong.append("may end busy instances when it scales in")
    return wrong
