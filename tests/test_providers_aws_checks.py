"""What the simulated aws provider refuses because AWS's own models do, and what it knows by which name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from fake_aws_account import (
    CLUSTER,
    GROUP,
    ROLE,
    SUBNET,
    TEMPLATE,
    VPC,
    Account,
    cluster_inputs,
    group_inputs,
    refused,
    subnet_inputs,
    trust,
)
from gpu_clusters.rehearsal.providers.aws.conflicts import conflicts
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Secret

ALLOWED: Mapping[str, tuple[str, Properties]] = {
    "VPC": (VPC, {"cidrBlock": "10.0.0.0/16", "enableDnsHostnames": True, "tags": {"Name": "a"}}),
    "subnet": (SUBNET, subnet_inputs()),
    "unknown values": (SUBNET, {"vpcId": UNKNOWN, "cidrBlock": UNKNOWN, "availabilityZoneId": UNKNOWN}),
    "secrets": (SUBNET, subnet_inputs(cidrBlock=Secret("10.0.9.0/24"))),
    "cluster": (CLUSTER, cluster_inputs()),
    "node group": (GROUP, group_inputs(amiType="AL2023_x86_64_NVIDIA", instanceTypes=["g6.xlarge"])),
    "role": (ROLE, {"assumeRolePolicy": trust("ec2.amazonaws.com")}),
    "the bridge's bookkeeping": (VPC, {"cidrBlock": "10.0.0.0/16", "__defaults": ["name"]}),
    "a type that nobody knows": ("aws:lambda/function:Function", {"anything": 1}),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_allows(name: str) -> None:
    kind, inputs = ALLOWED[name]
    assert refused(kind, inputs) == {}


#: What is refused by AWS's own models: type, inputs, and where with which reason.
BY_MODEL: Sequence[tuple[str, Properties, dict[str, str]]] = [
    (SUBNET, {"cidrBlock": "10.0.9.0/24"}, {"vpcId": "`vpcId` is missing; AWS makes none without it"}),
    (SUBNET, subnet_inputs(zone="a"), {"zone": "Subnet has no `zone`; use one of"}),
    (VPC, {"cidrBlock": "10.0.0.0/16", "instance_tenancy": "x"}, {"instance_tenancy": "use 'instanceTenancy'"}),
    (VPC, {"cidrBlock": "10.0.0.0/16", "instanceTenancy": "own"}, {"instanceTenancy": "AWS has no 'own' here"}),
    (VPC, {"cidrBlock": "10.0.0.0/16", "enableDnsSupport": "yes"}, {"enableDnsSupport": "is not a boolean"}),
    (
        GROUP,
        group_inputs(amiType="AL2023_x86_64_NVIDA"),
        {"amiType": "AWS has no 'AL2023_x86_64_NVIDA' here; use 'AL2023_x86_64_NVIDIA'"},
    ),
    (
        GROUP,
        group_inputs(scalingConfig={"minSize": -1, "desiredSize": 0, "maxSize": 0}),
        {"scalingConfig.minSize": "-1 is below AWS's least of 0", "scalingConfig.maxSize": "below AWS's least of 1"},
    ),
    (GROUP, group_inputs(diskSize="big"), {"diskSize": "'big' is not a number"}),
    (GROUP, group_inputs(diskSize=1.5), {"diskSize": "1.5 is not a whole number"}),
    (GROUP, group_inputs(subnetIds={"a": "b"}), {"subnetIds": "has to be a text"}),
    (GROUP, group_inputs(taints=[{"key": "a", "effect": "NoSchedule"}]), {"taints[0].effect": "use 'NO_SCHEDULE'"}),
    (GROUP, group_inputs(taints=["a"]), {"taints[0]": "'a' is not an object"}),
    (CLUSTER, cluster_inputs(name="-"), {"name": "has to match"}),
    (CLUSTER, cluster_inputs(enabledClusterLogTypes=["all"]), {"enabledClusterLogTypes[0]": "AWS has no 'all' here"}),
    (TEMPLATE, {"instanceType": "p5.49xlarge"}, {"instanceType": "'p5.48xlarge'"}),
    (TEMPLATE, {"metadataOptions": {"httpTokens": "must"}}, {"metadataOptions.httpTokens": "AWS has no 'must' here"}),
    (ROLE, {"assumeRolePolicy": trust("a"), "name": "a b"}, {"name": "has to match"}),
]


@pytest.mark.parametrize(("kind", "inputs", "expected"), BY_MODEL)
def test_refuses_what_the_service_models_refuse(kind: str, inputs: Properties, expected: dict[str, str]) -> None:
    found = refused(kind, inputs)
    assert found.keys() == expected.keys()
    assert {path: words for path, words in expected.items() if words not in found[path]} == {}


def test_a_subnet_overlaps_none_that_is_there() -> None:
    found = list(conflicts(SUBNET, subnet_inputs(cidrBlock="10.0.0.128/25"), Account()))
    assert [failure.property for failure in found] == ["cidrBlock"]
    assert "overlaps 10.0.0.0/24" in found[0].reason
    assert list(conflicts(SUBNET, subnet_inputs(), Account())) == []


def test_names_are_taken_once() -> None:
    found = list(conflicts(ROLE, {"name": "nodes"}, Account()))
    assert [failure.reason for failure in found] == [
        "there is a Role nodes already; choose another name, or import that one"
    ]
    assert list(conflicts(ROLE, {"name": "others"}, Account())) == []


def test_what_no_stack_made_goes_to_the_journal() -> None:
    account = Account()
    from gpu_clusters.rehearsal.providers.aws.checks import failures

    assert failures(SUBNET, subnet_inputs(vpcId="vpc-0aaaaaaaaaaaaaaaa"), account) == []
    assert [entry.resource for entry in account.journal.unchecked] == ["vpc-0aaaaaaaaaaaaaaaa"]
