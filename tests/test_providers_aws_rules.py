"""What AWS refuses though its models don't: networks, documents, launch templates, clusters, node groups."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from fake_aws_account import (
    ENDPOINT,
    INGRESS,
    POLICY,
    ROLE,
    ROUTE,
    SUBNET,
    SUBNETS,
    TEMPLATE,
    VPC,
    VPC_ID,
    Account,
    nics,
    refused,
    subnet_inputs,
)
from gpu_clusters.rehearsal.providers.aws.checks import failures
from gpu_clusters.rehearsal.providers.values import Properties, Value

NETWORK: Sequence[tuple[str, Properties, str, str]] = [
    (VPC, {}, "cidrBlock", "is missing"),
    (VPC, {"cidrBlock": "10.0.0.0/8"}, "cidrBlock", "AWS has /16 to /28"),
    (VPC, {"cidrBlock": "10.0.0.0"}, "cidrBlock", "AWS has /16 to /28"),
    (VPC, {"cidrBlock": "ten"}, "cidrBlock", "is not a range of addresses"),
    (SUBNET, subnet_inputs(cidrBlock="10.0.9.1/24"), "cidrBlock", "use 10.0.9.0/24"),
    (SUBNET, subnet_inputs(cidrBlock="10.2.0.0/24"), "cidrBlock", "isn't in its VPC's range 10.0.0.0/16"),
    (SUBNET, subnet_inputs(availabilityZoneId="use1-az1"), "availabilityZoneId", "no zone of us-west-2"),
    (SUBNET, subnet_inputs(availabilityZone="us-west-2a"), "availabilityZoneId", "give one of them"),
    (SUBNET, subnet_inputs(vpcId=SUBNETS[0]), "vpcId", "is the Subnet of the stack, and a VPC belongs here"),
    (SUBNET, subnet_inputs(vpcId="vpc1"), "vpcId", "doesn't name a VPC"),
    (ROUTE, {"routeTableId": "rtb-0123456789abcdef0", "gatewayId": "local"}, "destinationCidrBlock", "give one"),
    (
        ROUTE,
        {
            "routeTableId": "rtb-0123456789abcdef0",
            "destinationCidrBlock": "0.0.0.0/0",
            "gatewayId": "igw-0123456789abcdef0",
            "natGatewayId": "nat-0123456789abcdef0",
        },
        "natGatewayId",
        "stands beside `gatewayId`",
    ),
    (INGRESS, {"securityGroupId": "sg-0123456789abcdef0", "ipProtocol": "-1"}, "cidrIpv4", "give one"),
    (
        INGRESS,
        {"securityGroupId": "sg-0123456789abcdef0", "ipProtocol": "tcp", "cidrIpv4": "10.0.0.0/8"},
        "fromPort",
        "needs both ports",
    ),
    (
        INGRESS,
        {"securityGroupId": "sg-0123456789abcdef0", "ipProtocol": "tls", "cidrIpv4": "10.0.0.0/8"},
        "ipProtocol",
        "is not a protocol",
    ),
    (
        ENDPOINT,
        {"vpcId": VPC_ID, "serviceName": "com.amazonaws.us-west-2.ecr.api"},
        "vpcEndpointType",
        "has no gateway endpoint",
    ),
    (
        ENDPOINT,
        {"vpcId": VPC_ID, "serviceName": "com.amazonaws.us-west-2.s3", "subnetIds": [SUBNETS[0]]},
        "subnetIds",
        "is for interface endpoints",
    ),
]


@pytest.mark.parametrize(("kind", "inputs", "path", "words"), NETWORK)
def test_refuses_networks_that_cannot_be(kind: str, inputs: Properties, path: str, words: str) -> None:
    found = refused(kind, inputs)
    assert list(found) == [path]
    assert words in found[path]


DOCUMENTS: Sequence[tuple[Value, str]] = [
    ("{", "is not JSON"),
    ("[]", "is not a JSON object"),
    ({"Version": "2012-10-17"}, "has no Statement"),
    (
        {"Version": "2020", "Statement": [{"Effect": "Allow", "Action": "a:B", "Resource": "*"}]},
        "its Version is '2020'",
    ),
    ({"Version": "2012-10-17", "Statment": []}, "use 'Statement'"),
    (
        {"Version": "2012-10-17", "Statement": [{"Effect": "allow", "Action": "a:B", "Resource": "*"}]},
        "Statement[0] has the Effect 'allow'",
    ),
    ({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Resource": "*"}}, "needs Action or NotAction"),
    (
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Actions": "a:B", "Action": "a", "Resource": "*"}]},
        "use 'Action'",
    ),
    ({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "a:B"}]}, "has no Resource"),
    (
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "a:B", "Resource": "*", "Principal": "*"}],
        },
        "has a Principal",
    ),
    ({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "a:B", "Resource": "x"}]}, "give an ARN"),
    (
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["a:B" * 3000], "Resource": "*"}]},
        "and IAM takes 6144",
    ),
]


@pytest.mark.parametrize(("document", "words"), DOCUMENTS)
def test_refuses_documents_that_iam_refuses(document: Value, words: str) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    assert words in " ".join(failure.reason for failure in failures(POLICY, {"policy": text}, Account()))


def test_a_trust_policy_has_a_principal_and_no_resource() -> None:
    document = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}
    )
    reasons = " ".join(failure.reason for failure in failures(ROLE, {"assumeRolePolicy": document}, Account()))
    assert "has no Principal" in reasons
    assert "has a Resource" in reasons


TEMPLATES: Sequence[tuple[Properties, str, str]] = [
    (
        {"blockDeviceMappings": [{"ebs": {"volumeSize": -1}}]},
        "blockDeviceMappings[0].ebs.volumeSize",
        "use 1 to 65536 GiB for gp3",
    ),
    (
        {"blockDeviceMappings": [{"ebs": {"volumeType": "gp3", "iops": 100}}]},
        "blockDeviceMappings[0].ebs.iops",
        "use 3000 to 80000",
    ),
    (
        {"blockDeviceMappings": [{"ebs": {"volumeType": "gp2", "throughput": 500}}]},
        "blockDeviceMappings[0].ebs.throughput",
        "gp2 takes no throughput",
    ),
    ({"userData": "#!/bin/sh"}, "userData", "is not base64"),
    ({"metadataOptions": {"httpPutResponseHopLimit": 65}}, "metadataOptions.httpPutResponseHopLimit", "use 1 to 64"),
    ({"networkInterfaces": nics((0, 0, "efaonly"))}, "networkInterfaces[0].interfaceType", "AWS has no 'efaonly'"),
    ({"networkInterfaces": nics((0, 0, "efa-only"))}, "networkInterfaces[0].interfaceType", "needs IP"),
    ({"networkInterfaces": nics((0, 0, "efa"), (0, 0, "efa-only"))}, "networkInterfaces[1]", "is taken already"),
    ({"networkInterfaces": nics((1, 0, "efa-only"))}, "networkInterfaces", "none is the primary one"),
    (
        {"networkInterfaces": nics((0, 0, "efa")), "vpcSecurityGroupIds": ["sg-0123456789abcdef0"]},
        "vpcSecurityGroupIds",
        "can't stand beside",
    ),
    (
        {
            "instanceType": "p5.48xlarge",
            "instanceMarketOptions": {"marketType": "capacity-block"},
        },
        "capacityReservationSpecification",
        "names no Capacity Block",
    ),
]


@pytest.mark.parametrize(("inputs", "path", "words"), TEMPLATES)
def test_refuses_launch_templates_that_cannot_launch(inputs: Properties, path: str, words: str) -> None:
    found = refused(TEMPLATE, inputs)
    assert path in found
    assert words in found[path]
