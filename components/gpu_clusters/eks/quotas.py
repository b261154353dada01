"""The vCPU quotas of EC2 that pools need.  No Pulumi."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gpu_clusters import data
from gpu_clusters.eks.machines import family_of, machine
from gpu_clusters.eks.pool_facts import machine_names
from gpu_clusters.eks.pools import EksSystemPool, eks_pool
from gpu_clusters.pools import CapacityBlock, GpuPool, Spot

Market: TypeAlias = Literal["on-demand", "spot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaNeed:
    """What the pools of one AWS quota need of it, in the cluster's account and region.

    Attributes:
        code: its code at Service Quotas (service code `ec2`), e.g. `L-DB2E81BA`; None where no source gives one.
        name: as AWS calls it.
        market: `on-demand` or `spot`; they have quotas of their own.
        vcpus: with every pool at its maximum, on the largest of its machines.
        pools: the pools that share it, by name.
    """

    code: str | None
    name: str
    market: Market
    vcpus: int
    pools: tuple[str, ...]


def quotas(pools: Sequence[GpuPool], system_pool: EksSystemPool | None = None) -> tuple[QuotaNeed, ...]:
    """The quota that pools need, one entry per AWS quota, in the order of the pools.

    An On-Demand Capacity Reservation counts towards the on-demand quota, used or not (EC2 user guide, "On-Demand
    Instance quotas"). Capacity Blocks are left out: they have quotas of their own, in blocks at a time and not in
    vCPUs (AWS documentation, "Amazon EC2 instance type quotas"), and whether their instances also count towards the
    on-demand quota isn't documented there. Nor is a spot quota of P6. A machine that the catalogue doesn't know is left
    out. The documented default of every GPU quota is 0.
    """
    needs: dict[tuple[str | None, str], QuotaNeed] = {}
    for pool in (*pools, *([system_pool] if system_pool else [])):
        if isinstance(pool, GpuPool) and isinstance(pool.capacity, CapacityBlock):
            continue
        market: Market = "spot" if isinstance(pool, GpuPool) and isinstance(pool.capacity, Spot) else "on-demand"
        names = machine_names(eks_pool(pool)) if isinstance(pool, GpuPool) else pool.machines
        largest = max((found for name in names if (found := machine(name))), key=lambda m: m.vcpus, default=None)
        if largest is None:
            continue
        code, name = _quota(largest.family, market)
        before = needs.get((code, name))
        needs[code, name] = QuotaNeed(
            code=code,
            name=name,
            market=market,
            vcpus=(before.vcpus if before else 0) + largest.vcpus * pool.nodes.max,
            pools=(*(before.pools if before else ()), pool.name),
        )
    return tuple(needs.values())


def _quota(family: str, market: Market) -> tuple[str | None, str]:
    letters = re.match("[a-z]*", family)
    keys = {family_of(family), letters[0] if letters else ""}
    for row in data.rows("aws_quotas"):
        if row["market"] == market and keys & set(row["families"].split()):
            return row["code"], row["name"]
    return None, f"{family.upper()} {market} quota, which AWS's documentation doesn't name"
