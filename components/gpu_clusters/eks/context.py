"""What everything that runs nodes needs to know of the cluster that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeContext:
    """A cluster as its nodes see it.

    Attributes:
        cluster: the control plane.
        cluster_name: its name at AWS, known in a preview.
        kubernetes_version: `1.35`.
        region: e.g. `us-west-2`.
        node_role: the IAM role of the nodes.
        cluster_security_group_id: the security group that EKS makes for control plane and nodes.
        vpc_id: where the nodes are.
        subnet_ids: the private subnet of each zone by zone id (`usw2-az1`), in the order of the cluster's `zones`.
        tags: on every resource.
        before_nodes: what must be there before the first node joins: add-ons of the network, access of the nodes.
    """

    cluster: aws.eks.Cluster
    cluster_name: str
    kubernetes_version: str
    region: str
    node_role: aws.iam.Role
    cluster_security_group_id: pulumi.Output[str]
    vpc_id: pulumi.Input[str]
    subnet_ids: Mapping[str, pulumi.Input[str]]
    tags: Mapping[str, str]
    before_nodes: Sequence[pulumi.Resource]
