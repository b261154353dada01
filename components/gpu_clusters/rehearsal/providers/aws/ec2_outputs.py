"""What EC2 answers beside what the program says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gpu_clusters.rehearsal.providers.aws.account import digits
from gpu_clusters.rehearsal.providers.aws.making import Answer, Making
from gpu_clusters.rehearsal.providers.aws.reading import number, text
from gpu_clusters.rehearsal.providers.aws.references import SUBNET, VPC
from gpu_clusters.rehearsal.providers.aws.regions import ACCOUNT, domain, zone_id, zone_ids, zone_name
from gpu_clusters.rehearsal.providers.values import Properties, Value


def _vpc(made: Making) -> Properties:
    return {
        "enableDnsSupport": True,
        "enableDnsHostnames": False,
        "instanceTenancy": "default",
        "mainRouteTableId": f"rtb-{digits(made.seed + 'main', 17)}",
        "defaultRouteTableId": f"rtb-{digits(made.seed + 'main', 17)}",
        "defaultSecurityGroupId": f"sg-{digits(made.seed + 'default', 17)}",
        "defaultNetworkAclId": f"acl-{digits(made.seed + 'default', 17)}",
        "dhcpOptionsId": f"dopt-{digits(made.seed, 17)}",
        "ipv6CidrBlock": "",
        "ownerId": ACCOUNT,
    }


def _subnet(made: Making) -> Properties:
    wanted = text(made.known, "availabilityZoneId")
    name = text(made.known, "availabilityZone")
    wanted = wanted or zone_id(made.region, name) or zone_ids(made.region)[0]
    return {
        "availabilityZone": zone_name(made.region, wanted),
        "availabilityZoneId": wanted,
        "mapPublicIpOnLaunch": False,
        "assignIpv6AddressOnCreation": False,
        "ownerId": ACCOUNT,
    }


def _address(made: Making) -> Properties:
    # TEST-NET-3 of RFC 5737: nobody's.
    host = int(digits(made.seed, 2), 16)
    return {
        "allocationId": made.id,
        "publicIp": f"203.0.113.{host}",
        "domain": "vpc",
        "publicDns": f"ec2-203-0-113-{host}.{made.region}.compute.{domain(made.region)}",
    }


def _nat_gateway(made: Making) -> Properties:
    address = made.account.get("aws:ec2/eip:Eip", made.region, text(made.known, "allocationId"))
    return {
        "connectivityType": "public",
        "publicIp": text(address.outputs, "publicIp") if address else "",
        "networkInterfaceId": f"eni-{digits(made.seed, 17)}",
        "privateIp": "",
    }


def _owned(made: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"ownerId": ACCOUNT}


def _route(made: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"origin": "CreateRoute", "state": "active"}


def _endpoint(made: Making) -> Properties:
    return {
        "state": "available",
        "vpcEndpointType": "Gateway",
        "prefixListId": f"pl-{digits(made.seed, 17)}",
        "dnsEntries": [],
        "networkInterfaceIds": [],
        "cidrBlocks": [],
        "ownerId": ACCOUNT,
        "requesterManaged": False,
    }


def _security_group(made: Making) -> Properties:
    return {
        "description": "Managed by Pulumi",
        "ownerId": ACCOUNT,
        "ingress": [],
        "egress": [],
        "revokeRulesOnDelete": False,
        "vpcId": text(made.known, "vpcId"),
    }


def _group_rule(made: Making) -> Properties:
    return {"securityGroupRuleId": made.id}


def _launch_template(made: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"latestVersion": 1, "defaultVersion": 1}


def _placement_group(made: Making) -> Properties:
    return {"placementGroupId": f"pg-{digits(made.seed, 17)}", "partitionCount": 0, "spreadLevel": ""}


def _instance(made: Making) -> Properties:
    address = f"10.0.{int(digits(made.seed, 2), 16)}.{int(digits(made.seed + 'b', 2), 16)}"
    return {
        "instanceState": "running",
        "privateIp": address,
        "privateDns": f"ip-{address.replace('.', '-')}.{made.region}.compute.internal",
        "primaryNetworkInterfaceId": f"eni-{digits(made.seed, 17)}",
        "publicIp": "",
        "publicDns": "",
    }


def _key_pair(made: Making) -> Properties:
    return {"keyPairId": f"key-{digits(made.seed, 17)}", "keyType": "rsa", "fingerprint": digits(made.seed, 32)}


def _reservation(made: Making) -> Properties:
    count: Value = number(made.known, "instanceCount") or 0
    return {"ownerId": ACCOUNT, "instanceCount": count, "tenancy": "default", "endDateType": "unlimited"}


EC2_ANSWERS: Final[Mapping[str, Answer]] = {
    VPC: _vpc,
    SUBNET: _subnet,
    "aws:ec2/eip:Eip": _address,
    "aws:ec2/natGateway:NatGateway": _nat_gateway,
    "aws:ec2/internetGateway:InternetGateway": _owned,
    "aws:ec2/routeTable:RouteTable": _owned,
    "aws:ec2/route:Route": _route,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint,
    "aws:ec2/securityGroup:SecurityGroup": _security_group,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _group_rule,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _group_rule,
    "aws:ec2/securityGroupRule:SecurityGroupRule": _group_rule,
    "aws:ec2/launchTemplate:LaunchTemplate": _launch_template,
    "aws:ec2/placementGroup:PlacementGroup": _placement_group,
    "aws:ec2/capacityReservation:CapacityReservation": _reservation,
    "aws:ec2/instance:Instance": _instance,
    "aws:ec2/keyPair:KeyPair": _key_pair,
}
