"""Karpenter on EKS: its permissions, its release, and a NodePool with an EC2NodeClass for each GPU pool."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from gpu_clusters import data
from gpu_clusters.eks.autoscaling import Karpenter
from gpu_clusters.eks.context import NodeContext
from gpu_clusters.eks.karpenter_iam import NAMESPACE, SERVICE_ACCOUNT, KarpenterAccess, karpenter_access
from gpu_clusters.eks.management_findings import report_management_findings
from gpu_clusters.eks.node_pools import node_pool_spec
from gpu_clusters.eks.nodes import CLUSTER_TAG, efa_group, pool_tags
from gpu_clusters.eks.pool_facts import ami_family, fabric, local_nvme_gb, pool_zones, uses_efa
from gpu_clusters.eks.pools import EksGpuPool
from gpu_clusters.eks.userdata import user_data
from gpu_clusters.pools import CapacityBlock, Reservation

_FAMILIES: Final = {"al2023": "AL2023", "bottlerocket": "Bottlerocket"}
#: What Karpenter's documentation gives its controller (getting started, "Install Karpenter").
_RESOURCES: Final = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


class KarpenterPools(pulumi.ComponentResource):
    """GPU pools whose nodes Karpenter makes for pods that wait.

    It makes the controller's role (by EKS Pod Identity) with the permissions that Karpenter's documentation asks for,
    the nodes' role, the queue by which Karpenter hears of interruptions, the releases `karpenter-crd` and `karpenter`
    in `kube-system`, and for each pool a NodePool and an EC2NodeClass of its name. The controller runs on nodes that it
    hasn't made itself: the system pool's.

    Args:
        settings: how Karpenter treats nodes.
        pools: the GPU pools; `management_problems` has found nothing wrong with them.
        context: the cluster.
        kubernetes: a provider for the cluster.
        system: what the controller needs to run, e.g. the system pool's nodes.

    Attributes:
        ready: what workloads wait for.
    """

    ready: Sequence[pulumi.Resource]

    def __init__(
        self,
        name: str,
        settings: Karpenter,
        pools: Sequence[EksGpuPool],
        *,
        context: NodeContext,
        kubernetes: k8s.Provider,
        system: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("gpu-clusters:eks:KarpenterPools", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        tags = {**context.tags, CLUSTER_TAG: context.cluster_name}
        access = karpenter_access(name, context, tags, child)
        release = _releases(name, settings, context, access, kubernetes, system, child)
        zones = tuple(context.subnet_ids)
        report_management_findings(self, settings, pools, zones)
        fabric_group = efa_group(name, context, child) if any(uses_efa(pool, zones) for pool in pools) else None
        after = [release, *(fabric_group.rules if fabric_group else ())]
        on_cluster = pulumi.ResourceOptions(parent=self, provider=kubernetes, depends_on=after)
        ready: list[pulumi.Resource] = []
        for pool in pools:
            logical = f"{name}-{pool.name}"
            group = fabric_group.group if fabric_group and uses_efa(pool, zones) else None
            placement = _placement_group(logical, pool, context, child)
            spec = node_class_spec(
                pool, context, role=access.node_role.name, efa_group=group, placement_group=placement
            )
            node_class = _object(logical, "karpenter.k8s.aws/v1", "EC2NodeClass", pool.name, spec, on_cluster)
            pool_spec = node_pool_spec(pool, settings, group="karpenter.k8s.aws", kind="EC2NodeClass")
            after_class = pulumi.ResourceOptions(parent=self, provider=kubernetes, depends_on=[node_class])
            ready += [node_class, _object(logical, "karpenter.sh/v1", "NodePool", pool.name, pool_spec, after_class)]
        self.ready = ready
        self.register_outputs({})


def node_class_spec(
    pool: EksGpuPool,
    context: NodeContext,
    *,
    role: pulumi.Input[str],
    efa_group: aws.ec2.SecurityGroup | None = None,
    placement_group: aws.ec2.PlacementGroup | None = None,
) -> dict[str, object]:
    """The `spec` of the EC2NodeClass of a GPU pool. Subnets and security groups are named by id: nothing is discovered.

    Args:
        role: the name of the nodes' role.
        efa_group: the security group of EFA traffic; with it, nodes get all EFA interfaces of their machine.
        placement_group: where the nodes are close together.
    """
    zones = pool_zones(pool, tuple(context.subnet_ids))
    groups = [context.cluster_security_group_id, *([efa_group.id] if efa_group else [])]
    spec: dict[str, object] = {
        "role": role,
        "amiFamily": _FAMILIES[ami_family(pool)],
        "amiSelectorTerms": [{"id": pool.ami_id} if pool.ami_id else {"alias": ami_alias(pool)}],
        "subnetSelectorTerms": [{"id": context.subnet_ids[zone]} for zone in zones],
        "securityGroupSelectorTerms": [{"id": group} for group in groups],
        "associatePublicIPAddress": False,
        "metadataOptions": {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": pool.imds_hop_limit,
        },
        "blockDeviceMappings": [_disk(pool)],
        "tags": pool_tags(pool.name, pool.tags, context),
    }
    if isinstance(pool.capacity, (Reservation, CapacityBlock)):
        spec["capacityReservationSelectorTerms"] = [{"id": pool.capacity.id}]
    if local_nvme_gb(pool):
        spec["instanceStorePolicy"] = "RAID0"
    if pool.max_pods is not None:
        spec["kubelet"] = {"maxPods": pool.max_pods}
    if efa_group is not None:
        spec["networkInterfaces"] = [
            {"networkCardIndex": item.card, "deviceIndex": item.device, "interfaceType": item.kind}
            for item in fabric(pool)
        ]
    if placement_group is not None:
        spec["placementGroupSelector"] = {"name": placement_group.name}
    if text := _user_data(pool):
        spec["userData"] = text
    return spec


def ami_alias(pool: EksGpuPool) -> str:
    """How Karpenter finds EKS's image: `al2023@v20260801`; `latest` where the pool names no release.

    EKS calls releases `1.35.2-20260801` (AL2023) and `1.54.0-5043decc` (Bottlerocket); Karpenter wants the date, or the
    version (Karpenter, "NodeClasses", spec.amiSelectorTerms).
    """
    if pool.release_version is None:
        return f"{ami_family(pool)}@latest"
    version, _, rest = pool.release_version.partition("-")
    return f"al2023@v{rest}" if ami_family(pool) == "al2023" else f"bottlerocket@v{version}"


def chart(name: str) -> Mapping[str, str]:
    """A chart of `data/charts.csv`: its `repository` and pinned `version`, with their source."""
    return next(row for row in data.rows("charts") if row["name"] == name)


def _releases(
    name: str,
    settings: Karpenter,
    context: NodeContext,
    access: KarpenterAccess,
    kubernetes: k8s.Provider,
    system: Sequence[pulumi.Resource],
    opts: pulumi.ResourceOptions,
) -> k8s.helm.v3.Release:
    definitions = k8s.helm.v3.Release(
        f"{name}-crd",
        name="karpenter-crd",
        namespace=NAMESPACE,
        chart=chart("karpenter-crd")["repository"],
        version=settings.chart_version or chart("karpenter-crd")["version"],
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(provider=kubernetes)),
    )
    after = [definitions, *access.ready, *system]
    return k8s.helm.v3.Release(
        f"{name}-controller",
        name="karpenter",
        namespace=NAMESPACE,
        chart=chart("karpenter")["repository"],
        version=settings.chart_version or chart("karpenter")["version"],
        # Helm never upgrades the definitions that a chart brings along; the other chart does.
        skip_crds=True,
        values={
            "serviceAccount": {"name": SERVICE_ACCOUNT},
            "settings": {
                "clusterName": context.cluster_name,
                "interruptionQueue": access.queue.name,
                "featureGates": {"nodeRepair": settings.node_repair},
            },
            "controller": {"resources": _RESOURCES, "env": [{"name": "AWS_REGION", "value": context.region}]},
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(provider=kubernetes, depends_on=after)),
    )


def _object(
    logical: str, api_version: str, kind: str, name: str, spec: Mapping[str, object], opts: pulumi.ResourceOptions
) -> k8s.apiextensions.CustomResource:
    return k8s.apiextensions.CustomResource(
        f"{logical}-{'class' if kind.endswith('NodeClass') else 'pool'}",
        api_version=api_version,
        kind=kind,
        metadata=k8s.meta.v1.ObjectMetaArgs(name=name),
        spec=spec,
        opts=opts,
    )


def _placement_group(
    logical: str, pool: EksGpuPool, context: NodeContext, opts: pulumi.ResourceOptions
) -> aws.ec2.PlacementGroup | None:
    if not pool.placement_group:
        return None
    return aws.ec2.PlacementGroup(logical, strategy="cluster", tags=pool_tags(pool.name, pool.tags, context), opts=opts)


def _disk(pool: EksGpuPool) -> dict[str, object]:
    """AL2023's root, or Bottlerocket's second volume, where it keeps images and pods."""
    ebs: dict[str, object] = {
        "volumeSize": f"{pool.disk_gib}Gi",
        "volumeType": "gp3",
        "encrypted": True,
        "deleteOnTermination": True,
    }
    if pool.disk_iops is not None:
        ebs["iops"] = pool.disk_iops
    if pool.disk_throughput_mib_s is not None:
        ebs["throughput"] = pool.disk_throughput_mib_s
    return {"deviceName": "/dev/xvda" if ami_family(pool) == "al2023" else "/dev/xvdb", "ebs": ebs}


def _user_data(pool: EksGpuPool) -> str | None:
    """What Karpenter merges with its own: all but what the node class says, so that Karpenter can count with it."""
    encoded = user_data(dataclasses.replace(pool, local_nvme="none", max_pods=None))
    return base64.b64decode(encoded).decode() if encoded else None
