"""The sandbox platform: a cluster whose control plane is real and whose nodes and GPUs are simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu_clusters.sandbox.args import SandboxClusterArgs

if TYPE_CHECKING:
    from gpu_clusters.sandbox.cluster import SandboxCluster

__all__ = ["SandboxCluster", "SandboxClusterArgs"]


def __getattr__(name: str) -> object:
    # Pulumi is loaded when a component is asked for, not when a configuration is only checked.
    if name == "SandboxCluster":
        from gpu_clusters.sandbox.cluster import SandboxCluster

        return SandboxCluster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
