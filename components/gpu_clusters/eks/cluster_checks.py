"""What is wrong with a pool in a certain cluster: its zones, and its image for the Kubernetes version.  No Pulumi."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpu_clusters._spec import own_problems, unchecked
from gpu_clusters.eks.machines import known_zones, zones_of
from gpu_clusters.eks.pool_facts import ami_family, machine_names, pool_zones, uses_efa
from gpu_clusters.eks.pools import EksGpuPool, EksSystemPool, eks_pool
from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.pools import CapacityBlock, GpuPool, Reservation


def pool_problems(
    pool: GpuPool, *, zones: Sequence[str], region: str, kubernetes_version: str, path: str
) -> Iterator[ConfigError]:
    """What EKS can't do with a pool in a cluster, beside what the pool has said of itself.

    Args:
        zones: the cluster's zone ids, in which it has subnets.
        path: where the pool stands, e.g. `gpu_pools[0]`; every error's path begins with it.
    """
    if any(own_problems(pool)):
        return
    with unchecked():
        wide = eks_pool(pool)
    # What an EksGpuPool says of itself is said where it is built; a plain pool doesn't know of EKS.
    own = tuple(own_problems(wide)) if not isinstance(pool, EksGpuPool) else ()
    for problem in own or _cluster_problems(wide, zones, region, kubernetes_version):
        yield problem.under(path)


def system_pool_problems(pool: EksSystemPool, *, kubernetes_version: str, path: str) -> Iterator[ConfigError]:
    """What EKS can't do with a system pool in a cluster, beside what the pool has said of itself."""
    for problem in release_problems(pool.ami, pool.release_version, kubernetes_version):
        yield problem.under(path)


def release_problems(ami: str, release: str | None, kubernetes_version: str) -> Iterator[ConfigError]:
    """An AL2023 release of another Kubernetes version than the cluster's; Bottlerocket has numbers of its own."""
    if release is not None and ami == "al2023" and not release.startswith(f"{kubernetes_version}."):
        yield ConfigError(
            "release_version",
            f"{release} is not an image of Kubernetes {kubernetes_version}, which the cluster has",
            f"use one that begins with {kubernetes_version}., or leave `release_version` out for the newest",
            id=ProblemId.CONFLICT,
        )


def offered_zones(pool: EksGpuPool, zones: Sequence[str]) -> tuple[str, ...]:
    """Those of the zones in which AWS offers one of the pool's machines, as far as the catalogue knows."""
    return tuple(zone for zone in zones if _is_offered(pool, zone))


def _cluster_problems(
    pool: EksGpuPool, zones: Sequence[str], region: str, kubernetes_version: str
) -> Iterator[ConfigError]:
    yield from release_problems(ami_family(pool), pool.release_version, kubernetes_version)
    wanted = pool_zones(pool, zones)
    foreign = [zone for zone in wanted if zone not in zones]
    if foreign:
        is_reserved = isinstance(pool.capacity, (Reservation, CapacityBlock))
        yield ConfigError(
            "capacity.zone" if is_reserved else "zones",
            f"the cluster has no subnet in {', '.join(foreign)}: its zones are {', '.join(zones)}",
            "add the zone to the cluster's `zones`" + ("" if is_reserved else ", or use one of those"),
            id=ProblemId.UNKNOWN_REFERENCE,
        )
        return
    yield from _offering_problems(pool, zones, wanted, region)
    yield from _single_zone_problems(pool, zones, wanted)


def _offering_problems(
    pool: EksGpuPool, zones: Sequence[str], wanted: Sequence[str], region: str
) -> Iterator[ConfigError]:
    missing = [zone for zone in wanted if not _is_offered(pool, zone)]
    if not missing:
        return
    here = offered_zones(pool, zones)
    prefix = missing[0].rpartition("-")[0]
    anywhere = sorted(
        {zone for name in machine_names(pool) for zone in zones_of(name) or () if zone.startswith(f"{prefix}-")}
    )
    is_reserved = isinstance(pool.capacity, (Reservation, CapacityBlock))
    if is_reserved and anywhere:
        remedy = f"look up the reservation's zone id and machine again; AWS offers it in {', '.join(anywhere)}"
    elif here:
        remedy = f"set `zones` to {', '.join(here)}"
    elif anywhere:
        remedy = f"in {region} it is in {', '.join(anywhere)}: add one to the cluster's `zones`"
    else:
        remedy = f"AWS offers it nowhere in {region}: use another GPU, machine or region"
    yield ConfigError(
        "capacity.zone" if is_reserved else "zones",
        f"AWS doesn't offer {' or '.join(machine_names(pool))} in {', '.join(missing)}",
        remedy,
        id=ProblemId.ZONE_UNAVAILABLE,
    )


def _single_zone_problems(pool: EksGpuPool, zones: Sequence[str], wanted: Sequence[str]) -> Iterator[ConfigError]:
    if len(wanted) < 2:
        return
    needs = {"efa": uses_efa(pool, zones), "placement_group": pool.placement_group}
    for name, needed in needs.items():
        # Where the pool's own `zones` are several it has said so itself.
        if needed and not pool.zones:
            yield ConfigError(
                name,
                f"needs all nodes in one zone, and the pool is in {', '.join(wanted)}",
                f"set `zones` to one of them, e.g. {wanted[0]}",
                id=ProblemId.CONFLICT,
            )


def _is_offered(pool: EksGpuPool, zone: str) -> bool:
    offerings = [zones_of(name) for name in machine_names(pool)]
    return zone not in known_zones() or any(found is None or zone in found for found in offerings)
