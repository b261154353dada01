"""What EC2 refuses in networks, of which its models say nothing: ranges, zones, rules of security groups.

Source: EC2 and VPC user guides and the API reference of each operation, where no other is given.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from gpu_clusters.eks.regions import zone_prefix
from gpu_clusters.rehearsal.providers.aws.made import Existing, Made
from gpu_clusters.rehearsal.providers.aws.references import named
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Value

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: VPC user guide, "VPC CIDR blocks" and "Subnet sizing": between /16 and /28.
_SHORTEST: Final = 16
_LONGEST: Final = 28
_VPC: Final = "aws:ec2/vpc:Vpc"
_SUBNET: Final = "aws:ec2/subnet:Subnet"
#: What a route may lead to, of which it has exactly one.
_TARGETS: Final = (
    "carrierGatewayId",
    "coreNetworkArn",
    "egressOnlyGatewayId",
    "gatewayId",
    "localGatewayId",
    "natGatewayId",
    "networkInterfaceId",
    "transitGatewayId",
    "vpcEndpointId",
    "vpcPeeringConnectionId",
)
_DESTINATIONS: Final = ("destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId")
_PEERS: Final = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
_PROTOCOLS: Final = ("-1", "all", "tcp", "udp", "icmp", "icmpv6")
#: Where a property has a range of addresses, whatever the resource.
_RANGES: Final = ("cidrBlock", "cidrIpv4", "destinationCidrBlock", "cidrBlocks", "publicAccessCidrs", "serviceIpv4Cidr")


def failures(kind: str, inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    """What EC2 would refuse of a resource's inputs."""
    yield from _range_failures(inputs, "")
    rule = _RULES.get(kind)
    if rule is not None:
        yield from rule(inputs, made)


def is_public(subnet: Existing, made: Made) -> bool:
    """Whether a subnet's own route table leads to an internet gateway, as far as it is made already."""
    tables = [
        item.inputs.get("routeTableId")
        for item in made.of("aws:ec2/routeTableAssociation:RouteTableAssociation")
        if item.inputs.get("subnetId") == subnet.id
    ]
    gateways = {item.id for item in made.of("aws:ec2/internetGateway:InternetGateway")}
    for route in made.of("aws:ec2/route:Route"):
        if route.inputs.get("routeTableId") in tables and route.inputs.get("gatewayId") in gateways:
            return True
    return False


def _range_failures(value: Value, path: str) -> Iterator[CheckFailure]:
    if isinstance(value, dict):
        for key, item in value.items():
            where = f"{path}.{key}" if path else key
            if key not in _RANGES:
                yield from _range_failures(item, where)
                continue
            for index, text in enumerate(item if isinstance(item, list) else [item]):
                at = f"{where}[{index}]" if isinstance(item, list) else where
                if isinstance(text, str) and text and (problem := _range_problem(text)):
                    yield CheckFailure(at, problem)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _range_failures(item, f"{path}[{index}]")


def _range_problem(text: str) -> str | None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        if "has host bits set" in str(error):
            return f"{text} has bits set beyond its prefix; use {ipaddress.ip_network(text, strict=False)}"
        return f"{text!r} is not a range of addresses; write it like 10.0.0.0/16"
    return None


