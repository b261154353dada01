"""What every platform's cluster is to the rest of the library: a Protocol, and facts in place of cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from gpu_clusters import labels
from gpu_clusters.gpus import Gpu
from gpu_clusters.images import Images
from gpu_clusters.pools import DeviceChoice, DevicePlugin, GpuPool

if TYPE_CHECKING:
    import pulumi
    import pulumi_kubernetes as k8s


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The facts of a platform that workloads and tenants depend on. They ask these, never its name.

    Attributes:
        name: for people, e.g. `sandbox`.
        devices: who installs driver and device plugin where a pool doesn't say.
        supported_devices: the kinds of `DeviceChoice` that pools may name here.
        device_plugin_socket_dir: the kubelet's folder for device plugins on the nodes.
        runtime_class: the RuntimeClass that GPU pods must name, where the container runtime has several.
        dcgm: who measures the GPUs: `library` installs NVIDIA's DCGM exporter; `platform` brings its own, or has no
            GPUs that could be measured.
        network_policy: whether something on the cluster enforces NetworkPolicies.
        dns_namespace, dns_labels: the pods that answer DNS.
        metadata_cidrs: link-local addresses of the machine's metadata service, which no pod should reach.
        simulated: whether nodes and GPUs are played rather than real.
    """

    name: str
    devices: DeviceChoice = field(default_factory=DevicePlugin)
    supported_devices: tuple[type, ...] = (DevicePlugin,)
    device_plugin_socket_dir: str = "/var/lib/kubelet/device-plugins"
    runtime_class: str | None = None
    dcgm: Literal["library", "platform"] = "library"
    network_policy: Literal["enforced", "notEnforced"] = "enforced"
    dns_namespace: str = "kube-system"
    dns_labels: dict[str, str] = field(default_factory=lambda: {"k8s-app": "kube-dns"})
    metadata_cidrs: tuple[str, ...] = ("169.254.0.0/16",)
    simulated: bool = False


class Cluster(Protocol):
    """A cluster that tenants and services can be put on."""

    @property
    def kubernetes(self) -> k8s.Provider:
        """A provider for the cluster, usable at once."""
        ...

    @property
    def platform(self) -> Platform:
        """Facts of the platform."""
        ...

    @property
    def pools(self) -> Sequence[GpuPool]:
        """The GPU pools."""
        ...

    @property
    def images(self) -> Images:
        """Where images come from."""
        ...

    @property
    def ready(self) -> Sequence[pulumi.Resource]:
        """What workloads wait for: nodes, policies, device layer."""
        ...


def pools_of(cluster: Cluster, gpu: Gpu) -> tuple[GpuPool, ...]:
    """The cluster's pools with that GPU."""
    return tuple(pool for pool in cluster.pools if pool.gpu is gpu)


def node_labels(pool: GpuPool) -> dict[str, str]:
    """The labels that every platform puts on a GPU pool's nodes."""
    return {**pool.labels, labels.GPU: pool.gpu.value, labels.POOL: pool.name}
