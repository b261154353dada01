"""What Karpenter may do at AWS, and how it hears of interruptions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import pulumi
import pulumi_aws as aws

from gpu_clusters.eks.context import NodeContext
from gpu_clusters.eks.karpenter_policies import Known, controller_policies

#: Where the chart puts the controller, and its service account.
NAMESPACE: Final = "kube-system"
SERVICE_ACCOUNT: Final = "karpenter"

#: The managed policies of a node (EKS user guide, "Amazon EKS node IAM role"); the last one is for Session Manager, in
#: place of SSH.
_NODE_POLICIES: Final = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKS_CNI_Policy",
    "AmazonSSMManagedInstanceCore",
)
#: What Karpenter wants to hear of (Karpenter, getting started, cloudformation.yaml).
_EVENTS: Final[Mapping[str, tuple[str, str]]] = {
    "health": ("aws.health", "AWS Health Event"),
    "spot": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "state": ("aws.ec2", "EC2 Instance State-change Notification"),
    "reservation": ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"),
}

Tags: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KarpenterAccess:
    """What Karpenter's chart and node classes need of AWS.

    Attributes:
        node_role: of the nodes that it makes.
        queue: of interruptions.
        ready: what must be there before the controller starts.
    """

    node_role: aws.iam.Role
    queue: aws.sqs.Queue
    ready: Sequence[pulumi.Resource]


def karpenter_access(name: str, context: NodeContext, tags: Tags, opts: pulumi.ResourceOptions) -> KarpenterAccess:
    """The roles of controller and nodes, and the queue of interruptions."""
    node_role, entry = _node_role(name, context, tags, opts)
    queue, rules = _interruptions(name, tags, opts)
    controller = _controller(name, context, node_role, queue, tags, opts)
    return KarpenterAccess(node_role=node_role, queue=queue, ready=(entry, *rules, *controller))


def _node_role(
    name: str, context: NodeContext, tags: Tags, opts: pulumi.ResourceOptions
) -> tuple[aws.iam.Role, pulumi.Resource]:
    """A role of its own: a managed group's role loses its access with the last group that has it."""
    role = aws.iam.Role(
        f"{name}-node", assume_role_policy=_trust("ec2.amazonaws.com", "sts:AssumeRole"), tags=tags, opts=opts
    )
    attached = [
        aws.iam.RolePolicyAttachment(
            f"{name}-node-{policy}",
            role=role.name,
            policy_arn=_partition(context).apply(lambda known, policy=policy: f"arn:{known}:iam::aws:policy/{policy}"),
            opts=opts,
        )
        for policy in _NODE_POLICIES
    ]
    entry = aws.eks.AccessEntry(
        f"{name}-node",
        cluster_name=context.cluster.name,
        principal_arn=role.arn,
        type="EC2_LINUX",
        tags=tags,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=attached)),
    )
    return role, entry


def _interruptions(
    name: str, tags: Tags, opts: pulumi.ResourceOptions
) -> tuple[aws.sqs.Queue, Sequence[pulumi.Resource]]:
    queue = aws.sqs.Queue(
        f"{name}-interruptions", message_retention_seconds=300, sqs_managed_sse_enabled=True, tags=tags, opts=opts
    )
    allowed = aws.sqs.QueuePolicy(
        f"{name}-interruptions", queue_url=queue.url, policy=queue.arn.apply(_queue_policy), opts=opts
    )
    targets: list[pulumi.Resource] = [allowed]
    for event, (source, detail) in _EVENTS.items():
        rule = aws.cloudwatch.EventRule(
            f"{name}-{event}",
            description=f"{detail}, for Karpenter",
            event_pattern=json.dumps({"source": [source], "detail-type": [detail]}),
            tags=tags,
            opts=opts,
        )
        targets.append(aws.cloudwatch.EventTarget(f"{name}-{event}", rule=rule.name, arn=queue.arn, opts=opts))
    return queue, targets


def _controller(
    name: str,
    context: NodeContext,
    node_role: aws.iam.Role,
    queue: aws.sqs.Queue,
    tags: Tags,
    opts: pulumi.ResourceOptions,
) -> Sequence[pulumi.Resource]:
    role = aws.iam.Role(
        f"{name}-controller",
        assume_role_policy=_trust("pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession"),
        tags=tags,
        opts=opts,
    )
    known = pulumi.Output.all(context.cluster.arn, node_role.arn, queue.arn).apply(
        lambda arns: controller_policies(
            Known(
                cluster_arn=arns[0],
                cluster_name=context.cluster_name,
                region=context.region,
                node_role_arn=arns[1],
                queue_arn=arns[2],
            )
        )
    )
    ready: list[pulumi.Resource] = []
    for part in ("instances", "profiles", "discovery", "cluster"):
        policy = aws.iam.Policy(
            f"{name}-{part}",
            description=f"Karpenter of {context.cluster_name}: {part}",
            policy=known.apply(lambda policies, part=part: json.dumps(policies[part])),
            tags=tags,
            opts=opts,
        )
        ready.append(aws.iam.RolePolicyAttachment(f"{name}-{part}", role=role.name, policy_arn=policy.arn, opts=opts))
    ready.append(
        aws.eks.PodIdentityAssociation(
            f"{name}-controller",
            cluster_name=context.cluster.name,
            namespace=NAMESPACE,
            service_account=SERVICE_ACCOUNT,
            role_arn=role.arn,
            tags=tags,
            opts=opts,
        )
    )
    return ready


def _partition(context: NodeContext) -> pulumi.Output[str]:
    return context.cluster.arn.apply(lambda arn: arn.split(":")[1])


def _trust(service: str, *actions: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": list(actions)}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _queue_policy(arn: str) -> str:
    senders = {"Service": ["events.amazonaws.com", "sqs.amazonaws.com"]}
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": senders, "Action": "sqs:SendMessage", "Resource": arn},
                {
                    "Sid": "DenyHTTP",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "sqs:*",
                    "Resource": arn,
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
            ],
        }
    )
