"""Whether the nodes and pods of a cluster's pools fit into its subnets.  No Pulumi.

Each pod has an address of its subnet, as its node has (awslabs/amazon-eks-ami issue 1392 is what it is like without).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpu_clusters.eks.machines import machine
from gpu_clusters.eks.networks import NewNetwork
from gpu_clusters.eks.pool_facts import machine_names, pool_zones
from gpu_clusters.eks.pools import EksGpuPool, EksSystemPool
from gpu_clusters.errors import ConfigError, ProblemId


def address_problems(network: NewNetwork, pools: Sequence[EksGpuPool], zones: Sequence[str]) -> Iterator[ConfigError]:
    """Pools that can't fit, however few pods there are: an address for each node, and one for each unit it offers."""
    for index, pool in enumerate(pools):
        needed = pool.nodes.max * (1 + pool.units_per_node)
        there = sum(network.addresses(zone) for zone in pool_zones(pool, zones))
        if needed > there:
            yield ConfigError(
                f"gpu_pools[{index}].nodes.max",
                f"its nodes and one pod for each GPU need {needed:,} addresses, and its zones have {there:,}",
                "lower it, use more zones, or a larger range in `network.cidr`",
                id=ProblemId.SUBNET_TOO_SMALL,
            )


def crowded_zones(
    network: NewNetwork, pools: Sequence[EksGpuPool], system_pool: EksSystemPool, zones: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Zones whose subnet is too small for every pod that its nodes could run: addresses needed, and there.

    A pool in several zones counts with its share, and a machine that the catalogue doesn't know with the 110 pods of
    Kubernetes's own default.
    """
    needed = dict.fromkeys(zones, 0)
    counts = [(pool_zones(pool, zones), pool.nodes.max, pool.max_pods, machine_names(pool)) for pool in pools]
    counts.append((tuple(zones), system_pool.nodes.max, None, tuple(system_pool.machines)))
    for own_zones, nodes, max_pods, names in counts:
        each = 1 + (max_pods or max((_max_pods(name) for name in names), default=110))
        for zone in own_zones:
            needed[zone] += -(-nodes // len(own_zones)) * each
    return {zone: (count, network.addresses(zone)) for zone, count in needed.items() if count > network.addresses(zone)}


def _max_pods(name: str) -> int:
    found = machine(name)
    return found.max_pods if found and found.max_pods else 110
