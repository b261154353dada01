"""The arguments of a SandboxCluster.  No Pulumi."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field

from gpu_clusters._spec import duplicate_problems, name_problems, range_problems, spec
from gpu_clusters.cluster import Platform
from gpu_clusters.devices.choice import choice_problems
from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.images import Images
from gpu_clusters.pools import CpuPool, DevicePlugin, GpuPool, PlatformManaged

#: The sandbox as a platform. It plays a cloud whose machine images bring the driver but no device plugin, so the
#: library installs the plugin as it would there. Nothing enforces NetworkPolicies: no packet flows at all.
PLATFORM = Platform(
    name="sandbox",
    devices=DevicePlugin(),
    supported_devices=(DevicePlugin, PlatformManaged),
    network_policy="notEnforced",
    dcgm="platform",
    simulated=True,
)


@spec
class SandboxClusterArgs:
    """A cluster in a local sandbox: pools become simulated nodes.

    Args:
        gpu_pools: the GPU pools. Each has exactly `nodes.min` nodes: the sandbox has no autoscaler.
        system_pool: nodes without GPUs. Default one node, since add-ons need one without taints.
        sandbox: the name of the sandbox to use, as given to `gpu-clusters sandbox start --name`. Default `default`.
        images: where images come from. The sandbox pulls none; the references are those that a real cluster gets.
        vcpus_per_gpu: CPUs of a simulated node for each of its GPUs. Default 24, as on AWS's p5.48xlarge (192 for 8).
        memory_gib_per_gpu: its memory for each GPU, in GiB. Default 256, as on AWS's p5.48xlarge (2,048 for 8).
        cpu_node_vcpus: CPUs of a simulated node without GPUs. Default 8.
        cpu_node_memory_gib: its memory in GiB. Default 32.
    """

    gpu_pools: Sequence[GpuPool] = ()
    system_pool: CpuPool = field(default_factory=CpuPool)
    sandbox: str = "default"
    images: Images = field(default_factory=Images)
    vcpus_per_gpu: int = 24
    memory_gib_per_gpu: int = 256
    cpu_node_vcpus: int = 8
    cpu_node_memory_gib: int = 32

    def _problems(self) -> Iterator[ConfigError]:
        yield from name_problems(self.sandbox, "sandbox")
        yield from duplicate_problems([pool.name for pool in self.gpu_pools], "gpu_pools")
        for index, pool in enumerate(self.gpu_pools):
            if pool.name == self.system_pool.name:
                yield ConfigError(
                    f"gpu_pools[{index}].name",
                    f"{pool.name!r} is also the name of `system_pool`",
                    "give each its own",
                    id=ProblemId.DUPLICATE_NAME,
                )
        yield from choice_problems(self.gpu_pools, PLATFORM)
        for name in ("vcpus_per_gpu", "memory_gib_per_gpu", "cpu_node_vcpus", "cpu_node_memory_gib"):
            yield from range_problems(name, getattr(self, name), 1)
