"""Who may do what with Amazon EMR's clusters."""

from __future__ import annotations

from collections.abc import Sequence

from controller.deployment.names import TAG
from controller.deployment.statements import Statement, allow
from runner.emr_settings import EmrSettings

LOOK = (
    "elasticmapreduce:DescribeCluster",
    "elasticmapreduce:ListSteps",
    "elasticmapreduce:ListInstanceGroups",
    "elasticmapreduce:ListInstances",
)
STEPS = ("elasticmapreduce:AddJobFlowSteps", "elasticmapreduce:CancelSteps")


def emr_user(emr: EmrSettings, partition: str, account: str) -> Sequence[Statement]:
    """To look. Jobs may name clusters that are anybody's."""
    return [
        allow("EmrList", ("elasticmapreduce:ListClusters",), ["*"]),
        allow("EmrLook", LOOK, [_clusters(emr, partition, account)]),
    ]


def emr_controller(emr: EmrSettings, partition: str, account: str) -> Sequence[Statement]:
    """To start clusters that are tagged as the fleet's, to end those, and to give any of them steps."""
    clusters = [_clusters(emr, partition, account)]
    requested = {f"elasticmapreduce:RequestTag/{TAG}": emr.name}
    role = f"arn:{partition}:iam::{account}:role"
    ec2 = "ec2.amazonaws.com.cn" if partition == "aws-cn" else "ec2.amazonaws.com"
    return [
        allow("EmrStart", ("elasticmapreduce:RunJobFlow",), ["*"], requested),
        allow("EmrTag", ("elasticmapreduce:AddTags",), clusters, requested),
        allow(
            "EmrEnd",
            ("elasticmapreduce:TerminateJobFlows",),
            clusters,
            {f"elasticmapreduce:ResourceTag/{TAG}": emr.name},
        ),
        allow("EmrSteps", STEPS, clusters),
        allow(
            "EmrServiceRole",
            ("iam:PassRole",),
            _roles(role, emr.service_role),
            {"iam:PassedToService": "elasticmapreduce.amazonaws.com"},
        ),
        # The role in the profile: EMR's own tools name it like the profile.
        allow(
            "EmrMachineRole",
            ("iam:PassRole",),
            _roles(role, emr.instance_profile),
            {"iam:PassedToService": ec2},
        ),
        *emr_user(emr, partition, account),
    ]


def _roles(beginning: str, name: str) -> Sequence[str]:
    """With the path that EMR's own tools give them today, and without."""
    return [f"{beginning}/{name}", f"{beginning}/service-role/{name}"]


def _clusters(emr: EmrSettings, partition: str, account: str) -> str:
    return f"arn:{partition}:elasticmapreduce:{emr.region}:{account}:cluster/*"
