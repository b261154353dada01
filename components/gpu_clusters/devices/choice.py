"""Which device layer a pool gets on a platform, and what the plugin must be told.  No Pulumi."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gpu_clusters.cluster import Platform
from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.pools import DeviceChoice, DevicePlugin, GpuOperator, GpuPool, Mig, Mps, TimeSlicing


def choice(pool: GpuPool, platform: Platform) -> DeviceChoice:
    """Who installs the pool's device layer: what the pool says, else what is right for the platform."""
    return pool.devices or platform.devices


def choice_problems(pools: Sequence[GpuPool], platform: Platform, path: str = "gpu_pools") -> Iterator[ConfigError]:
    """Pools whose device layer the platform can't have."""
    for index, pool in enumerate(pools):
        chosen = choice(pool, platform)
        if not isinstance(chosen, platform.supported_devices):
            known = " or ".join(kind.__name__ for kind in platform.supported_devices)
            yield ConfigError(
                f"{path}[{index}].devices",
                f"{type(chosen).__name__} is not to be had on platform {platform.name}",
                f"use {known}, or leave `devices` out",
                id=ProblemId.CONFLICT,
            )
        elif isinstance(chosen, DevicePlugin) and pool.gpu.facts.vendor != "nvidia":
            yield ConfigError(
                f"{path}[{index}].gpu",
                f"the library has no device plugin for {pool.gpu.facts.vendor} GPUs on platform {platform.name}",
                "use an NVIDIA GPU, or a platform that brings the plugin",
                id=ProblemId.GPU_UNAVAILABLE,
            )
        elif isinstance(chosen, DevicePlugin) and isinstance(pool.sharing, Mps) and not platform.simulated:
            # The plugin only hands out shares, and waits until the daemon runs. Simulated nodes need none.
            yield ConfigError(
                f"{path}[{index}].sharing",
                "MPS needs NVIDIA's MPS control daemon on the nodes, and the library installs none",
                "use time-slicing or MIG, or a platform that brings MPS (Bottlerocket on EKS)",
                id=ProblemId.CONFLICT,
            )


def needs_plugin(pool: GpuPool, platform: Platform) -> bool:
    """Whether the library must install the NVIDIA device plugin on the pool's nodes."""
    return isinstance(choice(pool, platform), DevicePlugin)


def measured_pools(pools: Sequence[GpuPool], platform: Platform) -> list[GpuPool]:
    """The pools whose GPUs the library measures: NVIDIA's, unless the platform or the GPU operator does it."""
    if platform.dcgm == "platform":
        return []
    return [
        pool
        for pool in pools
        if pool.gpu.facts.vendor == "nvidia" and not isinstance(choice(pool, platform), GpuOperator)
    ]


def plugin_environment(pool: GpuPool) -> dict[str, str]:
    """The plugin's environment for a pool.

    Source: the device plugin's README and values of its chart, v0.20.0: `NVIDIA_VISIBLE_DEVICES=all` and the driver
    capabilities `compute,utility` make its own container see the driver's libraries without taking a GPU.
    """
    environment = {
        "MIG_STRATEGY": pool.sharing.strategy if isinstance(pool.sharing, Mig) else "none",
        "NVIDIA_VISIBLE_DEVICES": "all",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    }
    return environment | ({"CONFIG_FILE": "/config/config.json"} if plugin_config(pool) else {})


def plugin_config(pool: GpuPool) -> Mapping[str, object] | None:
    """The plugin's configuration file for a pool that shares whole GPUs; None where none is needed.

    `renameByDefault` makes shared GPUs `nvidia.com/gpu.shared`, so that nobody takes one for a whole GPU, and
    `failRequestsGreaterThanOne` refuses what would not give more anyway.
    """
    if not isinstance(pool.sharing, (TimeSlicing, Mps)):
        return None
    shared: dict[str, object] = {
        "renameByDefault": True,
        "resources": [{"name": pool.gpu.facts.resource, "replicas": pool.sharing.replicas}],
    }
    if isinstance(pool.sharing, TimeSlicing):
        # MPS has no such field: there a request for more than one is refused by itself.
        shared["failRequestsGreaterThanOne"] = True
    return {"version": "v1", "sharing": {pool.sharing.kind: shared}}
