"""What `runner-controller deploy` makes in the cloud: groups, queues and the table of one fleet."""

from __future__ import annotations

from collections.abc import Sequence

from controller.simulation.services.autoscaling import Group
from controller.simulation.services.dynamodb import DynamoDb
from controller.simulation.services.sqs import SimulatedSqs
from runner.adapters.sqs.letters import MAX_RECEIVES
from runner.routing import Routes
from runner.settings import FleetSettings

# Of an instance's boot, the part until it is in service; the rest is the provisioning, until its agent starts.
UNTIL_IN_SERVICE = 0.3
# Seconds until a group tries again a launch that failed.
RELAUNCH = 60.0


def groups(fleet: FleetSettings) -> Sequence[Group]:
    boot = UNTIL_IN_SERVICE * fleet.boot
    return [
        Group(
            fleet.group(each.name),
            desired=each.minimum,
            minimum=each.minimum,
            maximum=each.maximum,
            boot=boot,
            relaunch=RELAUNCH,
        )
        for each in fleet.environments.values()
    ]


def make_resources(fleet: FleetSettings, routes: Routes, sqs: SimulatedSqs, dynamodb: DynamoDb) -> None:
    letters, arn = fleet.dead_letters, "arn:aws:sqs:us-east-1:123456789012:"
    redrive = f'{{"deadLetterTargetArn": "{arn}{letters}", "maxReceiveCount": "{MAX_RECEIVES}"}}'
    sqs.answer("create_queue", {"QueueName": letters})
    for channel in routes.channels:
        attributes = {"RedrivePolicy": redrive}
        sqs.answer("create_queue", {"QueueName": fleet.queue_name(channel), "Attributes": attributes})
    keys = [("pk", "HASH"), ("sk", "RANGE")]
    dynamodb.answer(
        "create_table",
        {
            "TableName": fleet.table,
            "KeySchema": [{"AttributeName": name, "KeyType": role} for name, role in keys],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
