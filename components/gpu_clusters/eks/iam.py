"""The IAM roles of a cluster: control plane, nodes, and add-ons by EKS Pod Identity."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from gpu_clusters.eks import auto_mode
from gpu_clusters.eks.args import EksClusterArgs
from gpu_clusters.eks.autoscaling import AutoMode
from gpu_clusters.eks.regions import partition

#: EKS user guide, "Amazon EKS node IAM role". The CNI's policy is the nodes' rather than the CNI's own: by Pod Identity
#: it would wait for the agent, which waits for a network (terraform-aws-modules/terraform-aws-eks issue 3260). The last
#: one is for Session Manager, in place of SSH.
_NODE_POLICIES: Final = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKS_CNI_Policy",
    "AmazonSSMManagedInstanceCore",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRoles:
    """The roles of a cluster.

    Attributes:
        cluster: the control plane's.
        node: the nodes'.
        ready: the policies of both; without them neither comes up.
    """

    cluster: aws.iam.Role
    node: aws.iam.Role
    ready: Sequence[pulumi.Resource]


def cluster_roles(
    name: str, args: EksClusterArgs, tags: Mapping[str, str], opts: pulumi.ResourceOptions
) -> ClusterRoles:
    """The roles of control plane and nodes."""
    is_auto = isinstance(args.node_management, AutoMode)
    cluster = role(f"{name}-cluster", "eks.amazonaws.com", ("sts:AssumeRole", "sts:TagSession"), tags, opts)
    node = role(f"{name}-node", "ec2.amazonaws.com", ("sts:AssumeRole",), tags, opts)
    cluster_policies = ("AmazonEKSClusterPolicy", *(auto_mode.CLUSTER_POLICIES if is_auto else ()))
    node_policies = auto_mode.NODE_POLICIES if is_auto else _NODE_POLICIES
    ready = [
        *(attach(f"{name}-cluster", cluster, policy, args.region, opts) for policy in cluster_policies),
        *(attach(f"{name}-node", node, policy, args.region, opts) for policy in node_policies),
    ]
    return ClusterRoles(cluster=cluster, node=node, ready=ready)


def role(
    logical: str, service: str, actions: Sequence[str], tags: Mapping[str, str], opts: pulumi.ResourceOptions
) -> aws.iam.Role:
    """A role that an AWS service may take."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": list(actions)}],
    }
    return aws.iam.Role(logical, assume_role_policy=json.dumps(trust), tags={**tags, "Name": logical}, opts=opts)


def pod_role(logical: str, tags: Mapping[str, str], opts: pulumi.ResourceOptions) -> aws.iam.Role:
    """A role that pods get by EKS Pod Identity (EKS user guide, "Learn how EKS Pod Identity grants pods access")."""
    return role(logical, "pods.eks.amazonaws.com", ("sts:AssumeRole", "sts:TagSession"), tags, opts)


def attach(
    logical: str, to: aws.iam.Role, policy: str, region: str, opts: pulumi.ResourceOptions
) -> aws.iam.RolePolicyAttachment:
    """Give a role one of AWS's own policies, by its name with its path."""
    return aws.iam.RolePolicyAttachment(
        f"{logical}-{policy.rpartition('/')[2]}",
        role=to.name,
        policy_arn=f"arn:{partition(region)}:iam::aws:policy/{policy}",
        opts=opts,
    )
