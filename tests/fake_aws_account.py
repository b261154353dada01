"""A simulated AWS account with a network, a cluster and its roles, for what is checked against them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gpu_clusters.rehearsal.providers.aws.checks import failures
from gpu_clusters.rehearsal.providers.aws.made import Existing
from gpu_clusters.rehearsal.providers.values import Properties, Value
from gpu_clusters.rehearsal.world import Journal

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
ROUTE = "aws:ec2/route:Route"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/policy:Policy"
CLUSTER = "aws:eks/cluster:Cluster"
GROUP = "aws:eks/nodeGroup:NodeGroup"
ADD_ON = "aws:eks/addon:Addon"
ENTRY = "aws:eks/accessEntry:AccessEntry"
IDENTITY = "aws:eks/podIdentityAssociation:PodIdentityAssociation"

VPC_ID = "vpc-0123456789abcdef0"
OTHER_VPC_ID = "vpc-0123456789abcdef1"
SUBNETS = [f"subnet-0123456789abcdef{number}" for number in range(4)]
TEMPLATE_ID = "lt-0123456789abcdef0"


def trust(service: str, *actions: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": list(actions or ["sts:AssumeRole"])}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def role_arn(name: str) -> str:
    return f"arn:aws:iam::000000000000:role/{name}"


def role(name: str, document: str) -> Existing:
    return Existing(ROLE, name, {"name": name, "assumeRolePolicy": document}, {"arn": role_arn(name), "name": name})


def subnet(number: int, zone: str, vpc: str = VPC_ID, **inputs: Value) -> Existing:
    said: Properties = {"vpcId": vpc, "cidrBlock": f"10.0.{number}.0/24", "availabilityZoneId": zone, **inputs}
    return Existing(SUBNET, SUBNETS[number], said, {"availabilityZone": f"us-west-2{'abc'[int(zone[-1]) - 1]}"})


BASE = [
    Existing(VPC, VPC_ID, {"cidrBlock": "10.0.0.0/16"}, {}),
    Existing(VPC, OTHER_VPC_ID, {"cidrBlock": "10.1.0.0/16"}, {}),
    subnet(0, "usw2-az1"),
    subnet(1, "usw2-az2"),
    subnet(2, "usw2-az1", mapPublicIpOnLaunch=True),
    subnet(3, "usw2-az2", OTHER_VPC_ID),
    role("cluster", trust("eks.amazonaws.com")),
    role("nodes", trust("ec2.amazonaws.com")),
    role("pods", trust("pods.eks.amazonaws.com")),
    Existing(
        CLUSTER,
        "prod",
        {"name": "prod", "version": "1.34", "vpcConfig": {"subnetIds": list(SUBNETS[:2])}},
        {"name": "prod", "version": "1.34"},
    ),
]


class Account:
    """What is there, as a list."""

    region = "us-west-2"

    def __init__(self, existing: Sequence[Existing] = ()) -> None:
        self.journal = Journal()
        self._existing = [*BASE, *existing]

    def find(self, identifier: str) -> Existing | None:
        names = [(one, (one.id, one.outputs.get("arn"), one.outputs.get("name"))) for one in self._existing]
        return next((one for one, known in names if identifier in known), None)

    def of(self, kind: str) -> Sequence[Existing]:
        return [one for one in self._existing if one.kind == kind]


def template(**inputs: Value) -> Existing:
    return Existing(TEMPLATE, TEMPLATE_ID, inputs, {"latestVersion": 1})


def nics(*places: tuple[int, int, str]) -> list[Value]:
    return [{"networkCardIndex": card, "deviceIndex": device, "interfaceType": kind} for card, device, kind in places]


def subnet_inputs(**inputs: Value) -> Properties:
    return {"vpcId": VPC_ID, "cidrBlock": "10.0.9.0/24", "availabilityZoneId": "usw2-az1", **inputs}


def group_inputs(**inputs: Value) -> Properties:
    return {
        "clusterName": "prod",
        "nodeRoleArn": role_arn("nodes"),
        "subnetIds": [SUBNETS[0]],
        "scalingConfig": {"minSize": 0, "desiredSize": 0, "maxSize": 2},
        **inputs,
    }


def templated(**inputs: Value) -> Properties:
    reference: Value = {"id": TEMPLATE_ID, "version": "1"}
    return {**group_inputs(), "launchTemplate": reference, **inputs}


def cluster_inputs(**inputs: Value) -> Properties:
    return {
        "name": "new",
        "roleArn": role_arn("cluster"),
        "version": "1.35",
        "vpcConfig": {"subnetIds": list(SUBNETS[:2])},
        **inputs,
    }


def refused(kind: str, inputs: Properties, *existing: Existing) -> dict[str, str]:
    return {failure.property: failure.reason for failure in failures(kind, inputs, Account(existing))}