def _network(value: Value) -> _Network | None:
    try:
        return ipaddress.ip_network(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _size_failures(inputs: Properties) -> Iterator[CheckFailure]:
    network = _network(inputs.get("cidrBlock"))
    if network is not None and not _SHORTEST <= network.prefixlen <= _LONGEST:
        yield CheckFailure(
            "cidrBlock",
            f"{network} is a /{network.prefixlen}, and AWS has /{_SHORTEST} to /{_LONGEST}; use one of those",
        )


def _vpc(inputs: Properties, _made: Made) -> Iterator[CheckFailure]:
    yield from _size_failures(inputs)
    if not inputs.get("cidrBlock") and not inputs.get("ipv4IpamPoolId"):
        yield CheckFailure("cidrBlock", "`cidrBlock` is missing; give the VPC's range, e.g. 10.0.0.0/16")
    if inputs.get("enableDnsHostnames") is True and inputs.get("enableDnsSupport") is False:
        yield CheckFailure("enableDnsHostnames", "needs DNS support; leave `enableDnsSupport` true")


def _subnet(inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    yield from _size_failures(inputs)
    yield from _zone_failures(inputs, made.region)
    network = _network(inputs.get("cidrBlock"))
    vpc = named(made, inputs.get("vpcId"), _VPC)
    if network is None or vpc is None:
        return
    outer = _network(vpc.inputs.get("cidrBlock"))
    if outer is not None and not _within(network, outer):
        yield CheckFailure("cidrBlock", f"{network} isn't in its VPC's range {outer}; choose a part of that")


def overlap_failures(inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    """The subnets of the same VPC whose addresses a new subnet would take."""
    network = _network(inputs.get("cidrBlock"))
    for other in made.of(_SUBNET):
        taken = _network(other.inputs.get("cidrBlock"))
        if network is None or taken is None or other.inputs.get("vpcId") != inputs.get("vpcId"):
            continue
        if network.version == taken.version and network.overlaps(taken):
            yield CheckFailure("cidrBlock", f"{network} overlaps {taken} of {other.id}; choose a free range")


def _within(inner: _Network, outer: _Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def _zone_failures(inputs: Properties, region: str) -> Iterator[CheckFailure]:
    name, number = inputs.get("availabilityZone"), inputs.get("availabilityZoneId")
    prefix = zone_prefix(region)
    if name and number:
        yield CheckFailure("availabilityZoneId", "stands beside `availabilityZone`; give one of them")
    if isinstance(number, str) and not re.fullmatch(rf"{prefix}(?:-[a-z0-9]+)*-az\d+", number):
        yield CheckFailure(
            "availabilityZoneId", f"{number!r} is no zone of {region}; they are called {prefix}-az1, ..."
        )
    if isinstance(name, str) and not re.fullmatch(rf"{region}(?:[a-z]|-[a-z0-9-]+[a-z])", name):
        yield CheckFailure("availabilityZone", f"{name!r} is no zone of {region}; they are called {region}a, ...")


def _route(inputs: Properties, _made: Made) -> Iterator[CheckFailure]:
    yield from _one_of(inputs, _TARGETS, "gatewayId")
    yield from _one_of(inputs, _DESTINATIONS, "destinationCidrBlock")


def _group_rule(inputs: Properties, _made: Made) -> Iterator[CheckFailure]:
    yield from _one_of(inputs, _PEERS, "cidrIpv4")
    yield from _port_failures(inputs, "ipProtocol")


def _port_failures(inputs: Mapping[str, Value], name: str) -> Iterator[CheckFailure]:
    protocol, begin, end = str(inputs.get(name)), inputs.get("fromPort"), inputs.get("toPort")
    if inputs.get(name) is UNKNOWN or inputs.get(name) is None:
        return
    if protocol not in _PROTOCOLS and not (protocol.isdecimal() and int(protocol) < 256):
        yield CheckFailure(name, f"{protocol!r} is not a protocol; use tcp, udp, icmp, icmpv6 or -1 for all")
    if not isinstance(begin, int) or not isinstance(end, int):
        if protocol in ("tcp", "udp") and (begin is None or end is None):
            yield CheckFailure("fromPort", f"{protocol} needs both ports; give `fromPort` and `toPort`")
        return
    if protocol in ("tcp", "udp") and not 0 <= begin <= end <= 65_535:
        yield CheckFailure("fromPort", f"{begin} to {end} is not a range of ports; use 0 to 65535, lowest first")
    if protocol in ("-1", "all") and (begin, end) not in ((0, 0), (-1, -1), (0, 65_535)):
        yield CheckFailure("fromPort", "all protocols have all ports; leave the ports out, or name a protocol")


def _old_rule(inputs: Properties, _made: Made) -> Iterator[CheckFailure]:
    if inputs.get("type") not in ("ingress", "egress", UNKNOWN):
        yield CheckFailure("type", f"{inputs.get('type')!r} is neither 'ingress' nor 'egress'; use one of them")
    yield from _port_failures(inputs, "protocol")


def _endpoint(inputs: Properties, _made: Made) -> Iterator[CheckFailure]:
    kind = inputs.get("vpcEndpointType") or "Gateway"
    if kind == "Gateway":
        for name in ("subnetIds", "securityGroupIds", "privateDnsEnabled"):
            if inputs.get(name):
                yield CheckFailure(name, "is for interface endpoints; set `vpcEndpointType` to Interface")
    elif kind == "Interface" and inputs.get("routeTableIds"):
        yield CheckFailure("routeTableIds", "is for gateway endpoints; give `subnetIds`")
    service = inputs.get("serviceName")
    if isinstance(service, str) and kind == "Gateway" and not service.endswith((".s3", ".dynamodb", ".s3express")):
        yield CheckFailure("vpcEndpointType", f"{service} has no gateway endpoint; set it to Interface")


def _one_of(inputs: Properties, names: Iterable[str], example: str) -> Iterator[CheckFailure]:
    given = [name for name in names if inputs.get(name) not in (None, "")]
    if not given:
        yield CheckFailure(example, f"none of {', '.join(names)} is given; give one")
    elif len(given) > 1:
        yield CheckFailure(given[1], f"stands beside `{given[0]}`; give one of them")


_RULES: Final[Mapping[str, Callable[[Properties, Made], Iterator[CheckFailure]]]] = {
    _VPC: _vpc,
    _SUBNET: _subnet,
    "aws:ec2/route:Route": _route,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _group_rule,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _group_rule,
    "aws:ec2/securityGroupRule:SecurityGroupRule": _old_rule,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint,
}
