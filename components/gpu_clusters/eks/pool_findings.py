"""What only might go wrong with a pool on EKS: said in the preview."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pulumi

from gpu_clusters.eks.machine_checks import newer_machines
from gpu_clusters.eks.machines import known_zones, zones_of
from gpu_clusters.eks.pool_facts import (
    ami_family,
    fabric,
    is_fixed,
    local_nvme_gb,
    machine_names,
    pool_machines,
    pool_zones,
    update_strategy,
    uses_efa,
)
from gpu_clusters.eks.pools import EksGpuPool
from gpu_clusters.errors import ProblemId
from gpu_clusters.findings import Severity, report
from gpu_clusters.pools import CapacityBlock, OnDemand, PlatformManaged, Spot

#: Below this a root disk without NVMe beside it is full after a few versions of an inference image of tens of GiB.
_ROOMY_DISK_GIB = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFinding:
    """A finding about one pool; see `gpu_clusters.findings.Finding`."""

    id: ProblemId
    severity: Severity
    problem: str
    remedy: str


def report_pool_findings(
    component: pulumi.ComponentResource, pools: Sequence[EksGpuPool], zones: Sequence[str]
) -> None:
    """Report what might go wrong with the pools of a cluster with those zones, whoever runs their nodes."""
    for pool in pools:
        for found in pool_findings(pool, zones):
            report(component, found.id, found.severity, f"pool {pool.name}: {found.problem}", found.remedy)


def pool_findings(pool: EksGpuPool, zones: Sequence[str]) -> Iterator[PoolFinding]:
    """What might go wrong with a pool in a cluster with those zones."""
    yield from _catalogue_findings(pool, zones)
    yield from _capacity_findings(pool)
    yield from _change_findings(pool)
    yield from _node_findings(pool, zones)


def _catalogue_findings(pool: EksGpuPool, zones: Sequence[str]) -> Iterator[PoolFinding]:
    for name in newer_machines(pool):
        yield _finding(
            ProblemId.NOT_IN_CATALOGUE,
            Severity.WARNING,
            f"{name} isn't in the library's catalogue, so its GPUs, zones, EFA and quota weren't checked",
            "check them yourself",
        )
    unknown = [zone for zone in pool_zones(pool, zones) if zone not in known_zones()]
    machines = [item.name for item in pool_machines(pool) if zones_of(item.name) is None]
    if unknown or machines:
        yield _finding(
            ProblemId.NOT_IN_CATALOGUE,
            Severity.NOTE,
            f"whether AWS offers {' or '.join(machines or machine_names(pool))} "
            f"in {', '.join(unknown or pool_zones(pool, zones))} isn't known to the library's catalogue",
            "ask `aws ec2 describe-instance-type-offerings --location-type availability-zone-id`",
        )


def _capacity_findings(pool: EksGpuPool) -> Iterator[PoolFinding]:
    if isinstance(pool.capacity, Spot) and len(machine_names(pool)) == 1:
        yield _finding(
            ProblemId.SPOT_NOT_DIVERSIFIED,
            Severity.WARNING,
            f"all its spot nodes are {machine_names(pool)[0]}, so they are reclaimed together and may not come back",
            "name several `machines` if AWS has others with that GPU, or use on-demand or a reservation",
        )
    if isinstance(pool.capacity, OnDemand) and any(item.capacity_blocks != "no" for item in pool_machines(pool)):
        yield _finding(
            ProblemId.CAPACITY_UNCERTAIN,
            Severity.WARNING,
            f"on-demand {machine_names(pool)[0]} is rarely to be had, and a group that waits for capacity can't be "
            "changed meanwhile (aws/containers-roadmap issue 2204)",
            "use a reservation or a Capacity Block, or keep `nodes.min` 0",
        )
    if isinstance(pool.capacity, CapacityBlock) and (pool.desired or pool.nodes.min) > 0:
        yield _finding(
            ProblemId.CAPACITY_UNCERTAIN,
            Severity.NOTE,
            "its nodes can start only while the Capacity Block is active",
            "keep `nodes.min` and `desired` 0 until it has started, and go back to 0 half an hour before it ends",
        )


def _change_findings(pool: EksGpuPool) -> Iterator[PoolFinding]:
    if pool.release_version is None and pool.ami_id is None:
        yield _finding(
            ProblemId.AMI_RELEASE_UNPINNED,
            Severity.NOTE,
            "the release of its image is the newest on the day when the group is made or Kubernetes is upgraded",
            "set `release_version` to have the same everywhere",
        )
    if not is_fixed(pool):
        return
    if update_strategy(pool) == "default":
        yield _finding(
            ProblemId.ROLLOUT_GAP,
            Severity.WARNING,
            "an update starts new nodes before it stops old ones, and beyond a reservation there are none",
            "use `update_strategy: minimal`, unless the reservation has room beyond `nodes.max`",
        )
    elif isinstance(pool.capacity, CapacityBlock):
        yield _finding(
            ProblemId.ROLLOUT_GAP,
            Severity.NOTE,
            "EKS wants no nodes in a Capacity Block's group while it is upgraded (EKS user guide, capacity-blocks-mng)",
            "set `desired` 0 first, upgrade, then set it back",
        )
    else:
        yield _finding(
            ProblemId.ROLLOUT_GAP,
            Severity.NOTE,
            f"an update stops {pool.max_unavailable} of its nodes before new ones start, since no capacity is spare",
            "plan for that gap; `max_unavailable` sets its size",
        )


def _node_findings(pool: EksGpuPool, zones: Sequence[str]) -> Iterator[PoolFinding]:
    cards = max((item.network_cards or 1 for item in pool_machines(pool)), default=1)
    if cards > 1 and pool.efa is None and pool.nodes.max > 1 and fabric(pool) and not uses_efa(pool, zones):
        yield _finding(
            ProblemId.EFA_UNUSED,
            Severity.WARNING,
            f"its machines have EFA on {cards} network cards, and the pool goes without since it spans several zones",
            "name one zone in `zones` for jobs across nodes, or say `efa: false`",
        )
    if pool.disk_gib < _ROOMY_DISK_GIB and not local_nvme_gb(pool):
        yield _finding(
            ProblemId.DISK_TOO_SMALL,
            Severity.WARNING,
            f"a disk of {pool.disk_gib} GiB holds few images of inference servers, and there is no NVMe beside it",
            f"use {_ROOMY_DISK_GIB} or more",
        )
    if isinstance(pool.devices, PlatformManaged) and ami_family(pool) == "al2023":
        yield _finding(
            ProblemId.DEVICE_PLUGIN_MISSING,
            Severity.WARNING,
            "EKS's AL2023 images have no device plugin (awslabs/amazon-eks-ami issue 2342), and none is installed",
            "leave `devices` out, or use `ami: bottlerocket`",
        )


def _finding(problem_id: ProblemId, severity: Severity, problem: str, remedy: str) -> PoolFinding:
    return PoolFinding(id=problem_id, severity=severity, problem=problem, remedy=remedy)
