"""What the name of an AWS region says: its partition, and how the ids of its zones begin.  No Pulumi."""

from __future__ import annotations

import re
from typing import Final

#: Regions by their beginning, and the partition that ARNs in them name (botocore, `data/endpoints.json`).
_PARTITIONS: Final = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
    "us-iso-": "aws-iso",
    "eu-isoe-": "aws-iso-e",
    "eusc-": "aws-eusc",
}
_REGION: Final = re.compile(r"([a-z]{2,4})((?:-[a-z]+)*)-([a-z]+)-(\d)")
_DIRECTIONS: Final = ("north", "south", "east", "west", "central")


def is_region(name: str) -> bool:
    """Whether a text is spelled as AWS spells regions."""
    return _REGION.fullmatch(name) is not None


def partition(region: str) -> str:
    """The partition of a region, e.g. `aws` or `aws-us-gov`."""
    return next((found for start, found in _PARTITIONS.items() if region.startswith(start)), "aws")


def zone_prefix(region: str) -> str:
    """How the ids of a region's zones begin: `usw2` for `us-west-2`, `apse1` for `ap-southeast-1`.

    Source: EC2 user guide, "Availability Zones", AZ IDs; every zone of `data/aws_gpu_zone_offerings.csv` follows it.
    """
    found = _REGION.fullmatch(region)
    if found is None:
        return region
    area, middle, direction, number = found.groups()
    return area + "".join(part[0] for part in middle.split("-") if part) + _initials(direction) + number


def _initials(direction: str) -> str:
    """`southeast` is `se`."""
    letters = ""
    while direction:
        word = next((word for word in _DIRECTIONS if direction.startswith(word)), direction)
        letters, direction = letters + word[0], direction[len(word) :]
    return letters
