"""EKS: a production GPU cluster on AWS. Needs `pip install "gpu-clusters[eks]"`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gpu_clusters.eks.access_entries import AccessEntry, PublicEndpoint
from gpu_clusters.eks.args import EksClusterArgs
from gpu_clusters.eks.autoscaling import AutoMode, Karpenter, ManagedNodeGroups
from gpu_clusters.eks.networks import ExistingNetwork, NewNetwork
from gpu_clusters.eks.pools import EksGpuPool, EksSystemPool
from gpu_clusters.eks.quotas import QuotaNeed

if TYPE_CHECKING:
    from gpu_clusters.eks.cluster import EksCluster

__all__ = [
    "AccessEntry",
    "AutoMode",
    "EksCluster",
    "EksClusterArgs",
    "EksGpuPool",
    "EksSystemPool",
    "ExistingNetwork",
    "Karpenter",
    "ManagedNodeGroups",
    "NewNetwork",
    "PublicEndpoint",
    "QuotaNeed",
]


def __getattr__(name: str) -> object:
    # Pulumi is loaded when a component is asked for, not when a configuration is only checked.
    if name == "EksCluster":
        return import_module("gpu_clusters.eks.cluster").EksCluster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
