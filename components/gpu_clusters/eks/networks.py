"""The network of an EKS cluster: made, or brought.  No Pulumi."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal

from gpu_clusters._spec import ByKind, spec
from gpu_clusters.errors import ConfigError, ProblemId

#: A VPC's range is cut into this many blocks: one for the private subnet of each zone, the last one for public subnets.
_BLOCKS_BITS: Final = 3
_PUBLIC_BLOCK: Final = 2**_BLOCKS_BITS - 1
#: AWS takes /16 to /28 (VPC user guide, "VPC CIDR blocks"); public subnets are 64 times smaller and are at least /28.
_PREFIXES: Final = (16, 22)
#: The addresses that AWS keeps of every subnet (VPC user guide, "Subnet sizing").
RESERVED_ADDRESSES: Final = 5


@spec
class NewNetwork:
    """A VPC of the cluster's own.

    Each zone has a private subnet, in which nodes and the control plane's interfaces are: an eighth of the range,
    chosen by the number in the zone's id, so that adding a zone moves no other. Public subnets, a 64th each, hold NAT
    gateways and load balancers only. S3, from which images' layers come, is reached by a gateway endpoint, which costs
    nothing.

    Args:
        cidr: the VPC's IPv4 range, /16 to /22. Default `10.0.0.0/16`: 8,187 addresses for nodes and pods of each zone.
            Choose another one where networks that are to be connected have it.
        nat: how nodes reach the internet: `perZone` (the default), a NAT gateway in each zone, so that a zone's failure
            stays in it and traffic doesn't cross zones; `single`, one for all, cheaper; `none`: not at all. Then there
            are no public subnets, AWS is reached by interface endpoints, and images must come from a registry of yours
            inside AWS (`images.registry`).
        interface_endpoints: endpoints for the AWS services that nodes call. They cost by the hour and zone. Default
            none: as needed, which is with `nat: none` only.
    """

    cidr: str = "10.0.0.0/16"
    nat: Literal["perZone", "single", "none"] = "perZone"
    interface_endpoints: bool | None = None
    kind: Literal["newNetwork"] = "newNetwork"

    @property
    def has_interface_endpoints(self) -> bool:
        """Whether AWS's services are reached by endpoints in the VPC."""
        return self.nat == "none" if self.interface_endpoints is None else self.interface_endpoints

    def private_range(self, zone: str) -> ipaddress.IPv4Network:
        """The range of a zone's private subnet."""
        return self._blocks()[_number(zone) - 1]

    def public_range(self, zone: str) -> ipaddress.IPv4Network:
        """The range of a zone's public subnet."""
        return list(self._blocks()[_PUBLIC_BLOCK].subnets(_BLOCKS_BITS))[_number(zone) - 1]

    def addresses(self, zone: str) -> int:
        """How many addresses a zone's private subnet has for nodes and pods."""
        return self.private_range(zone).num_addresses - RESERVED_ADDRESSES

    def _blocks(self) -> list[ipaddress.IPv4Network]:
        return list(ipaddress.IPv4Network(self.cidr).subnets(_BLOCKS_BITS))

    def _problems(self) -> Iterator[ConfigError]:
        low, high = _PREFIXES
        try:
            found = ipaddress.IPv4Network(self.cidr)
        except ValueError as error:
            yield ConfigError("cidr", f"it is not an IPv4 range: {error}", "use one such as `10.0.0.0/16`")
            return
        if not low <= found.prefixlen <= high:
            yield ConfigError(
                "cidr",
                f"a range of /{found.prefixlen} can't hold the subnets of a cluster",
                f"use /{low} to /{high}",
                id=ProblemId.OUT_OF_RANGE,
            )
        if self.nat == "none" and self.interface_endpoints is False:
            yield ConfigError(
                "interface_endpoints",
                "without NAT and without endpoints nodes reach neither EKS nor its images, and never join",
                "leave it out, or use `nat: single`",
                id=ProblemId.CONFLICT,
            )


@spec
class ExistingNetwork:
    """A VPC that is there already. Nothing in it is changed, and nothing of it is looked up.

    It needs DNS support and DNS host names; its private subnets need a way to AWS's services (NAT or endpoints), and
    the tag `kubernetes.io/role/internal-elb` = `1` where load balancers are to find them.

    Args:
        vpc_id: `vpc-...`.
        private_subnets: the subnet of each zone by the zone's id, e.g. `usw2-az1: subnet-...`; nodes and the control
            plane's interfaces are there. They mustn't give out public addresses: a node with EFA can't have one
            (terraform-aws-modules/terraform-aws-eks issue 3533).
    """

    vpc_id: str
    private_subnets: Mapping[str, str]
    kind: Literal["existingNetwork"] = "existingNetwork"

    def _problems(self) -> Iterator[ConfigError]:
        yield from _id_problems("vpc_id", self.vpc_id, "vpc")
        for zone, subnet in self.private_subnets.items():
            yield from _id_problems(f"private_subnets.{zone}", subnet, "subnet")
        seen: dict[str, str] = {}
        for zone, subnet in self.private_subnets.items():
            if subnet in seen:
                yield ConfigError(
                    f"private_subnets.{zone}",
                    f"{subnet} is given for {seen[subnet]} already, and a subnet is in one zone",
                    "name the subnet of each zone",
                    id=ProblemId.DUPLICATE_NAME,
                )
            seen.setdefault(subnet, zone)


Network = Annotated[NewNetwork | ExistingNetwork, ByKind()]


def network_problems(network: NewNetwork | ExistingNetwork, zones: Sequence[str]) -> Iterator[ConfigError]:
    """What a network lacks for a cluster with these zones, which are right by themselves."""
    if isinstance(network, NewNetwork):
        for index, zone in enumerate(zones):
            if _number(zone) > _PUBLIC_BLOCK:
                yield ConfigError(
                    f"zones[{index}]",
                    f"a new network has room for the zones 1 to {_PUBLIC_BLOCK} of a region",
                    "use another zone, or a network of your own",
                    id=ProblemId.OUT_OF_RANGE,
                )
        return
    for zone in zones:
        if zone not in network.private_subnets:
            yield ConfigError(
                "network.private_subnets",
                f"there is no subnet for {zone}, which is one of `zones`",
                f"add `{zone}: subnet-...`",
                id=ProblemId.MISSING_FIELD,
            )
    for zone in network.private_subnets:
        if zone not in zones:
            yield ConfigError(
                f"network.private_subnets.{zone}",
                "the cluster isn't in that zone",
                "add it to `zones`, or leave it out",
                id=ProblemId.UNKNOWN_REFERENCE,
            )


def _id_problems(path: str, value: str, kind: str) -> Iterator[ConfigError]:
    if not re.fullmatch(f"{kind}-[0-9a-f]{{8,17}}", value):
        yield ConfigError(path, f"{value!r} is not the id of a {kind}", f"use `{kind}-` and its hex digits")


def _number(zone: str) -> int:
    return int(zone.rpartition("-az")[2])
