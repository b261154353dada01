"""What EKS can't do with a pool: each an error at construction, with what to do instead.  No Pulumi."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from gpu_clusters import labels
from gpu_clusters._spec import range_problems
from gpu_clusters.eks import machine_checks
from gpu_clusters.eks.machines import known_ami_types
from gpu_clusters.eks.pool_facts import ami_family, fabric, is_fixed, machine_names, pool_machines
from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.pools import CapacityBlock, FlexStart, GpuOperator, Mig, PlatformManaged, Reservation, Spot

if TYPE_CHECKING:
    from gpu_clusters.eks.pools import EksGpuPool, EksSystemPool

#: EKS's own default, which its images fit on (EKS API reference, CreateNodegroup, diskSize).
MIN_DISK_GIB: Final = 20
#: gp3 (EBS user guide, "General Purpose SSD volumes"): MiB/s at most per operation per second, and what is free.
_MIB_S_PER_IOPS: Final = 0.25
_FREE_IOPS: Final = 3_000
#: The number of tags on an AWS resource is at most 50, and we set up to 4.
_MAX_TAGS: Final = 46
#: GPUs that Bottlerocket's MIG manager knows, by its own names (bottlerocket-core-kit, `sources/nvidia-migmanager`).
MIG_KEYS: Final[Mapping[str, str]] = {
    "a100-40gb": "a100.40gb",
    "a100-80gb": "a100.80gb",
    "h100": "h100.80gb",
    "h200": "h200.141gb",
}


def own_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    """What is wrong with a pool whatever the cluster."""
    yield from _nodes_problems(pool)
    # Which machines there are depends on the image, and what a machine can't do is said of those that there are.
    wrong_image = tuple(_image_problems(pool))
    wrong_machines = wrong_image or tuple(machine_checks.machine_problems(pool))
    yield from wrong_machines
    yield from _capacity_problems(pool)
    if not wrong_machines:
        yield from _machine_capacity_problems(pool)
        yield from _efa_problems(pool)
    yield from _placement_problems(pool)
    yield from _device_problems(pool)
    yield from _number_problems(pool)
    yield from _label_problems(pool.labels)
    yield from _taint_problems(pool)
    yield from tag_problems(pool.tags)


def system_problems(pool: EksSystemPool) -> Iterator[ConfigError]:
    """What is wrong with a system pool."""
    yield from machine_checks.system_machine_problems(pool)
    yield from range_problems("disk_gib", pool.disk_gib, MIN_DISK_GIB)
    yield from range_problems("imds_hop_limit", pool.imds_hop_limit, 1, 64)
    yield from range_problems("max_unavailable", pool.max_unavailable, 1, 100)
    yield from _label_problems(pool.labels)
    yield from tag_problems(pool.tags)


def tag_problems(tags: Mapping[str, str]) -> Iterator[ConfigError]:
    """Tags that AWS refuses, or that are ours."""
    yield from range_problems("tags", len(tags), 0, _MAX_TAGS)
    for key, value in tags.items():
        if key.lower().startswith("aws:") or key.startswith(f"{labels.DOMAIN}/"):
            owner = "AWS" if key.lower().startswith("aws:") else "the library"
            yield ConfigError(
                f"tags.{key}", f"tags of that prefix are set by {owner}", "use another key", id=ProblemId.CONFLICT
            )
        elif not 0 < len(key) <= 128 or len(value) > 256:
            yield ConfigError(
                f"tags.{key}",
                "AWS takes keys of 1 to 128 characters and values of at most 256",
                "shorten it",
                id=ProblemId.OUT_OF_RANGE,
            )


def _nodes_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    if pool.nodes.max < 1:
        yield ConfigError(
            "nodes.max",
            "EKS has no node group that can't have a node",
            "use at least 1 (a group with min 0 costs nothing while it is empty), or remove the pool",
            id=ProblemId.OUT_OF_RANGE,
        )
    if pool.desired is not None:
        yield from range_problems("desired", pool.desired, pool.nodes.min, pool.nodes.max)


def _image_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    if pool.ami_id is not None:
        if not re.fullmatch("ami-[0-9a-f]{8,17}", pool.ami_id):
            yield ConfigError("ami_id", f"{pool.ami_id!r} is not the id of an image", "use `ami-` and its hex digits")
        for name in ("ami_type", "release_version"):
            if getattr(pool, name) is not None:
                yield _conflict(name, f"`{name}` chooses among EKS's images, and `ami_id` is one of your own")
        if pool.ami == "bottlerocket":
            yield _conflict("ami", "an image of your own must be built like EKS's AL2023")
    elif pool.ami_type is not None:
        if pool.ami_type not in known_ami_types():
            names = ", ".join(sorted(name for name in known_ami_types() if "NVIDIA" in name))
            yield ConfigError("ami_type", f"EKS has no image type {pool.ami_type!r}", f"use one of {names}")
        elif pool.ami is not None and pool.ami_type.startswith("BOTTLEROCKET") != (pool.ami == "bottlerocket"):
            yield _conflict("ami_type", f"{pool.ami_type} is not an image of `ami: {pool.ami}`")


def _capacity_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    if isinstance(pool.capacity, FlexStart):
        yield ConfigError(
            "capacity",
            "flex start is Google's, and AWS has none",
            "use a Capacity Block for capacity with a start and an end, or on-demand",
            id=ProblemId.CONFLICT,
        )
    if not isinstance(pool.capacity, (Reservation, CapacityBlock)):
        return
    if not re.fullmatch("cr-[0-9a-z]+", pool.capacity.id):
        yield ConfigError(
            "capacity.id", f"{pool.capacity.id!r} is not the id of an EC2 capacity reservation", "use `cr-...`"
        )
    if pool.zones and tuple(pool.zones) != (pool.capacity.zone,):
        yield _conflict("zones", f"the reserved capacity is in {pool.capacity.zone} only")
    if len(machine_names(pool)) > 1:
        yield _conflict(
            "machines", "a reservation is of one machine type, and these are several", "name the reserved one only"
        )


def _machine_capacity_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    for found in pool_machines(pool):
        if isinstance(pool.capacity, CapacityBlock):
            if found.capacity_blocks == "no":
                yield _unavailable(
                    "capacity", f"AWS sells no Capacity Blocks of {found.name}", "use a reservation or on-demand"
                )
        elif found.capacity_blocks == "only":
            yield _unavailable("capacity", f"AWS sells {found.name} in Capacity Blocks only", "use a Capacity Block")
        elif isinstance(pool.capacity, Spot) and found.spot is False:
            yield _unavailable("capacity", f"AWS doesn't sell {found.name} as spot", "use on-demand or a reservation")


def _efa_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    if not pool.efa:
        return
    if len(pool.zones) > 1:
        yield _conflict("efa", "EFA doesn't cross zones, and `zones` names several", "name one zone")
    if fabric(pool):
        return
    without = [item.name for item in pool_machines(pool) if item.efa_interfaces == 0]
    unknown = [name for name in machine_names(pool) if name not in {item.name for item in pool_machines(pool)}]
    unknown += [item.name for item in pool_machines(pool) if item.efa_interfaces is None]
    if without:
        yield _unavailable("efa", f"{', '.join(without)} takes no EFA", "use a larger machine, or leave `efa` out")
    elif unknown:
        yield ConfigError(
            "efa",
            f"how the network cards of {', '.join(unknown)} take EFA isn't known to the library's catalogue",
            "use `efa: false`, or a machine that it knows",
            id=ProblemId.NOT_IN_CATALOGUE,
        )
    else:
        yield _conflict(
            "machines",
            "these differ in their EFA interfaces, and a node group has one layout for all",
            "name machines of one layout only, or make a pool of each",
        )


def _placement_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    if not pool.placement_group:
        return
    if is_fixed(pool):
        yield _conflict(
            "placement_group", "the capacity was reserved where it is, and a new placement group has none of it"
        )
    if len(pool.zones) > 1:
        yield _conflict("placement_group", "a cluster placement group is in one zone", "name one zone in `zones`")


def _device_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    if ami_family(pool) == "bottlerocket":
        if pool.devices is not None and not isinstance(pool.devices, PlatformManaged):
            yield _conflict(
                "devices",
                "Bottlerocket brings driver and device plugin, and a second plugin would fight with it "
                "(bottlerocket-os/bottlerocket issue 4309)",
            )
        if isinstance(pool.sharing, Mig) and pool.gpu.value not in MIG_KEYS:
            yield _conflict(
                "sharing", f"Bottlerocket can't partition {pool.gpu.facts.name}", f"it can {', '.join(MIG_KEYS)}"
            )
        elif isinstance(pool.sharing, Mig) and pool.sharing.strategy == "mixed":
            yield _conflict("sharing.strategy", "Bottlerocket has no setting for it", "use `single`, its own")
    elif isinstance(pool.sharing, Mig) and not isinstance(pool.devices, GpuOperator):
        yield _conflict(
            "sharing",
            "nothing on EKS's AL2023 images partitions GPUs, so the nodes would offer none (NVIDIA/k8s-device-plugin)",
            "use `ami: bottlerocket`, which partitions them at boot",
        )


def _number_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    yield from range_problems("disk_gib", pool.disk_gib, MIN_DISK_GIB, 65_536)
    if pool.disk_iops is not None:
        yield from range_problems("disk_iops", pool.disk_iops, _FREE_IOPS, 80_000)
    if pool.disk_throughput_mib_s is not None:
        yield from range_problems("disk_throughput_mib_s", pool.disk_throughput_mib_s, 125, 2_000)
        needed = int(pool.disk_throughput_mib_s / _MIB_S_PER_IOPS)
        if needed > (pool.disk_iops or _FREE_IOPS):
            yield ConfigError(
                "disk_throughput_mib_s",
                f"gp3 gives at most 1 MiB/s for 4 operations per second, and this has {pool.disk_iops or _FREE_IOPS}",
                f"set `disk_iops` to {needed} at least",
                id=ProblemId.OUT_OF_RANGE,
            )
    yield from range_problems("max_unavailable", pool.max_unavailable, 1, 100)
    yield from range_problems("imds_hop_limit", pool.imds_hop_limit, 1, 64)
    if pool.max_pods is not None:
        yield from range_problems("max_pods", pool.max_pods, 1)


def _label_problems(own: Mapping[str, str]) -> Iterator[ConfigError]:
    """Labels with which a kubelet doesn't start: those of Kubernetes's domains, but for two that are for nodes' owners.

    Source: kubernetes/kubernetes, `staging/src/k8s.io/kubelet/pkg/apis/well_known_labels.go`.
    """
    for key in own:
        domain = key.partition("/")[0] if "/" in key else ""
        is_theirs = any(domain == name or domain.endswith(f".{name}") for name in ("kubernetes.io", "k8s.io"))
        if is_theirs and not re.fullmatch(r"(.*\.)?(node|kubelet)\.kubernetes\.io", domain):
            yield ConfigError(
                f"labels.{key}",
                "a node can't give itself labels of that domain: its kubelet wouldn't start",
                "use a prefix of your own, or node.kubernetes.io/",
                id=ProblemId.CONFLICT,
            )


def _taint_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    seen = {(labels.GPU_TAINT_KEY, "NoSchedule")}
    for index, taint in enumerate(pool.taints):
        if (taint.key, taint.effect) in seen:
            yield ConfigError(
                f"taints[{index}]",
                f"the nodes have a taint {taint.key} with the effect {taint.effect} already",
                "leave it out",
                id=ProblemId.DUPLICATE_NAME,
            )
        seen.add((taint.key, taint.effect))


def _conflict(path: str, problem: str, remedy: str = "") -> ConfigError:
    return ConfigError(path, problem, remedy or f"leave `{path}` out", id=ProblemId.CONFLICT)


def _unavailable(path: str, problem: str, remedy: str) -> ConfigError:
    return ConfigError(path, problem, remedy, id=ProblemId.MACHINE_UNAVAILABLE)
