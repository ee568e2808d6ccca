"""The stack of what outlives the machines: the ledger's table, the bucket, the log group."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from controller.deployment.names import log_groups, tags
from controller.deployment.site import Site
from runner.batch_settings import BatchSettings
from runner.settings import FleetSettings

DAY = 86400.0

# What CloudWatch Logs takes, in days.
RETENTIONS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
LIVE_DAYS = 30

TABLE, BUCKET, BUCKET_POLICY = "Table", "Bucket", "BucketPolicy"
LOG_GROUP, BATCH_LOG_GROUP = "LogGroup", "BatchLogGroup"

# The bucket's contents are the user's: only `destroy --delete-logs` removes them, and no mistake in a template.
KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}


def storage_template(
    fleet: FleetSettings, site: Site, batch: BatchSettings | None = None
) -> Mapping[str, Any]:
    resources = {TABLE: _table(fleet)}
    if site.own_bucket:
        resources[BUCKET] = _bucket(fleet, site)
        resources[BUCKET_POLICY] = _bucket_policy(fleet, site)
    for name, key in log_groups(fleet, batch).items():
        logical = LOG_GROUP if key == "fleet.log_group" else BATCH_LOG_GROUP
        # Of what agents run the bucket keeps the output; of what AWS Batch runs there is nothing else.
        kept = batch is not None and name == batch.log_group
        resources[logical] = _log_group(fleet, name, None if kept else LIVE_DAYS)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"What the fleet {fleet.name} remembers",
        "Resources": resources,
        "Outputs": {
            "Table": {"Value": fleet.table},
            "Bucket": {"Value": fleet.bucket_name(site.account)},
        },
    }


def _table(fleet: FleetSettings) -> Mapping[str, Any]:
    keys = {"pk": "HASH", "sk": "RANGE"}
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "TableName": fleet.table,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in keys],
            "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
            "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "SSESpecification": {
                "SSEEnabled": False
            },  # encrypted all the same, with a key that costs nothing
            "DeletionProtectionEnabled": fleet.deployment.protect,
            "Tags": tags(fleet),
        },
    }


def _bucket(fleet: FleetSettings, site: Site) -> Mapping[str, Any]:
    blocked = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    return {
        "Type": "AWS::S3::Bucket",
        **KEPT,
        "Properties": {
            "BucketName": fleet.bucket_name(site.account),
            "PublicAccessBlockConfiguration": dict.fromkeys(blocked, True),
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
            "LifecycleConfiguration": {"Rules": _lifecycle(fleet)},
            "Tags": tags(fleet),
        },
    }


def _lifecycle(fleet: FleetSettings) -> list[Mapping[str, Any]]:
    rules: list[Mapping[str, Any]] = [
        {
            "Id": "unfinished-uploads",
            "Status": "Enabled",
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
        }
    ]
    if fleet.history is not None:
        # Manifests stay: a later job with the same lines shares them.
        days = math.ceil(fleet.history / DAY) + 1
        rules.append(
            {"Id": "old-logs", "Status": "Enabled", "Prefix": "logs/", "ExpirationInDays": days},
        )
    return rules


def _bucket_policy(fleet: FleetSettings, site: Site) -> Mapping[str, Any]:
    arn = f"arn:{site.partition}:s3:::{fleet.bucket_name(site.account)}"
    only_tls = {
        "Sid": "OnlyTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {
        "Type": "AWS::S3::BucketPolicy",
        **KEPT,
        "Properties": {
            "Bucket": {"Ref": BUCKET},
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [only_tls]},
        },
    }


def _log_group(fleet: FleetSettings, name: str, longest: int | None) -> Mapping[str, Any]:
    """Kept for as long as history, but for `longest` days at most. None: no bound."""
    bounds = [days for days in (longest, fleet.history and fleet.history / DAY) if days]
    wanted = next((days for days in RETENTIONS if bounds and days >= min(bounds)), None)
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "LogGroupName": name,
            **({"RetentionInDays": wanted} if wanted else {}),
            "Tags": tags(fleet),
        },
    }
