"""What follows from a pool's fields on EKS: machines, image, zones, fabric, and how it is changed.  No Pulumi."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from gpu_clusters import labels
from gpu_clusters.eks.fabric import EFA_RESOURCE, Interface, efa_count, interfaces
from gpu_clusters.eks.machines import AmiFamily, Machine, ami_type, ami_types, family_of, machine, machines_for
from gpu_clusters.pools import CapacityBlock, GpuPool, Reservation, Spot, Taint

if TYPE_CHECKING:
    from gpu_clusters.eks.pools import EksGpuPool

#: A spot pool's further machines have at most this many times the vCPUs of its smallest: more types mean more places to
#: find capacity in, and fewer of its pods would be on a machine far larger than they need.
_SPOT_SPREAD = 4


def machine_names(pool: EksGpuPool) -> tuple[str, ...]:
    """The EC2 instance types of the pool: as it says, else the default's; empty where AWS has none."""
    if pool.machines:
        return tuple(pool.machines)
    found = [item for item in machines_for(pool.gpu, pool.gpus_per_node) if runs(pool, item)]
    if not isinstance(pool.capacity, Spot):
        return tuple(item.name for item in found[:1])
    return tuple(item.name for item in found if _goes_with(item, found[0], pool))


def pool_machines(pool: EksGpuPool) -> tuple[Machine, ...]:
    """The same as facts; a machine that the catalogue doesn't know is left out."""
    return tuple(found for name in machine_names(pool) if (found := machine(name)))


def runs(pool: EksGpuPool, item: Machine) -> bool:
    """Whether the pool's image runs on a machine."""
    if pool.ami_id is not None:
        return True
    if pool.ami_type is not None:
        return any(pool.ami_type in (found.name, found.fips_name) for found in ami_types(item.family))
    return ami_type(item.family, ami_family(pool)) is not None


def ami_family(pool: EksGpuPool) -> AmiFamily:
    """The operating system of the pool's nodes."""
    if pool.ami is None and pool.ami_type is not None and pool.ami_type.startswith("BOTTLEROCKET"):
        return "bottlerocket"
    return pool.ami or "al2023"


def pool_ami_type(pool: EksGpuPool) -> str:
    """EKS's name of the pool's image; `CUSTOM` for an image of the user's own.

    Never left to EKS, which would put an image without GPU parts on a GPU node (awslabs/amazon-eks-ami issue 1817).
    """
    if pool.ami_id is not None:
        return "CUSTOM"
    return pool.ami_type or ami_type(family_of(machine_names(pool)[0]), ami_family(pool)) or ""


def is_fixed(pool: GpuPool) -> bool:
    """Whether the pool's capacity is reserved, so that there is nothing beyond it."""
    return isinstance(pool.capacity, (Reservation, CapacityBlock))


def pool_zones(pool: EksGpuPool, zones: Sequence[str]) -> tuple[str, ...]:
    """The zone ids of the pool's nodes in a cluster with those zones."""
    if isinstance(pool.capacity, (Reservation, CapacityBlock)):
        return (pool.capacity.zone,)
    return tuple(pool.zones or zones)


def uses_efa(pool: EksGpuPool, zones: Sequence[str]) -> bool:
    """Whether the pool's nodes get EFA in a cluster with those zones: as it says, else by the rule of `efa`."""
    if pool.efa is not None:
        return pool.efa
    return pool.nodes.max > 1 and len(pool_zones(pool, zones)) == 1 and fabric(pool) != ()


def fabric(pool: EksGpuPool) -> tuple[Interface, ...]:
    """The interfaces that every machine of the pool takes for EFA; none where they differ or one isn't known."""
    layouts = {interfaces(item) for item in pool_machines(pool)}
    return layouts.pop() if len(layouts) == 1 and len(pool_machines(pool)) == len(machine_names(pool)) else ()


def update_strategy(pool: EksGpuPool) -> Literal["default", "minimal"]:
    """Whether an update starts new nodes first or stops old ones first."""
    return pool.update_strategy or ("minimal" if is_fixed(pool) else "default")


def deletes_first(pool: EksGpuPool) -> bool:
    """Whether a replaced group is deleted before its successor is made."""
    return (pool.replacement or ("deleteFirst" if is_fixed(pool) else "createFirst")) == "deleteFirst"


def local_nvme_gb(pool: EksGpuPool) -> int:
    """Local NVMe storage in GB that every node of the pool has and uses; 0 without."""
    sizes = [item.local_nvme_gb or 0 for item in pool_machines(pool)]
    return min(sizes, default=0) if pool.local_nvme == "raid0" else 0


def extended_resources(pool: EksGpuPool, zones: Sequence[str]) -> dict[str, int]:
    """The extended resources that one node offers once its device plugins run: GPUs, and EFA where it has it."""
    efa = {EFA_RESOURCE: efa_count(pool_machines(pool)[0])} if uses_efa(pool, zones) else {}
    return {pool.resource: pool.units_per_node, **efa}


def gpu_taints(pool: GpuPool) -> tuple[Taint, ...]:
    """The taints of a GPU pool's nodes, ours first."""
    return (Taint(key=labels.GPU_TAINT_KEY, value=labels.GPU_TAINT_VALUE), *pool.taints)


def ephemeral_gb(pool: EksGpuPool) -> int:
    """Room for images, logs and ephemeral volumes on a node in GB: its local NVMe where it is used, else its disk."""
    return local_nvme_gb(pool) or pool.disk_gib


def _goes_with(item: Machine, smallest: Machine, pool: EksGpuPool) -> bool:
    is_alike = item.architecture == smallest.architecture and item.feeds_gpus == smallest.feeds_gpus
    is_near = item.vcpus <= _SPOT_SPREAD * smallest.vcpus
    return (
        is_alike and is_near and item.spot is not False and (not pool.efa or interfaces(item) == interfaces(smallest))
    )
