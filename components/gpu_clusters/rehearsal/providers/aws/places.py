"""Where a simulated provider works: its account, region, partition and zones."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase
from typing import Final

from gpu_clusters.eks.machines import known_zones
from gpu_clusters.eks.regions import partition, zone_prefix

#: The account of every rehearsal: twelve zeros, which AWS gives to nobody.
ACCOUNT: Final = "000000000000"
#: Of AWS's partitions, where endpoints aren't under amazonaws.com (botocore, `data/partitions.json`).
_DOMAINS: Final = {
    "aws-cn": "amazonaws.com.cn",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
    "aws-eusc": "amazonaws.eu",
}
_FEWEST_ZONES: Final = 3


@dataclass(frozen=True)
class Place:
    """A region, as AWS spells what is in it.

    Attributes:
        region: e.g. `us-west-2`.
    """

    region: str

    @property
    def partition(self) -> str:
        """The second part of its ARNs, e.g. `aws`."""
        return partition(self.region)

    @property
    def domain(self) -> str:
        """What its endpoints end with, e.g. `amazonaws.com`."""
        return _DOMAINS.get(self.partition, "amazonaws.com")

    def zones(self) -> dict[str, str]:
        """Its availability zones, names by id: those that the catalogue knows, and three at least.

        Which name an account has for which id is chance at AWS; here `a` is the first, `b` the second, and so on.
        """
        prefix = f"{zone_prefix(self.region)}-az"
        known = {zone for zone in known_zones() if zone.startswith(prefix)}
        if len(known) < _FEWEST_ZONES:
            known |= {f"{prefix}{number}" for number in range(1, _FEWEST_ZONES + 1)}
        return {zone: self.zone_name(zone) for zone in sorted(known)}

    def zone_name(self, zone_id: str) -> str:
        """`us-west-2b` for `usw2-az2`."""
        number = zone_id.rpartition("-az")[2]
        return f"{self.region}{ascii_lowercase[(int(number) - 1) % 26]}" if number.isdigit() else zone_id

    def zone_id(self, name: str) -> str:
        """`usw2-az2` for `us-west-2b`."""
        letter = name.removeprefix(self.region)
        number = ascii_lowercase.find(letter) + 1 if len(letter) == 1 else 0
        return f"{zone_prefix(self.region)}-az{number}" if number else name
