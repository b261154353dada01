"""The sandbox: a real Kubernetes control plane with simulated GPU nodes, as local processes."""

from gpu_clusters.controlplane.sandbox import Sandbox, sandboxes
from gpu_clusters.controlplane.status import PartStatus, SandboxStatus

__all__ = ["PartStatus", "Sandbox", "SandboxStatus", "sandboxes"]
