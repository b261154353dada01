"""What might go wrong with pools whose nodes Karpenter or EKS Auto Mode makes."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from gpu_clusters.eks.autoscaling import AutoMode, Karpenter
from gpu_clusters.eks.pool_facts import is_fixed
from gpu_clusters.eks.pool_findings import pool_findings
from gpu_clusters.eks.pools import EksGpuPool
from gpu_clusters.errors import ProblemId
from gpu_clusters.findings import Severity, report

#: How managed node groups are changed, which says nothing of these.
_OF_GROUPS = (ProblemId.AMI_RELEASE_UNPINNED, ProblemId.ROLLOUT_GAP)


def report_management_findings(
    component: pulumi.ComponentResource,
    settings: Karpenter | AutoMode,
    pools: Sequence[EksGpuPool],
    zones: Sequence[str],
) -> None:
    """Report what might go wrong with the pools of a cluster with those zones."""
    for pool in pools:
        for found in pool_findings(pool, zones):
            if found.id not in _OF_GROUPS:
                report(component, found.id, found.severity, f"pool {pool.name}: {found.problem}", found.remedy)
        if isinstance(settings, Karpenter) and pool.ami_id is None and pool.release_version is None:
            report(
                component,
                ProblemId.AMI_RELEASE_UNPINNED,
                Severity.WARNING,
                f"pool {pool.name}: Karpenter replaces its nodes whenever AWS releases an image",
                "name a `release_version`, and raise it when it suits you",
            )
        if is_fixed(pool) and settings.drift_nodes:
            report(
                component,
                ProblemId.ROLLOUT_GAP,
                Severity.NOTE,
                f"pool {pool.name}: the new node comes before the old one is drained, so a change of image or settings "
                "waits until the reserved capacity has a free node",
                "keep one free, or use `nodeManagement: {kind: managedNodeGroups}`, which stops old nodes first",
            )
