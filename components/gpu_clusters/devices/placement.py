"""Where the pods of the device layer run: on the nodes of certain pools, whatever their taints."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi_kubernetes as k8s

from gpu_clusters import labels
from gpu_clusters.pools import GpuPool


def on_pools(pools: Sequence[GpuPool]) -> k8s.core.v1.AffinityArgs:
    """Only nodes of these pools."""
    ours = k8s.core.v1.NodeSelectorRequirementArgs(key=labels.POOL, operator="In", values=[pool.name for pool in pools])
    required = k8s.core.v1.NodeSelectorArgs(
        node_selector_terms=[k8s.core.v1.NodeSelectorTermArgs(match_expressions=[ours])]
    )
    return k8s.core.v1.AffinityArgs(
        node_affinity=k8s.core.v1.NodeAffinityArgs(required_during_scheduling_ignored_during_execution=required)
    )


def tolerations(pools: Sequence[GpuPool]) -> list[k8s.core.v1.TolerationArgs]:
    """Tolerations of every taint that nodes of these pools have, each once."""
    own = dict.fromkeys((taint.key, taint.effect) for pool in pools for taint in pool.taints)
    return [
        k8s.core.v1.TolerationArgs(key="CriticalAddonsOnly", operator="Exists"),
        k8s.core.v1.TolerationArgs(key=labels.GPU_TAINT_KEY, operator="Exists"),
        *(k8s.core.v1.TolerationArgs(key=key, operator="Exists", effect=effect) for key, effect in own),
    ]
