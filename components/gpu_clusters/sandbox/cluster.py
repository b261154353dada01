"""SandboxCluster: a stack's cluster, in a local sandbox."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from gpu_clusters.cluster import Platform
from gpu_clusters.controlplane import Sandbox
from gpu_clusters.devices.layer import DeviceLayer
from gpu_clusters.images import Images
from gpu_clusters.policies import ClusterPolicies
from gpu_clusters.pools import GpuPool
from gpu_clusters.sandbox.args import PLATFORM, SandboxClusterArgs
from gpu_clusters.sandbox.nodes import cpu_nodes, gpu_nodes


class SandboxCluster(pulumi.ComponentResource):
    """A cluster with a real control plane and simulated nodes, for rehearsals, tests and laptops.

    It reads the kubeconfig of a sandbox that `gpu-clusters sandbox start` has started, and makes in it: a Node per
    node of each pool (kwok plays them, with the GPUs, labels and taints that they would have), the device layer, and
    the cluster's policies. It starts and stops no process.

    Args:
        name: the cluster's name; nodes are called `<name>-<pool>-<number>`.
        args: the pools, and which sandbox.

    Attributes:
        kubernetes: a provider for the cluster, usable at once.
        platform: facts of the platform; `platform.simulated` is true.
        pools: the GPU pools.
        ready: what workloads wait for.
        kubeconfig: secret; the sandbox's administrator.

    Raises:
        OperationError: there is no such sandbox; it says which command starts it.
    """

    kubeconfig: pulumi.Output[str]

    def __init__(self, name: str, args: SandboxClusterArgs, *, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-clusters:sandbox:SandboxCluster", name, {}, opts)
        sandbox = Sandbox(args.sandbox)
        kubeconfig = sandbox.kubeconfig()
        self._args = args
        self.kubeconfig = pulumi.Output.secret(kubeconfig)
        child = pulumi.ResourceOptions(parent=self)
        self._kubernetes = k8s.Provider(
            f"{name}-kubernetes",
            kubeconfig=self.kubeconfig,
            # The API server may come back on another port; only data made anew is another cluster.
            cluster_identifier=f"sandbox/{args.sandbox}/{sandbox.identity()}",
            enable_server_side_apply=True,
            opts=child,
        )
        on_cluster = pulumi.ResourceOptions(parent=self, provider=self._kubernetes)
        self._ready: list[pulumi.Resource] = [
            *cpu_nodes(name, args.system_pool, args, on_cluster),
            *(node for pool in args.gpu_pools for node in gpu_nodes(name, pool, args, on_cluster)),
            ClusterPolicies(f"{name}-policies", opts=on_cluster),
            DeviceLayer(f"{name}-devices", args.gpu_pools, platform=PLATFORM, images=args.images, opts=on_cluster),
        ]
        self.register_outputs({"kubeconfig": self.kubeconfig})

    @property
    def kubernetes(self) -> k8s.Provider:
        return self._kubernetes

    @property
    def platform(self) -> Platform:
        return PLATFORM

    @property
    def pools(self) -> tuple[GpuPool, ...]:
        return tuple(self._args.gpu_pools)

    @property
    def images(self) -> Images:
        return self._args.images

    @property
    def ready(self) -> tuple[pulumi.Resource, ...]:
        return tuple(self._ready)
