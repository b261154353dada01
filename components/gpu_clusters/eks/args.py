"""The arguments of an EksCluster.  No Pulumi."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final, Literal

from gpu_clusters._spec import duplicate_problems, own_problems, spec, unchecked
from gpu_clusters.cluster import Platform
from gpu_clusters.devices.choice import choice_problems, measured_pools, needs_plugin
from gpu_clusters.eks.access_entries import AccessEntry, PublicEndpoint, access_problems
from gpu_clusters.eks.addresses import address_problems
from gpu_clusters.eks.autoscaling import AutoMode, Karpenter, ManagedNodeGroups, NodeManagement, management_problems
from gpu_clusters.eks.cluster_checks import pool_problems, system_pool_problems
from gpu_clusters.eks.networks import Network, NewNetwork, network_problems
from gpu_clusters.eks.pool_checks import tag_problems
from gpu_clusters.eks.pools import EksGpuPool, EksSystemPool, eks_pool
from gpu_clusters.eks.regions import is_region, zone_prefix
from gpu_clusters.eks.versions import version_problems
from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.images import Images
from gpu_clusters.pools import DevicePlugin, GpuPool, PlatformManaged

#: EKS as a platform. Its AL2023 images bring the driver and no device plugin. NetworkPolicies are enforced because the
#: add-on vpc-cni is told to (EKS user guide, "Limit Pod traffic with Kubernetes network policies"). Of the link-local
#: addresses pods must not reach the metadata service; 169.254.170.23 beside it is EKS Pod Identity's agent.
PLATFORM: Final = Platform(
    name="eks",
    devices=DevicePlugin(),
    supported_devices=(DevicePlugin, PlatformManaged),
    network_policy="enforced",
    metadata_cidrs=("169.254.169.254/32",),
)

#: What EKS logs (EKS user guide, "Send control plane logs to CloudWatch Logs").
LogType = Literal["api", "audit", "authenticator", "controllerManager", "scheduler"]
#: Numbers of days that CloudWatch keeps logs for (CloudWatch Logs API reference, PutRetentionPolicy).
_RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
#: Add-ons in the order in which they are made: those that nodes need to join come before the first node, those that run
#: on nodes as Deployments after the system pool.
BEFORE_NODES: Final = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent")
AFTER_NODES: Final = ("coredns", "aws-ebs-csi-driver", "eks-node-monitoring-agent", "metrics-server")
#: Optional drivers of shared file systems, by the names that `file_systems` uses.
FILE_SYSTEMS: Final[Mapping[str, str]] = {"efs": "aws-efs-csi-driver", "fsx": "aws-fsx-csi-driver"}


@spec
class EksClusterArgs:
    """A Kubernetes cluster on EKS with GPU pools.

    It makes, unless a field says otherwise: a VPC with private subnets for all nodes, an IAM role for the control plane
    and one for the nodes, a control plane with a private endpoint, a KMS key for Kubernetes Secrets, a log group, the
    add-ons vpc-cni (with network policies), kube-proxy, eks-pod-identity-agent, coredns, aws-ebs-csi-driver (with a
    role by Pod Identity), eks-node-monitoring-agent and metrics-server, a system pool without GPUs, and the GPU pools.
    It makes no StorageClass, no ingress and no autoscaler that isn't asked for, and looks nothing up at AWS.

    Args:
        region: e.g. `us-west-2`.
        zones: at least two zone ids of the region, e.g. `usw2-az1`: the control plane needs two. Ids rather than names,
            since a name such as `us-west-2a` is another zone in every account.
        kubernetes_version: e.g. `1.35`. It has no default: an upgrade is your decision, one minor version at a time.
        access: who may use the cluster's API, at least the role that runs Pulumi, as `clusterAdmin`. EKS gives the
            creator nothing by itself, since who created a cluster can't be seen nor changed later.
        gpu_pools: the GPU pools, `GpuPool` or, with EKS's overrides, `EksGpuPool`.
        system_pool: the nodes for DNS, drivers and controllers, without taints. EKS Auto Mode has its own instead.
        node_management: who makes GPU nodes: `ManagedNodeGroups()` (the default), `Karpenter()` or `AutoMode()`.
        network: `NewNetwork()` (the default) or `ExistingNetwork(...)`.
        public_endpoint: reach the API server from the internet too. Default none: only from the VPC and what is
            connected to it, so Pulumi must run there.
        kms_key_arn: the KMS key that encrypts Secrets. Default none: a key of the cluster's own, rotated yearly. It
            can't be changed later.
        logs: the control plane's logs. Default all five: the audit log in particular can't be had afterwards.
        log_retention_days: how long CloudWatch keeps them. Default 90: CloudWatch's own is for ever, paid for monthly.
        deletion_protection: EKS and Pulumi refuse to delete the cluster until it is off. Default true.
        upgrade_policy: at the end of a version's standard support, 14 months after its release: `standard` (the
            default) has AWS upgrade the cluster; `extended` keeps the version for 12 more months at a higher price per
            hour (EKS user guide, "Understand the Kubernetes version lifecycle on EKS").
        add_on_versions: versions of add-ons by name, e.g. `coredns: v1.14.2-eksbuild.4`. Default: those of
            `data/eks_addons.csv`; where it has none, EKS's default, and a finding says so.
        file_systems: also install the drivers of `efs` or `fsx`, each with a role by Pod Identity. Default none.
        images: where the library's own images come from. EKS's add-ons come from AWS's registry of the region.
        tags: AWS tags on every resource, for cost allocation; each also has `gpu-clusters.dev/cluster`, and those of a
            pool `gpu-clusters.dev/pool`.
    """

    region: str
    zones: Sequence[str]
    kubernetes_version: str
    access: Sequence[AccessEntry]
    gpu_pools: Sequence[GpuPool] = ()
    system_pool: EksSystemPool = field(default_factory=EksSystemPool)
    node_management: NodeManagement = ManagedNodeGroups()
    network: Network = NewNetwork()
    public_endpoint: PublicEndpoint | None = None
    kms_key_arn: str | None = None
    logs: Sequence[LogType] = ("api", "audit", "authenticator", "controllerManager", "scheduler")
    log_retention_days: int = 90
    deletion_protection: bool = True
    upgrade_policy: Literal["standard", "extended"] = "standard"
    add_on_versions: Mapping[str, str] = field(default_factory=dict[str, str])
    file_systems: Sequence[Literal["efs", "fsx"]] = ()
    images: Images = field(default_factory=Images)
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def add_ons(self) -> tuple[str, ...]:
        """The add-ons that the cluster gets, in their order. EKS Auto Mode does the work of most by itself."""
        drivers = tuple(FILE_SYSTEMS[name] for name in dict.fromkeys(self.file_systems))
        if isinstance(self.node_management, AutoMode):
            return (*(("metrics-server",) if self.node_management.built_in_pools else ()), *drivers)
        return (*BEFORE_NODES, *AFTER_NODES, *drivers)

    def _problems(self) -> Iterator[ConfigError]:
        # Each of these is only right to ask for where those before it hold.
        wrong_place = (
            list(_region_problems(self.region))
            or list(_zone_problems(self.region, self.zones))
            or list(network_problems(self.network, self.zones))
        )
        yield from wrong_place
        yield from version_problems(self.kubernetes_version)
        yield from access_problems(self.access, self.region)
        yield from _name_problems(self)
        yield from system_pool_problems(
            self.system_pool, kubernetes_version=self.kubernetes_version, path="system_pool"
        )
        if not wrong_place:
            yield from _gpu_pool_problems(self)
        yield from _setting_problems(self)
        yield from tag_problems(self.tags)


def widened_pools(args: EksClusterArgs) -> list[EksGpuPool]:
    """The GPU pools with all of EKS's fields, and with the device layer that their nodes have."""
    return [eks_pool(pool, devices_built_in=isinstance(args.node_management, AutoMode)) for pool in args.gpu_pools]


