"""The simulated nodes of a pool: what kwok needs to play them."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from gpu_clusters import labels
from gpu_clusters.cluster import node_labels
from gpu_clusters.pools import CpuPool, GpuPool
from gpu_clusters.sandbox.args import SandboxClusterArgs

#: What a kubelet allows by default (Kubernetes: `maxPods` of KubeletConfiguration).
_MAX_PODS = 110
_EPHEMERAL_STORAGE_GIB_PER_NODE = 1_000


def gpu_nodes(
    name: str, pool: GpuPool, args: SandboxClusterArgs, opts: pulumi.ResourceOptions
) -> list[k8s.core.v1.Node]:
    """The nodes of a GPU pool, named `<cluster>-<pool>-<number>`."""
    capacity = _capacity(args.vcpus_per_gpu * pool.gpus_per_node, args.memory_gib_per_gpu * pool.gpus_per_node)
    capacity[pool.resource] = str(pool.units_per_node)
    taints = [
        k8s.core.v1.TaintArgs(key=labels.GPU_TAINT_KEY, value=labels.GPU_TAINT_VALUE, effect="NoSchedule"),
        *(k8s.core.v1.TaintArgs(key=taint.key, value=taint.value, effect=taint.effect) for taint in pool.taints),
    ]
    extra = {"nvidia.com/gpu.product": pool.gpu.facts.product_label} if pool.gpu.facts.vendor == "nvidia" else {}
    return [
        _node(f"{name}-{pool.name}-{index}", {**extra, **node_labels(pool)}, capacity, taints, opts)
        for index in range(pool.nodes.min)
    ]


def cpu_nodes(
    name: str, pool: CpuPool, args: SandboxClusterArgs, opts: pulumi.ResourceOptions
) -> list[k8s.core.v1.Node]:
    """The nodes of the system pool, without taints."""
    capacity = _capacity(args.cpu_node_vcpus, args.cpu_node_memory_gib)
    pool_labels = {**pool.labels, labels.POOL: pool.name}
    return [_node(f"{name}-{pool.name}-{index}", pool_labels, capacity, [], opts) for index in range(pool.nodes.min)]


def _capacity(vcpus: int, memory_gib: int) -> dict[str, str]:
    return {
        "cpu": str(vcpus),
        "memory": f"{memory_gib}Gi",
        "ephemeral-storage": f"{_EPHEMERAL_STORAGE_GIB_PER_NODE}Gi",
        "pods": str(_MAX_PODS),
    }


def _node(
    name: str,
    own_labels: Mapping[str, str],
    capacity: Mapping[str, str],
    taints: list[k8s.core.v1.TaintArgs],
    opts: pulumi.ResourceOptions,
) -> k8s.core.v1.Node:
    return k8s.core.v1.Node(
        name,
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=name,
            labels={
                **own_labels,
                labels.MANAGED_BY: labels.MANAGED_BY_VALUE,
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "simulated",
            },
            annotations={
                labels.KWOK_NODE: labels.KWOK_NODE_VALUE,
                labels.SANDBOX_CAPACITY: json.dumps(capacity, sort_keys=True),
                # The node controller writes taints too while a node isn't ready, and the list has one owner.
                "pulumi.com/patchForce": "true",
            },
        ),
        spec=k8s.core.v1.NodeSpecArgs(taints=taints or None),
        opts=opts,
    )
