"""The IAM policies of Karpenter's controller, as the documentation of its release scopes them.  No Pulumi.

Source: aws/karpenter-provider-aws, website, "Getting Started with Karpenter", cloudformation.yaml (1.14;
`pkg/aws/sdk.go` of 1.15.1 calls nothing more of EC2 but RebootInstances, for an alpha feature). Its part on zonal shift
is left out: like that feature, it isn't switched on here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Conditions: TypeAlias = Mapping[str, Mapping[str, str | Sequence[str]]]
Statement: TypeAlias = Mapping[str, str | Sequence[str] | Conditions]

_NODE_POOL: Final = "karpenter.sh/nodepool"
_NODE_CLASS: Final = "karpenter.k8s.aws/ec2nodeclass"
_REGION: Final = "topology.kubernetes.io/region"
_CLUSTER_NAME: Final = "eks:eks-cluster-name"
#: What a launch brings into being.
_LAUNCHED: Final = ("fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request")
_READS: Final = (
    "CapacityReservations",
    "Images",
    "Instances",
    "InstanceStatus",
    "InstanceTypeOfferings",
    "InstanceTypes",
    "LaunchTemplates",
    "PlacementGroups",
    "SecurityGroups",
    "SpotPriceHistory",
    "Subnets",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the policies are scoped by.

    Attributes:
        cluster_arn: it also has partition and account.
        cluster_name, region: the cluster's.
        node_role_arn: the role that Karpenter's nodes get.
        queue_arn: the queue of interruptions.
    """

    cluster_arn: str
    cluster_name: str
    region: str
    node_role_arn: str
    queue_arn: str

    @property
    def owned(self) -> str:
        """The tag by which Karpenter knows what belongs to the cluster."""
        return f"kubernetes.io/cluster/{self.cluster_name}"

    def ec2(self, kind: str, account: str = "*") -> str:
        """The ARN of all of one kind at EC2; images and snapshots belong to no account."""
        return f"arn:{self.cluster_arn.split(':')[1]}:ec2:{self.region}:{account}:{kind}/*"

    @property
    def profiles(self) -> str:
        """The ARN of all instance profiles of the account."""
        _, partition, _, _, account, _ = self.cluster_arn.split(":", 5)
        return f"arn:{partition}:iam::{account}:instance-profile/*"


def controller_policies(known: Known) -> dict[str, dict[str, object]]:
    """The policies by what they are for; several, since IAM takes 6,144 characters for one."""
    parts = {
        "instances": _instances(known),
        "profiles": _profiles(known),
        "discovery": _discovery(known),
        "cluster": _cluster(known),
    }
    return {name: {"Version": "2012-10-17", "Statement": list(statements)} for name, statements in parts.items()}


def _instances(known: Known) -> Sequence[Statement]:
    """Start machines only for this cluster, and touch only machines of it."""
    shared = ("security-group", "subnet", "capacity-reservation", "placement-group")
    requested = {f"aws:RequestTag/{known.owned}": "owned", f"aws:RequestTag/{_CLUSTER_NAME}": known.cluster_name}
    ours = {f"aws:ResourceTag/{known.owned}": "owned"}
    pool_of_ours = {f"aws:ResourceTag/{_NODE_POOL}": "*"}
    pool_requested = {f"aws:RequestTag/{_NODE_POOL}": "*"}
    launched = [known.ec2(kind) for kind in _LAUNCHED]
    start = ("ec2:RunInstances", "ec2:CreateFleet")
    created = {"ec2:CreateAction": ["RunInstances", "CreateFleet", "CreateLaunchTemplate"]}
    return (
        _allow(start, [known.ec2("image", ""), known.ec2("snapshot", ""), *(known.ec2(kind) for kind in shared)]),
        _allow(start, [known.ec2("launch-template")], {"StringEquals": ours, "StringLike": pool_of_ours}),
        _allow(
            (*start, "ec2:CreateLaunchTemplate"),
            launched,
            {"StringEquals": requested, "StringLike": pool_requested},
        ),
        _allow(["ec2:CreateTags"], launched, {"StringEquals": {**requested, **created}, "StringLike": pool_requested}),
        _allow(
            ["ec2:CreateTags"],
            [known.ec2("instance")],
            {
                "StringEquals": ours,
                "StringLike": pool_of_ours,
                "StringEqualsIfExists": {f"aws:RequestTag/{_CLUSTER_NAME}": known.cluster_name},
                "ForAllValues:StringEquals": {"aws:TagKeys": [_CLUSTER_NAME, "karpenter.sh/nodeclaim", "Name"]},
            },
        ),
        _allow(
            ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
            [known.ec2("instance"), known.ec2("launch-template")],
            {"StringEquals": ours, "StringLike": pool_of_ours},
        ),
    )


def _profiles(known: Known) -> Sequence[Statement]:
    """Make instance profiles for the nodes' role, and pass that role alone."""
    requested = {
        f"aws:RequestTag/{known.owned}": "owned",
        f"aws:RequestTag/{_CLUSTER_NAME}": known.cluster_name,
        f"aws:RequestTag/{_REGION}": known.region,
    }
    ours = {f"aws:ResourceTag/{known.owned}": "owned", f"aws:ResourceTag/{_REGION}": known.region}
    class_requested = {f"aws:RequestTag/{_NODE_CLASS}": "*"}
    class_of_ours = {f"aws:ResourceTag/{_NODE_CLASS}": "*"}
    changes = ("iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile")
    services = ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"]
    return (
        _allow(["iam:PassRole"], [known.node_role_arn], {"StringEquals": {"iam:PassedToService": services}}),
        _allow(
            ["iam:CreateInstanceProfile"], [known.profiles], {"StringEquals": requested, "StringLike": class_requested}
        ),
        _allow(
            ["iam:TagInstanceProfile"],
            [known.profiles],
            {"StringEquals": {**ours, **requested}, "StringLike": {**class_of_ours, **class_requested}},
        ),
        _allow(changes, [known.profiles], {"StringEquals": ours, "StringLike": class_of_ours}),
    )


def _discovery(known: Known) -> Sequence[Statement]:
    partition = known.cluster_arn.split(":")[1]
    images = f"arn:{partition}:ssm:{known.region}::parameter/aws/service/*"
    return (
        _allow(
            [f"ec2:Describe{item}" for item in _READS], ["*"], {"StringEquals": {"aws:RequestedRegion": known.region}}
        ),
        _allow(["ssm:GetParameter"], [images]),
        _allow(["pricing:GetProducts"], ["*"]),
        _allow(["iam:ListInstanceProfiles"], ["*"]),
        _allow(["iam:GetInstanceProfile"], [known.profiles]),
    )


def _cluster(known: Known) -> Sequence[Statement]:
    return (
        _allow(["eks:DescribeCluster"], [known.cluster_arn]),
        _allow(["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"], [known.queue_arn]),
    )


def _allow(actions: Sequence[str], resources: Sequence[str], conditions: Conditions | None = None) -> Statement:
    statement: Statement = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return {**statement, "Condition": conditions} if conditions else statement
