"""One SQS queue per channel, and one for dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.deployment.names import logical_id, tags
from runner.routing import Routes
from runner.settings import FleetSettings, Settings

DAY = 86400

# The most there is: receives do not decide, attempts do, and the ledger outlives every message.
MOST_RECEIVES = 1000
RETENTION = 14 * DAY
LONG_POLL = 20

DEAD_LETTERS = "DeadLetters"


def queues(settings: Settings, fleet: FleetSettings, routes: Routes) -> Mapping[str, Any]:
    """None for a fleet without machines of its own: no channel needs one."""
    if not routes.channels:
        return {}
    dead_letters = {DEAD_LETTERS: _queue(fleet, fleet.dead_letters)}
    redrive = {
        "deadLetterTargetArn": {"Fn::GetAtt": [DEAD_LETTERS, "Arn"]},
        "maxReceiveCount": MOST_RECEIVES,
    }
    hidden = round(settings.agent.lease)
    return dead_letters | {
        logical_id("Queue", channel): _queue(
            fleet, fleet.queue_name(channel), VisibilityTimeout=hidden, RedrivePolicy=redrive
        )
        for channel in routes.channels
    }


def _queue(fleet: FleetSettings, name: str, **more: object) -> Mapping[str, Any]:
    return {
        "Type": "AWS::SQS::Queue",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "QueueName": name,
            "MessageRetentionPeriod": RETENTION,
            "ReceiveMessageWaitTimeSeconds": LONG_POLL,
            "SqsManagedSseEnabled": True,
            **more,
            "Tags": tags(fleet),
        },
    }
