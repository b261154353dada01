"""The arguments of an LlmNamespace.  No Pulumi."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final

from gpu_clusters._spec import name_problems, range_problems, spec
from gpu_clusters.cluster import Cluster, pools_of
from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.gpus import Gpu
from gpu_clusters.pools import GpuPool

_POD_SECURITY_VERSION: Final = re.compile(r"v1\.\d{1,2}")

#: What a GPU's pod may need beside it, so that a quota of GPUs can be spent. An LlmService asks for less by default:
#: 2 CPUs and 1 per GPU, and 16 GiB per GPU and its shared memory.
_CPUS_PER_GPU: Final = 16
_MEMORY_GIB_PER_GPU: Final = 64
_BASE_CPUS: Final = 8
_BASE_MEMORY_GIB: Final = 32
_PODS_PER_GPU: Final = 4
_BASE_PODS: Final = 20


@spec
class LlmNamespaceArgs:
    """A tenant: what it may use, and who may do what in it.

    Args:
        gpus: whole GPUs (MIG instances or shares, where the pool is split so) by model; the API server refuses more.
            Default none.
        cpus: CPUs that all pods together may request. Default 16 per GPU and 8.
        memory_gib: memory that all pods together may request, in GiB. Default 64 per GPU and 32.
        pods: Default 4 per GPU and 20.
        storage_gib: storage that all claims together may request, in GiB. Default 0: no PersistentVolumeClaims.
        viewers: groups that may look at everything but secrets and logs.
        operators: groups that may, beyond that, read logs, scale, roll out and delete pods; not change quota, roles,
            network policies or the namespace.
        allow_from_namespaces: namespaces whose pods may reach the services, such as the gateway's and the
            monitoring's. Default none: only pods of this namespace.
        pod_security_version: the version of Kubernetes whose Pod Security standard `restricted` is enforced.
            Default `v1.36`; pinned, so that an upgrade of the cluster doesn't refuse pods that ran before.
    """

    gpus: Mapping[Gpu, int] = field(default_factory=dict[Gpu, int])
    cpus: int | None = None
    memory_gib: int | None = None
    pods: int | None = None
    storage_gib: int = 0
    viewers: Sequence[str] = ()
    operators: Sequence[str] = ()
    allow_from_namespaces: Sequence[str] = ()
    pod_security_version: str = "v1.36"

    def _problems(self) -> Iterator[ConfigError]:
        for gpu, count in self.gpus.items():
            yield from range_problems(f"gpus.{gpu.value}", count, 1)
        for name in ("cpus", "memory_gib", "pods"):
            value: int | None = getattr(self, name)
            if value is not None:
                yield from range_problems(name, value, 1)
        yield from range_problems("storage_gib", self.storage_gib, 0)
        for index, namespace in enumerate(self.allow_from_namespaces):
            yield from name_problems(namespace, f"allow_from_namespaces[{index}]")
        if not _POD_SECURITY_VERSION.fullmatch(self.pod_security_version):
            yield ConfigError(
                "pod_security_version",
                f"{self.pod_security_version!r} is not a minor version of Kubernetes",
                "write it as `v1.36`",
            )


def tenant_name_problems(name: str, path: str = "name") -> Iterator[ConfigError]:
    """What is wrong with a tenant's name, which is its namespace's."""
    yield from name_problems(name, path)
    if name.startswith("kube-") or name == "default":
        yield ConfigError(
            path, f"{name!r} is Kubernetes's own namespace", "choose another name", id=ProblemId.INVALID_NAME
        )


def gpu_problems(args: LlmNamespaceArgs, pools: Sequence[GpuPool], path: str = "gpus") -> Iterator[ConfigError]:
    """GPUs in a tenant's quota that the cluster doesn't have."""
    known = sorted({pool.gpu.value for pool in pools})
    for gpu in args.gpus:
        if gpu.value not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            yield ConfigError(
                f"{path}.{gpu.value}",
                f"no pool of the cluster has {gpu.facts.name} GPUs: {has}",
                "add a pool, or give the tenant a GPU that is there",
                id=ProblemId.GPU_UNAVAILABLE,
            )


def quota(args: LlmNamespaceArgs, cluster: Cluster) -> dict[str, str]:
    """The hard limits of a tenant's ResourceQuota.

    Every GPU resource that the cluster offers is in it, with 0 where the tenant has none: what a quota doesn't name,
    it doesn't limit.
    """
    gpus = sum(args.gpus.values())
    units = {pool.resource: 0 for pool in cluster.pools}
    for gpu, count in args.gpus.items():
        for resource in {pool.resource for pool in pools_of(cluster, gpu)}:
            units[resource] += count
    cpus = args.cpus or _CPUS_PER_GPU * gpus + _BASE_CPUS
    memory = args.memory_gib or _MEMORY_GIB_PER_GPU * gpus + _BASE_MEMORY_GIB
    return {
        **{f"requests.{resource}": str(count) for resource, count in sorted(units.items())},
        "requests.cpu": str(cpus),
        "requests.memory": f"{memory}Gi",
        "limits.memory": f"{memory}Gi",
        "requests.storage": f"{args.storage_gib}Gi",
        "pods": str(args.pods or _PODS_PER_GPU * gpus + _BASE_PODS),
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
