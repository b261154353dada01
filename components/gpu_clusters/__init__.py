"""GPU clusters for LLMs as typed Pulumi components.

Everything public is named here. Pulumi is loaded when a component is first asked for, so that checking a
configuration, or the `gpu-clusters` command's help, doesn't wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gpu_clusters.cluster import Cluster, Platform
from gpu_clusters.errors import ConfigError, ConfigErrors, GpuClustersError, OperationError, ProblemId, UsageError
from gpu_clusters.gpus import Gpu, GpuFacts, MigProfile, mig_profiles
from gpu_clusters.images import Image, Images
from gpu_clusters.namespaces.args import LlmNamespaceArgs
from gpu_clusters.pools import (
    Capacity,
    CapacityBlock,
    CpuPool,
    DeviceChoice,
    DevicePlugin,
    FlexStart,
    GpuOperator,
    GpuPool,
    Mig,
    Mps,
    Nodes,
    OnDemand,
    PlatformManaged,
    Reservation,
    Sharing,
    Spot,
    Taint,
    TimeSlicing,
)
from gpu_clusters.serving.args import LlmServiceArgs, Replicas

if TYPE_CHECKING:
    from gpu_clusters.findings import Finding, Severity
    from gpu_clusters.namespaces.namespace import LlmNamespace
    from gpu_clusters.policies import ClusterPolicies
    from gpu_clusters.serving.service import LlmService

__version__ = "0.1.0"

__all__ = [
    "Capacity",
    "CapacityBlock",
    "Cluster",
    "ClusterPolicies",
    "ConfigError",
    "ConfigErrors",
    "CpuPool",
    "DeviceChoice",
    "DevicePlugin",
    "Finding",
    "FlexStart",
    "Gpu",
    "GpuClustersError",
    "GpuFacts",
    "GpuOperator",
    "GpuPool",
    "Image",
    "Images",
    "LlmNamespace",
    "LlmNamespaceArgs",
    "LlmService",
    "LlmServiceArgs",
    "Mig",
    "MigProfile",
    "Mps",
    "Nodes",
    "OnDemand",
    "OperationError",
    "Platform",
    "PlatformManaged",
    "ProblemId",
    "Replicas",
    "Reservation",
    "Severity",
    "Sharing",
    "Spot",
    "Taint",
    "TimeSlicing",
    "UsageError",
    "mig_profiles",
]

_LOADED_ON_DEMAND = {
    "ClusterPolicies": "gpu_clusters.policies",
    "Finding": "gpu_clusters.findings",
    "LlmNamespace": "gpu_clusters.namespaces.namespace",
    "LlmService": "gpu_clusters.serving.service",
    "Severity": "gpu_clusters.findings",
}


def __getattr__(name: str) -> object:
    if name in _LOADED_ON_DEMAND:
        return getattr(import_module(_LOADED_ON_DEMAND[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
