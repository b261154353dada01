"""Regions, partitions and availability zones, without asking AWS."""

from __future__ import annotations

from functools import cache
from typing import Final

from gpu_clusters.eks.machines import known_zones

#: The account of every simulated resource. AWS gives no such number to anyone.
ACCOUNT: Final = "000000000000"
#: AWS General Reference, "Amazon Resource Names (ARNs)".
_PARTITIONS: Final = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "us-iso-": "aws-iso", "us-isob-": "aws-iso-b"}
_DOMAINS: Final = {"aws-cn": "amazonaws.com.cn", "aws-iso": "c2s.ic.gov", "aws-iso-b": "sc2s.sgov.gov"}
#: Where the catalogue has no zone of a region.
_ASSUMED_ZONES: Final = 3


def partition(region: str) -> str:
    """`aws` of `us-west-2`."""
    return next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")


def domain(region: str) -> str:
    """What the names of AWS's servers end in."""
    return _DOMAINS.get(partition(region), "amazonaws.com")


@cache
def zone_ids(region: str) -> tuple[str, ...]:
    """The zones of a region by id: those in which AWS offers GPUs; three where the catalogue has none."""
    short = _short(region)
    found = sorted(zone for zone in known_zones() if zone.startswith(f"{short}-az"))
    return tuple(found or (f"{short}-az{number}" for number in range(1, _ASSUMED_ZONES + 1)))


def zone_name(region: str, zone_id: str) -> str:
    """The name of a zone; each account has an order of its own, and the simulated one has that of the ids."""
    ids = zone_ids(region)
    return f"{region}{chr(ord('a') + ids.index(zone_id))}" if zone_id in ids else ""


def zone_id(region: str, name: str) -> str:
    """The inverse of `zone_name`; empty for a zone that isn't the region's."""
    return next((found for found in zone_ids(region) if zone_name(region, found) == name), "")


def _short(region: str) -> str:
    """`usw2` of `us-west-2`, as zone ids have it (EC2 user guide, "Availability Zone IDs")."""
    area, *direction, number = region.split("-")
    words = {"northeast": "ne", "southeast": "se", "northwest": "nw", "southwest": "sw"}
    return area + "".join(words.get(word, word[:1]) for word in direction) + number
