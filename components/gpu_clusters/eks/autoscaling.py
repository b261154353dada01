"""Who makes and removes GPU nodes on EKS: managed node groups, Karpenter or EKS Auto Mode.  No Pulumi."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal, TypeAlias

from gpu_clusters._spec import ByKind, range_problems, spec
from gpu_clusters.eks.pools import EksGpuPool, eks_pool
from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.pools import GpuPool, PlatformManaged

#: When a node without work goes: as soon as it has none, or already when its pods would fit elsewhere.
Consolidation: TypeAlias = Literal["whenEmpty", "whenEmptyOrUnderutilized"]

#: The longest that EKS lets a node of Auto Mode live: 21 days (EKS user guide, "Learn about Amazon EKS Auto Mode
#: Managed instances").
AUTO_MODE_MAX_HOURS: Final = 21 * 24

_SCALED_BY_HAND: Final = "only a managed node group has it"
_AWS_DECIDES: Final = "AWS decides it for nodes of EKS Auto Mode"
#: Fields of a pool that mean nothing to who runs its nodes, and why.
_NOT_WITH: Final[Mapping[str, Mapping[str, str]]] = {
    "karpenter": {
        "desired": _SCALED_BY_HAND,
        "max_unavailable": f"{_SCALED_BY_HAND}; Karpenter has `drift_nodes` for all pools",
        "update_strategy": f"{_SCALED_BY_HAND}; Karpenter makes the new node first",
        "replacement": _SCALED_BY_HAND,
    },
    "autoMode": {
        **dict.fromkeys(("desired", "update_strategy", "replacement"), _SCALED_BY_HAND),
        "max_unavailable": f"{_SCALED_BY_HAND}; Auto Mode has `drift_nodes` for all pools",
        **dict.fromkeys(
            ("ami", "ami_type", "ami_id", "release_version", "local_nvme", "fast_image_pull", "repair"), _AWS_DECIDES
        ),
        **dict.fromkeys(("imds_hop_limit", "max_pods", "placement_group"), _AWS_DECIDES),
    },
}


@spec
class ManagedNodeGroups:
    """An EKS managed node group per pool. Nothing scales it by itself: a cluster autoscaler that you run does.

    Args:
        cluster_autoscaler_tags: tag the Auto Scaling group of each pool with what its nodes offer: labels, taints and
            extended resources, so that the Kubernetes cluster autoscaler scales it from zero. Default true: tags cost
            nothing. EKS itself sets the two tags by which the autoscaler finds the groups.
    """

    cluster_autoscaler_tags: bool = True
    kind: Literal["managedNodeGroups"] = "managedNodeGroups"


@spec
class Karpenter:
    """Karpenter makes nodes for pods that wait, of one NodePool and one EC2NodeClass per pool.

    It runs on the system pool. Every `nodes.min` is 0: Karpenter makes nodes for pods only (NodePools of fixed size are
    alpha and off by default: Karpenter, "Settings", feature gate StaticCapacity).

    Args:
        chart_version: version of the charts `karpenter` and `karpenter-crd`. Default none: the one of
            `data/charts.csv`, to which the controller's permissions belong.
        consolidation: which nodes Karpenter removes to save money. Default `whenEmpty`; Karpenter's own default also
            moves pods together, which ends jobs and reloads models for minutes.
        consolidate_after_minutes: how long a node must have been so. Default 10: a GPU node takes minutes to come, so
            that giving it back at once, as Karpenter would, makes the next pod wait.
        drift_nodes: nodes of a pool that are replaced at a time when its image or settings have changed; 0: none.
            Default 1. Karpenter makes the new node first: where a pool is at its maximum, or its reservation is full,
            nothing is replaced until a node is free.
        expire_after_hours: the age at which a node is replaced, whatever runs on it. Default none: never. Karpenter's
            own default of 720 h drains nodes at that age whatever budgets say (Karpenter, "Disruption", "Expiration").
        termination_grace_period_minutes: the longest that a drain may take; then pods are killed, whatever their
            disruption budgets say. Default none: drains wait.
        node_repair: replace nodes that EKS's node monitoring agent finds unhealthy. Default false: it is alpha
            (feature gate NodeRepair).
    """

    chart_version: str | None = None
    consolidation: Consolidation = "whenEmpty"
    consolidate_after_minutes: int = 10
    drift_nodes: int = 1
    expire_after_hours: int | None = None
    termination_grace_period_minutes: int | None = None
    node_repair: bool = False
    kind: Literal["karpenter"] = "karpenter"

    def _problems(self) -> Iterator[ConfigError]:
        yield from range_problems("consolidate_after_minutes", self.consolidate_after_minutes, 0)
        yield from range_problems("drift_nodes", self.drift_nodes, 0)
        for name in ("expire_after_hours", "termination_grace_period_minutes"):
            if (value := getattr(self, name)) is not None:
                yield from range_problems(name, value, 1)


@spec
class AutoMode:
    """EKS Auto Mode: AWS runs Karpenter, the network, storage and load balancer controllers, and the nodes' software.

    Its nodes bring NVIDIA's and AWS Neuron's device plugin, so that none is installed. AWS replaces every node before
    it is 21 days old, and adds a fee per instance. Source: EKS user guide, "Automate cluster infrastructure with EKS
    Auto Mode".

    Every `nodes.min` is 0, as for `Karpenter`.

    Args:
        built_in_pools: AWS's own NodePools for everything without GPUs. Default both: `general-purpose` for workloads
            and `system`, tainted, for critical add-ons.
        consolidation: as for `Karpenter`. Default `whenEmpty`.
        consolidate_after_minutes: as for `Karpenter`. Default 10.
        drift_nodes: as for `Karpenter`; AWS's new images come this way. Default 1.
        expire_after_hours: the age at which a node is replaced, 1 to 504. Default 504, the 21 days that AWS allows.
        termination_grace_period_minutes: the longest that a drain may take, then pods are killed. Default 1,440, which
            is Auto Mode's own 24 hours.
    """

    built_in_pools: Sequence[Literal["general-purpose", "system"]] = ("general-purpose", "system")
    consolidation: Consolidation = "whenEmpty"
    consolidate_after_minutes: int = 10
    drift_nodes: int = 1
    expire_after_hours: int = AUTO_MODE_MAX_HOURS
    termination_grace_period_minutes: int = 24 * 60
    kind: Literal["autoMode"] = "autoMode"

    def _problems(self) -> Iterator[ConfigError]:
        yield from range_problems("consolidate_after_minutes", self.consolidate_after_minutes, 0)
        yield from range_problems("drift_nodes", self.drift_nodes, 0)
        yield from range_problems("expire_after_hours", self.expire_after_hours, 1, AUTO_MODE_MAX_HOURS)
        yield from range_problems("termination_grace_period_minutes", self.termination_grace_period_minutes, 1)


NodeManagement = Annotated[ManagedNodeGroups | Karpenter | AutoMode, ByKind()]


def management_problems(
    management: NodeManagement, pools: Sequence[GpuPool], path: str = "gpu_pools"
) -> Iterator[ConfigError]:
    """What a pool asks for that those who run its nodes can't do.

    Args:
        pools: each is right by itself, on EKS.
        path: the pools' path.
    """
    if isinstance(management, ManagedNodeGroups):
        return
    for index, pool in enumerate(pools):
        for problem in _pool_problems(management, eks_pool(pool)):
            yield problem.under(f"{path}[{index}]")


def _pool_problems(management: Karpenter | AutoMode, pool: EksGpuPool) -> Iterator[ConfigError]:
    who = "Karpenter" if isinstance(management, Karpenter) else "EKS Auto Mode"
    if pool.nodes.min:
        yield ConfigError(
            "nodes.min",
            f"{who} makes nodes for pods that wait, and keeps none without them",
            "set it to 0, or use `nodeManagement: {kind: managedNodeGroups}`",
            id=ProblemId.CONFLICT,
        )
    if pool.sharing is not None:
        # Karpenter knows a machine's `nvidia.com/gpu` only: a pod that asks for a share would wait for ever.
        yield ConfigError(
            "sharing",
            f"{who} counts whole GPUs, so it would make no node, or too many, for pods that ask for a share",
            "leave it out, or use `nodeManagement: {kind: managedNodeGroups}`",
            id=ProblemId.CONFLICT,
        )
    for name, why in _NOT_WITH[management.kind].items():
        if getattr(pool, name) != _defaults()[name]:
            yield ConfigError(name, f"{who} can't do it: {why}", f"leave `{name}` out", id=ProblemId.CONFLICT)
    if isinstance(management, Karpenter):
        yield from _image_problems(pool)
    elif pool.devices is not None and not isinstance(pool.devices, PlatformManaged):
        yield ConfigError(
            "devices",
            "EKS Auto Mode brings driver and device plugin, and a second plugin would fight with it",
            "leave `devices` out",
            id=ProblemId.CONFLICT,
        )


def _image_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    if pool.ami_type is not None and pool.ami_type.endswith("_FIPS"):
        yield ConfigError(
            "ami_type",
            "Karpenter finds EKS's images by an alias, and images with FIPS modules have none",
            "leave it out, or use `nodeManagement: {kind: managedNodeGroups}`",
            id=ProblemId.CONFLICT,
        )


def _defaults() -> dict[str, object]:
    return {item.name: item.default for item in dataclasses.fields(EksGpuPool)}