def _region_problems(region: str) -> Iterator[ConfigError]:
    if not is_region(region):
        yield ConfigError("region", f"{region!r} is not an AWS region", "use one such as `us-west-2`")


def _zone_problems(region: str, zones: Sequence[str]) -> Iterator[ConfigError]:
    prefix = zone_prefix(region)
    if len(zones) < 2:
        yield ConfigError(
            "zones",
            "EKS puts the control plane into at least two zones",
            f"name two, e.g. {prefix}-az1 and {prefix}-az2",
            id=ProblemId.OUT_OF_RANGE,
        )
    for index, zone in enumerate(zones):
        if re.fullmatch(f"{re.escape(region)}[a-z]", zone):
            yield ConfigError(
                f"zones[{index}]",
                f"{zone} is a zone's name, which is another zone in every account",
                f"use its id, `{prefix}-az` and a number (`aws ec2 describe-availability-zones`)",
            )
        elif not re.fullmatch(rf"{re.escape(prefix)}-az[1-9]", zone):
            yield ConfigError(
                f"zones[{index}]",
                f"{zone!r} is not the id of a zone of {region}",
                f"use `{prefix}-az` and its number",
                id=ProblemId.UNKNOWN_REFERENCE,
            )
        elif zone in zones[:index]:
            yield ConfigError(f"zones[{index}]", f"{zone} is named twice", "leave it out", id=ProblemId.DUPLICATE_NAME)


