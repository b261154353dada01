"""The manifest of a Karpenter NodePool, which EKS Auto Mode reads as well.  No Pulumi."""

from __future__ import annotations

from typing import Final

from gpu_clusters.cluster import node_labels
from gpu_clusters.eks.autoscaling import AutoMode, Karpenter
from gpu_clusters.eks.pool_facts import gpu_taints, is_fixed, machine_names
from gpu_clusters.eks.pools import EksGpuPool
from gpu_clusters.pools import Spot

_POLICIES: Final = {"whenEmpty": "WhenEmpty", "whenEmptyOrUnderutilized": "WhenEmptyOrUnderutilized"}


def node_pool_spec(pool: EksGpuPool, settings: Karpenter | AutoMode, *, group: str, kind: str) -> dict[str, object]:
    """The `spec` of the NodePool of a GPU pool.

    It sets no zones: its node class names the subnets, and those are in zones. The limit is in GPUs, which Karpenter
    holds eventually: a burst of pods may overrun it (Karpenter, "NodePools", spec.limits).

    Args:
        group, kind: of its node class, whose name is the pool's.
    """
    never_or = f"{settings.expire_after_hours}h" if settings.expire_after_hours else "Never"
    template: dict[str, object] = {
        "nodeClassRef": {"group": group, "kind": kind, "name": pool.name},
        "requirements": [
            _in("node.kubernetes.io/instance-type", *machine_names(pool)),
            _in("karpenter.sh/capacity-type", _capacity_type(pool)),
        ],
        "taints": [{"key": taint.key, "value": taint.value, "effect": taint.effect} for taint in gpu_taints(pool)],
        "expireAfter": never_or,
    }
    if settings.termination_grace_period_minutes is not None:
        template["terminationGracePeriod"] = f"{settings.termination_grace_period_minutes}m"
    return {
        "template": {"metadata": {"labels": node_labels(pool)}, "spec": template},
        "limits": {pool.gpu.facts.resource: str(pool.nodes.max * pool.gpus_per_node)},
        "disruption": {
            "consolidationPolicy": _POLICIES[settings.consolidation],
            "consolidateAfter": f"{settings.consolidate_after_minutes}m",
            # Empty nodes may all go at once; a budget without reasons would hold those back too.
            "budgets": [
                {"nodes": "100%", "reasons": ["Empty"]},
                {"nodes": str(settings.drift_nodes), "reasons": ["Drifted"]},
                {"nodes": "1", "reasons": ["Underutilized"]},
            ],
        },
    }


def _capacity_type(pool: EksGpuPool) -> str:
    # `reserved` covers Capacity Blocks too (Karpenter, "Utilizing ODCRs and Capacity Blocks").
    if is_fixed(pool):
        return "reserved"
    return "spot" if isinstance(pool.capacity, Spot) else "on-demand"


def _in(key: str, *values: str) -> dict[str, object]:
    return {"key": key, "operator": "In", "values": list(values)}
