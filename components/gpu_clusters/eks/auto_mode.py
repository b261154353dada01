"""EKS Auto Mode: what the cluster must say to have it, and a NodePool with a NodeClass for each GPU pool.

Sources: EKS user guide, "Automate cluster infrastructure with EKS Auto Mode", "Create a Node Class for Amazon EKS",
"Create a Node Pool for EKS Auto Mode", "Amazon EKS Auto Mode cluster IAM role", "Amazon EKS Auto Mode node IAM role",
"Control deployment of workloads into Capacity Reservations with EKS Auto Mode".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from gpu_clusters.eks.autoscaling import AutoMode
from gpu_clusters.eks.context import NodeContext
from gpu_clusters.eks.management_findings import report_management_findings
from gpu_clusters.eks.node_pools import node_pool_spec
from gpu_clusters.eks.nodes import efa_group, pool_tags
from gpu_clusters.eks.pool_facts import pool_zones, uses_efa
from gpu_clusters.eks.pools import EksGpuPool
from gpu_clusters.pools import CapacityBlock, Reservation

#: What the cluster's role needs beside AmazonEKSClusterPolicy; it must also allow `sts:TagSession`.
CLUSTER_POLICIES: Final = (
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)
#: What the nodes' role needs, in place of what other nodes' role has.
NODE_POLICIES: Final = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")
#: The access policy of the nodes' role.
NODE_ACCESS_POLICY: Final = "arn:{partition}:eks::aws:cluster-access-policy/AmazonEKSAutoNodePolicy"


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoModeCluster:
    """What a cluster with Auto Mode says of itself; EKS takes all three or none.

    Attributes:
        compute: which of AWS's own pools there are, and the role of their nodes.
        storage: EBS volumes.
        load_balancing: the part `elastic_load_balancing` of the cluster's `kubernetes_network_config`.
    """

    compute: aws.eks.ClusterComputeConfigArgs
    storage: aws.eks.ClusterStorageConfigArgs
    load_balancing: aws.eks.ClusterKubernetesNetworkConfigElasticLoadBalancingArgs


def cluster_settings(settings: AutoMode, node_role_arn: pulumi.Input[str]) -> AutoModeCluster:
    """The settings of a cluster with Auto Mode.

    Args:
        node_role_arn: the role of the nodes; EKS gives it access to the cluster if there are built-in pools.
    """
    has_pools = bool(settings.built_in_pools)
    return AutoModeCluster(
        compute=aws.eks.ClusterComputeConfigArgs(
            enabled=True,
            node_pools=list(settings.built_in_pools) or None,
            # EKS takes a role together with pools only (terraform-aws-modules/terraform-aws-eks, compute_config).
            node_role_arn=node_role_arn if has_pools else None,
        ),
        storage=aws.eks.ClusterStorageConfigArgs(
            block_storage=aws.eks.ClusterStorageConfigBlockStorageArgs(enabled=True)
        ),
        load_balancing=aws.eks.ClusterKubernetesNetworkConfigElasticLoadBalancingArgs(enabled=True),
    )


class AutoModePools(pulumi.ComponentResource):
    """GPU pools whose nodes EKS Auto Mode makes: a NodePool and a NodeClass of its name for each.

    It installs no device plugin: the nodes bring NVIDIA's, and EFA's as `EfaPlugin` says.

    Args:
        settings: how Auto Mode treats nodes.
        pools: the GPU pools; `management_problems` has found nothing wrong with them.
        context: the cluster; its node role has `NODE_POLICIES`.
        kubernetes: a provider for the cluster.

    Attributes:
        ready: what workloads wait for.
    """

    ready: Sequence[pulumi.Resource]

    def __init__(
        self,
        name: str,
        settings: AutoMode,
        pools: Sequence[EksGpuPool],
        *,
        context: NodeContext,
        kubernetes: k8s.Provider,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("gpu-clusters:eks:AutoModePools", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        zones = tuple(context.subnet_ids)
        report_management_findings(self, settings, pools, zones)
        fabric_group = efa_group(name, context, child) if any(uses_efa(pool, zones) for pool in pools) else None
        access = () if settings.built_in_pools else _node_access(name, context, child)
        after = [*context.before_nodes, *access, *(fabric_group.rules if fabric_group else ())]
        ready: list[pulumi.Resource] = []
        for pool in pools:
            group = fabric_group.group if fabric_group and uses_efa(pool, zones) else None
            node_class = k8s.apiextensions.CustomResource(
                f"{name}-{pool.name}-class",
                api_version="eks.amazonaws.com/v1",
                kind="NodeClass",
                metadata=k8s.meta.v1.ObjectMetaArgs(name=pool.name),
                spec=node_class_spec(pool, context, efa_group=group),
                opts=pulumi.ResourceOptions(parent=self, provider=kubernetes, depends_on=after),
            )
            node_pool = k8s.apiextensions.CustomResource(
                f"{name}-{pool.name}-pool",
                api_version="karpenter.sh/v1",
                kind="NodePool",
                metadata=k8s.meta.v1.ObjectMetaArgs(name=pool.name),
                spec=node_pool_spec(pool, settings, group="eks.amazonaws.com", kind="NodeClass"),
                opts=pulumi.ResourceOptions(parent=self, provider=kubernetes, depends_on=[node_class]),
            )
            ready += [node_class, node_pool]
        self.ready = ready
        self.register_outputs({})


def node_class_spec(
    pool: EksGpuPool, context: NodeContext, *, efa_group: aws.ec2.SecurityGroup | None = None
) -> dict[str, object]:
    """The `spec` of the NodeClass of a GPU pool. Subnets and security groups are named by id: nothing is discovered.

    Auto Mode gives a node EFA where a pod asks for it, and makes a volume of NVMe disks by itself.
    """
    groups = [context.cluster_security_group_id, *([efa_group.id] if efa_group else [])]
    storage: dict[str, object] = {"size": f"{pool.disk_gib}Gi"}
    if pool.disk_iops is not None:
        storage["iops"] = pool.disk_iops
    if pool.disk_throughput_mib_s is not None:
        storage["throughput"] = pool.disk_throughput_mib_s
    spec: dict[str, object] = {
        "role": context.node_role.name,
        "subnetSelectorTerms": [
            {"id": context.subnet_ids[zone]} for zone in pool_zones(pool, tuple(context.subnet_ids))
        ],
        "securityGroupSelectorTerms": [{"id": group} for group in groups],
        "ephemeralStorage": storage,
        "tags": pool_tags(pool.name, pool.tags, context),
    }
    if isinstance(pool.capacity, (Reservation, CapacityBlock)):
        spec["capacityReservationSelectorTerms"] = [{"id": pool.capacity.id}]
    return spec


def _node_access(name: str, context: NodeContext, opts: pulumi.ResourceOptions) -> Sequence[pulumi.Resource]:
    """The nodes' access, which EKS gives by itself only where there are built-in pools."""
    entry = aws.eks.AccessEntry(
        f"{name}-node",
        cluster_name=context.cluster.name,
        principal_arn=context.node_role.arn,
        type="EC2",
        tags=dict(context.tags),
        opts=opts,
    )
    policy = aws.eks.AccessPolicyAssociation(
        f"{name}-node",
        cluster_name=context.cluster.name,
        principal_arn=context.node_role.arn,
        policy_arn=context.cluster.arn.apply(lambda arn: NODE_ACCESS_POLICY.format(partition=arn.split(":")[1])),
        access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[entry])),
    )
    return [entry, policy]