def _name_problems(args: EksClusterArgs) -> Iterator[ConfigError]:
    yield from duplicate_problems([pool.name for pool in args.gpu_pools], "gpu_pools")
    for index, pool in enumerate(args.gpu_pools):
        if pool.name == args.system_pool.name:
            yield ConfigError(
                f"gpu_pools[{index}].name",
                f"{pool.name!r} is also the name of `system_pool`",
                "give each its own",
                id=ProblemId.DUPLICATE_NAME,
            )


def _gpu_pool_problems(args: EksClusterArgs) -> Iterator[ConfigError]:
    wrong = [
        problem
        for index, pool in enumerate(args.gpu_pools)
        for problem in pool_problems(
            pool,
            zones=args.zones,
            region=args.region,
            kubernetes_version=args.kubernetes_version,
            path=f"gpu_pools[{index}]",
        )
    ]
    yield from wrong
    # What follows asks for a pool's machines, which a pool that is wrong may not have.
    if wrong or any(any(own_problems(pool)) for pool in args.gpu_pools):
        return
    yield from management_problems(args.node_management, args.gpu_pools)
    with unchecked():
        pools = widened_pools(args)
    yield from choice_problems(pools, PLATFORM)
    if not isinstance(args.network, NewNetwork) or any(own_problems(args.network)):
        return
    yield from address_problems(args.network, pools, args.zones)
    if args.network.nat == "none":
        yield from _closed_network_problems(args, pools)


def _closed_network_problems(args: EksClusterArgs, pools: Sequence[EksGpuPool]) -> Iterator[ConfigError]:
    """What needs the internet, in a network without a way to it."""
    runs_images = bool(measured_pools(pools, PLATFORM)) or any(needs_plugin(pool, PLATFORM) for pool in pools)
    if runs_images and args.images.registry is None:
        yield ConfigError(
            "images.registry",
            "nodes without a way to the internet can't pull NVIDIA's images from where it publishes them",
            "copy the images to a registry in AWS and name it, or use `network.nat: single`",
            id=ProblemId.CONFLICT,
        )
    if isinstance(args.node_management, Karpenter):
        # Karpenter, "Getting Started with Karpenter", private clusters: `spec.role` can't be used in one.
        yield ConfigError(
            "node_management",
            "Karpenter gives nodes their role through IAM's API, which has no endpoint in a VPC",
            "use `network.nat: single`, or managed node groups",
            id=ProblemId.CONFLICT,
        )


def _setting_problems(args: EksClusterArgs) -> Iterator[ConfigError]:
    if args.kms_key_arn is not None and not re.fullmatch(r"arn:aws[a-z-]*:kms:[^:]+:\d{12}:key/\S+", args.kms_key_arn):
        yield ConfigError(
            "kms_key_arn",
            f"{args.kms_key_arn!r} is not the ARN of a KMS key",
            "use `arn:aws:kms:<region>:<account>:key/<id>`; an alias won't do",
        )
    if args.log_retention_days not in _RETENTION_DAYS:
        near = min(_RETENTION_DAYS, key=lambda days: abs(days - args.log_retention_days))
        yield ConfigError(
            "log_retention_days",
            f"CloudWatch doesn't keep logs for {args.log_retention_days} days",
            f"use one of its numbers, e.g. {near}",
            id=ProblemId.OUT_OF_RANGE,
        )
    for name in args.add_on_versions:
        if name not in args.add_ons:
            yield ConfigError(
                f"add_on_versions.{name}",
                "the cluster has no such add-on",
                f"use one of {', '.join(args.add_ons)}",
                id=ProblemId.UNKNOWN_REFERENCE,
            )
