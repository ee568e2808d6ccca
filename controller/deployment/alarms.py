"""What somebody should look at: dead letters, work that waits too long, a controller that does not do its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.deployment.names import logical_id, tags
from controller.deployment.policies import METRICS
from runner.routing import Routes
from runner.settings import FleetSettings

HEALTHY = "ControllerHealthy"

# Longer than a backlog should take, in seconds. Messages of running tasks count too: those are deleted at the end.
WAITS_TOO_LONG = 24 * 3600


def alarms(fleet: FleetSettings, routes: Routes) -> Mapping[str, Any]:
    return {
        **({"AlarmDeadLetters": _dead_letters(fleet)} if routes.channels else {}),
        "AlarmController": _alarm(
            fleet,
            "controller",
            "The supervisor is not healthy, or does not say so",
            Namespace=METRICS,
            MetricName=HEALTHY,
            Dimensions=[{"Name": "Fleet", "Value": fleet.name}],
            ComparisonOperator="LessThanThreshold",
            Threshold=1,
            Period=60,
            EvaluationPeriods=10,  # longer than it takes to replace a machine
            TreatMissingData="breaching",
        ),
        **{logical_id("AlarmAge", channel): _age(fleet, channel) for channel in routes.channels},
    }


def _dead_letters(fleet: FleetSettings) -> Mapping[str, Any]:
    return _alarm(
        fleet,
        "dead-letters",
        "Messages were put aside: `runner-controller dead-letters list`",
        **_of_queue(fleet.dead_letters, "ApproximateNumberOfMessagesVisible"),
        ComparisonOperator="GreaterThanThreshold",
        Threshold=0,
        Period=300,
        EvaluationPeriods=1,
    )


def _age(fleet: FleetSettings, channel: str) -> Mapping[str, Any]:
    return _alarm(
        fleet,
        f"oldest-{channel}",
        f"A message of {channel} is a day old: `runner-controller fleet` says why",
        **_of_queue(fleet.queue_name(channel), "ApproximateAgeOfOldestMessage"),
        ComparisonOperator="GreaterThanThreshold",
        Threshold=WAITS_TOO_LONG,
        Period=300,
        EvaluationPeriods=3,
    )


def _of_queue(name: str, metric: str) -> Mapping[str, Any]:
    return {
        "Namespace": "AWS/SQS",
        "MetricName": metric,
        "Dimensions": [{"Name": "QueueName", "Value": name}],
        "TreatMissingData": "notBreaching",
    }


def _alarm(fleet: FleetSettings, name: str, meaning: str, **terms: Any) -> Mapping[str, Any]:
    topic = fleet.deployment.alarm_topic
    told = {"AlarmActions": [topic], "OKActions": [topic]} if topic is not None else {}
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": f"{fleet.name}-{name}",
            "AlarmDescription": meaning,
            "Statistic": "Maximum",
            **terms,
            **told,
            "Tags": tags(fleet),
        },
    }
