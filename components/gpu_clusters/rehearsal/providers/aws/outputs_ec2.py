"""What AWS fills in: EC2 and its networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gpu_clusters.rehearsal.providers.aws.identities import text
from gpu_clusters.rehearsal.providers.aws.making import Making
from gpu_clusters.rehearsal.providers.aws.places import ACCOUNT
from gpu_clusters.rehearsal.providers.values import Properties, Value, reveal

#: Of a launch template, what makes no new version of it.
_NOT_VERSIONED: Final = frozenset({"tags", "name", "namePrefix", "updateDefaultVersion", "region", "__defaults"})


def _vpc(making: Making) -> Properties:
    has_ipv6 = reveal(making.inputs.get("assignGeneratedIpv6CidrBlock")) is True
    return {
        "defaultNetworkAclId": making.id_of("acl", "default"),
        "defaultRouteTableId": making.id_of("rtb", "default"),
        "defaultSecurityGroupId": making.id_of("sg", "default"),
        "dhcpOptionsId": making.id_of("dopt", "default"),
        "mainRouteTableId": making.id_of("rtb", "default"),
        "enableDnsHostnames": False,
        "enableDnsSupport": True,
        "enableNetworkAddressUsageMetrics": False,
        "instanceTenancy": "default",
        "ipv6CidrBlock": f"2600:1f14:{making.seed[:2]}:{making.seed[2:4]}00::/56" if has_ipv6 else "",
        "ownerId": ACCOUNT,
    }


def _subnet(making: Making) -> Properties:
    zone, zone_id = text(making.inputs, "availabilityZone"), text(making.inputs, "availabilityZoneId")
    if not zone and not zone_id:
        zones = sorted(making.place.zones())
        zone_id = zones[int(making.seed[:4], 16) % len(zones)]
    return {
        "availabilityZone": zone or making.place.zone_name(zone_id),
        "availabilityZoneId": zone_id or making.place.zone_id(zone),
        "assignIpv6AddressOnCreation": False,
        "mapPublicIpOnLaunch": False,
        "privateDnsHostnameTypeOnLaunch": "ip-name",
        "ownerId": ACCOUNT,
    }


def _eip(making: Making) -> Properties:
    address = making.address(52)
    dashed = address.replace(".", "-")
    return {
        "allocationId": making.identity.id,
        "domain": "vpc",
        "publicIp": address,
        "publicDns": f"ec2-{dashed}.{making.place.region}.compute.{making.place.domain}",
        "publicIpv4Pool": "amazon",
        "networkBorderGroup": making.place.region,
    }


def _nat_gateway(making: Making) -> Properties:
    elastic = making.made.find(text(making.inputs, "allocationId"))
    return {
        "connectivityType": "public",
        "networkInterfaceId": making.id_of("eni", "nat"),
        "privateIp": making.address(10),
        "publicIp": text(elastic.outputs, "publicIp") if elastic else "",
        "associationId": making.id_of("eipassoc", "nat"),
    }


def _route(making: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"origin": "CreateRoute", "state": "active"}


def _endpoint(making: Making) -> Properties:
    kind = text(making.inputs, "vpcEndpointType") or "Gateway"
    name = text(making.inputs, "serviceName")
    dns: list[Value] = []
    interfaces: list[Value] = []
    if kind == "Interface":
        service = name.rpartition(".")[2]
        host = f"{making.identity.id}.{service}.{making.place.region}.vpce.{making.place.domain}"
        dns = [{"dnsName": host, "hostedZoneId": f"Z{making.seed[:13].upper()}"}]
        interfaces = [making.id_of("eni", "endpoint")]
    return {
        "vpcEndpointType": kind,
        "dnsEntries": dns,
        "networkInterfaceIds": interfaces,
        "prefixListId": making.id_of("pl", "endpoint") if kind == "Gateway" else "",
        "state": "available",
        "ownerId": ACCOUNT,
        "requesterManaged": False,
    }


def _security_group(making: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"description": "Managed by Pulumi", "ownerId": ACCOUNT, "ingress": [], "egress": []}


def _rule(making: Making) -> Properties:
    return {"securityGroupRuleId": making.identity.id}


def _launch_template(making: Making) -> Properties:
    before = making.old.get("latestVersion")
    latest = before if isinstance(before, int) else 1
    if making.old and _launch_settings(making.inputs) != _launch_settings(making.before):
        latest += 1
    default = making.old.get("defaultVersion")
    is_moved = reveal(making.inputs.get("updateDefaultVersion")) is True
    return {
        "latestVersion": latest,
        "defaultVersion": latest if is_moved or not isinstance(default, int) else default,
    }


def _launch_settings(inputs: Properties) -> Properties:
    """What a version of a launch template holds (terraform-provider-aws, ec2_launch_template.go, `updateKeys`)."""
    return {key: reveal(value) for key, value in inputs.items() if key not in _NOT_VERSIONED and value is not None}


def _placement_group(making: Making) -> Properties:
    return {"placementGroupId": making.id_of("pg", "group"), "partitionCount": 0}


def _reservation(making: Making) -> Properties:  # noqa: ARG001 - as the others
    return {
        "ebsOptimized": False,
        "endDateType": "unlimited",
        "ephemeralStorage": False,
        "instanceMatchCriteria": "open",
        "tenancy": "default",
        "ownerId": ACCOUNT,
    }


def _instance(making: Making) -> Properties:
    private = making.address(10)
    subnet = making.made.find(text(making.inputs, "subnetId"))
    return {
        "availabilityZone": text(subnet.outputs, "availabilityZone") if subnet else f"{making.place.region}a",
        "instanceState": "running",
        "privateIp": private,
        "privateDns": f"ip-{private.replace('.', '-')}.{making.place.region}.compute.internal",
        "publicIp": making.address(52),
        "primaryNetworkInterfaceId": making.id_of("eni", "instance"),
        "tenancy": "default",
    }


def _key_pair(making: Making) -> Properties:
    pairs = [making.seed[index : index + 2] for index in range(0, 32, 2)]
    return {"keyPairId": making.id_of("key", "pair"), "fingerprint": ":".join(pairs), "keyType": "rsa"}


#: By type token.
EC2: Final[Mapping[str, Callable[[Making], Properties]]] = {
    "aws:ec2/vpc:Vpc": _vpc,
    "aws:ec2/subnet:Subnet": _subnet,
    "aws:ec2/eip:Eip": _eip,
    "aws:ec2/natGateway:NatGateway": _nat_gateway,
    "aws:ec2/route:Route": _route,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint,
    "aws:ec2/securityGroup:SecurityGroup": _security_group,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _rule,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _rule,
    "aws:ec2/launchTemplate:LaunchTemplate": _launch_template,
    "aws:ec2/placementGroup:PlacementGroup": _placement_group,
    "aws:ec2/capacityReservation:CapacityReservation": _reservation,
    "aws:ec2/instance:Instance": _instance,
    "aws:ec2/keyPair:KeyPair": _key_pair,
}
