"""What EKS refuses of clusters, node groups and add-ons though its models don't."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fake_aws_account import (
    ADD_ON,
    CLUSTER,
    ENTRY,
    GROUP,
    IDENTITY,
    SUBNETS,
    TEMPLATE_ID,
    Account,
    cluster_inputs,
    group_inputs,
    nics,
    refused,
    role,
    role_arn,
    template,
    templated,
    trust,
)
from gpu_clusters.rehearsal.providers.aws.checks import failures
from gpu_clusters.rehearsal.providers.aws.made import Existing
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Value

CLUSTERS: Sequence[tuple[Properties, str, str]] = [
    ({"version": "1.20"}, "version", "EKS no longer has"),
    ({"version": "v1.35"}, "version", "is not a minor version"),
    ({"name": "prod", "version": "1.33"}, "version", "EKS can't go back from 1.34"),
    ({"name": "prod", "version": "1.36"}, "version", "go to 1.35"),
    ({"vpcConfig": {"subnetIds": [SUBNETS[0]]}}, "vpcConfig.subnetIds", "needs subnets in two zones"),
    ({"vpcConfig": {"subnetIds": [SUBNETS[0], SUBNETS[2]]}}, "vpcConfig.subnetIds", "all of them are in usw2-az1"),
    ({"vpcConfig": {"subnetIds": [SUBNETS[0], SUBNETS[3]]}}, "vpcConfig.subnetIds", "in several VPCs"),
    (
        {"vpcConfig": {"subnetIds": [*SUBNETS[:2]], "endpointPublicAccess": False}},
        "vpcConfig.endpointPrivateAccess",
        "nobody could reach it",
    ),
    ({"roleArn": role_arn("nodes")}, "roleArn", "isn't for eks.amazonaws.com"),
    ({"roleArn": "arn:aws:iam::000000000000:user/me"}, "roleArn", "doesn't name an IAM role"),
    (
        {"kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.0.128.0/20"}},
        "kubernetesNetworkConfig.serviceIpv4Cidr",
        "overlaps the VPC's 10.0.0.0/16",
    ),
    (
        {"kubernetesNetworkConfig": {"serviceIpv4Cidr": "100.64.0.0/16"}},
        "kubernetesNetworkConfig.serviceIpv4Cidr",
        "is not private",
    ),
    (
        {"storageConfig": {"blockStorage": {"enabled": True}}},
        "storageConfig.blockStorage.enabled",
        "Auto Mode is on or off as a whole",
    ),
]


@pytest.mark.parametrize(("inputs", "path", "words"), CLUSTERS)
def test_refuses_clusters_that_eks_refuses(inputs: Properties, path: str, words: str) -> None:
    found = refused(CLUSTER, cluster_inputs(**inputs))
    assert list(found) == [path]
    assert words in found[path]


def test_auto_mode_needs_its_parts_and_a_role_that_tags_sessions() -> None:
    inputs = cluster_inputs(computeConfig={"enabled": True, "nodePools": ["system"]})
    assert refused(CLUSTER, inputs).keys() == {
        "roleArn",
        "storageConfig.blockStorage.enabled",
        "kubernetesNetworkConfig.elasticLoadBalancing.enabled",
        "bootstrapSelfManagedAddons",
        "computeConfig.nodeRoleArn",
    }


GROUPS: Sequence[tuple[Properties, str, str]] = [
    ({"clusterName": "prd"}, "clusterName", "there is no cluster 'prd'; use 'prod'"),
    ({"version": "1.35"}, "version", "is newer than the cluster's 1.34"),
    ({"version": "1.30"}, "version", "is too old"),
    ({"nodeRoleArn": role_arn("pods")}, "nodeRoleArn", "isn't for ec2.amazonaws.com"),
    ({"subnetIds": [SUBNETS[3]]}, "subnetIds", "aren't in the cluster's VPC"),
    ({"subnetIds": []}, "subnetIds", "there is none"),
    (
        {"scalingConfig": {"minSize": 3, "maxSize": 2}},
        "scalingConfig.minSize",
        "above the maximum of 2",
    ),
    (
        {"scalingConfig": {"minSize": 0, "desiredSize": 3, "maxSize": 2}},
        "scalingConfig.desiredSize",
        "above the maximum of 2",
    ),
    (
        {"updateConfig": {"maxUnavailable": 1, "maxUnavailablePercentage": 10}},
        "updateConfig.maxUnavailablePercentage",
        "give one of them",
    ),
    ({"labels": {"node-role.kubernetes.io/gpu": "x"}}, 'labels["node-role.kubernetes.io/gpu"]', "reserves this prefix"),
    ({"amiType": "CUSTOM"}, "amiType", "CUSTOM needs a launch template"),
    ({"amiType": "AL2023_x86_64_STANDARD", "instanceTypes": ["g6.xlarge"]}, "amiType", "AL2023_x86_64_NVIDIA"),
    ({"amiType": "AL2023_ARM_64_STANDARD", "instanceTypes": ["m5.large"]}, "amiType", "m5.large is x86_64"),
    (
        {"amiType": "AL2023_x86_64_NVIDIA", "instanceTypes": ["p5en.48xlarge"]},
        "subnetIds",
        "AWS doesn't offer p5en.48xlarge in usw2-az1",
    ),
    ({"capacityType": "CAPACITY_BLOCK"}, "launchTemplate", "a Capacity Block is named in one"),
]


@pytest.mark.parametrize(("inputs", "path", "words"), GROUPS)
def test_refuses_node_groups_that_eks_refuses(inputs: Properties, path: str, words: str) -> None:
    found = refused(GROUP, group_inputs(**inputs))
    assert list(found) == [path]
    assert words in found[path]


BLOCK: Properties = {
    "instanceType": "p5.48xlarge",
    "instanceMarketOptions": {"marketType": "capacity-block"},
    "capacityReservationSpecification": {
        "capacityReservationTarget": {"capacityReservationId": "cr-0123456789abcdef0"}
    },
}
#: A template's inputs, a group's inputs, and what is refused of them together.
TOGETHER: Sequence[tuple[Properties, Properties, str, str]] = [
    ({"iamInstanceProfile": {"name": "x"}}, {}, "launchTemplate", "has `iamInstanceProfile`"),
    ({"networkInterfaces": [{"subnetId": SUBNETS[0]}]}, {}, "launchTemplate", "has a `subnetId`"),
    ({"instanceMarketOptions": {"marketType": "spot"}}, {}, "launchTemplate", "asks for spot"),
    ({}, {"diskSize": 100}, "diskSize", "can't stand beside a launch template"),
    ({}, {"launchTemplate": {"id": TEMPLATE_ID, "version": "7"}}, "launchTemplate.version", "its newest is 1"),
    ({}, {"launchTemplate": {"id": TEMPLATE_ID, "name": "x", "version": "1"}}, "launchTemplate.name", "beside `id`"),
    ({"instanceType": "m5.large"}, {"instanceTypes": ["m5.large"]}, "instanceTypes", "has an `instanceType` too"),
    ({"imageId": "ami-1"}, {"amiType": "AL2023_x86_64_STANDARD"}, "amiType", "has an image of its own"),
    ({"imageId": "ami-1"}, {"releaseVersion": "1.34.1-20260101"}, "releaseVersion", "has an image of its own"),
    (
        {"instanceType": "p5.48xlarge", "networkInterfaces": nics((0, 0, "interface"), (40, 0, "efa-only"))},
        {"subnetIds": [SUBNETS[1]]},
        "launchTemplate",
        "p5.48xlarge has network cards 0 to 31, not 40",
    ),
    (
        {"instanceType": "p6-b300.48xlarge", "networkInterfaces": nics((0, 0, "interface"), (0, 1, "efa-only"))},
        {"amiType": UNKNOWN, "subnetIds": [UNKNOWN]},
        "launchTemplate",
        "network card 0 of p6-b300.48xlarge takes no EFA",
    ),
    (
        {"networkInterfaces": nics((0, 0, "efa"))},
        {"subnetIds": [SUBNETS[2]]},
        "subnetIds",
        "is public, where EFA nodes get no address",
    ),
    ({"networkInterfaces": nics((0, 0, "efa"))}, {"subnetIds": [*SUBNETS[:2]]}, "subnetIds", "EFA doesn't cross zones"),
    ({}, {"capacityType": "CAPACITY_BLOCK"}, "launchTemplate", "says no `instanceMarketOptions.marketType`"),
    (BLOCK, {"capacityType": "ON_DEMAND", "subnetIds": [SUBNETS[1]]}, "capacityType", "say CAPACITY_BLOCK"),
    (
        BLOCK,
        {"capacityType": "CAPACITY_BLOCK", "subnetIds": [*SUBNETS[:2]]},
        "subnetIds",
        "a reservation is in one zone",
    ),
]


@pytest.mark.parametrize(("of_template", "of_group", "path", "words"), TOGETHER)
def test_refuses_node_groups_that_their_template_keeps_from_working(
    of_template: Properties, of_group: Properties, path: str, words: str
) -> None:
    found = refused(GROUP, templated(**of_group), template(**of_template))
    assert list(found) == [path]
    assert words in found[path]


def test_a_capacity_block_with_its_template_is_fine() -> None:
    inputs = templated(capacityType="CAPACITY_BLOCK", subnetIds=[SUBNETS[1]], amiType="AL2023_x86_64_NVIDIA")
    assert refused(GROUP, inputs, template(**BLOCK)) == {}


def test_access_entries_need_a_cluster_that_takes_them() -> None:
    inputs: Properties = {"clusterName": "prod", "principalArn": "arn:aws:iam::000000000000:role/deployer"}
    assert list(refused(ENTRY, inputs)) == ["clusterName"]
    api = Existing(CLUSTER, "api", {"accessConfig": {"authenticationMode": "API"}}, {"name": "api"})
    assert refused(ENTRY, {**inputs, "clusterName": "api"}, api) == {}


def test_pod_identity_needs_a_role_that_pods_can_assume() -> None:
    inputs: Properties = {"clusterName": "prod", "namespace": "kube-system", "serviceAccount": "ebs"}
    reason = refused(IDENTITY, {**inputs, "roleArn": role_arn("pods")})["roleArn"]
    assert "add `sts:TagSession`" in reason
    tagging = role("tagging", trust("pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession"))
    assert refused(IDENTITY, {**inputs, "roleArn": role_arn("tagging")}, tagging) == {}


def in_prod(kind: str, **inputs: Value) -> Existing:
    return Existing(kind, f"prod:{len(inputs)}", {"clusterName": "prod", **inputs}, {})


@pytest.mark.parametrize(
    ("add_on", "existing", "words"),
    [
        ("coredns", in_prod(GROUP, taints=[{"key": "gpu", "effect": "NO_SCHEDULE"}]), "stays DEGRADED"),
        ("aws-ebs-csi-driver", in_prod(GROUP), "has no role to make volumes with"),
    ],
)
def test_an_add_on_that_can_never_run_is_found_once_it_is_there(add_on: str, existing: Existing, words: str) -> None:
    inputs: Properties = {"clusterName": "prod", "addonName": add_on}
    # Before it is there, what it lacks may still come.
    assert refused(ADD_ON, inputs, existing) == {}
    assert words in " ".join(refused(ADD_ON, inputs, existing, in_prod(ADD_ON, addonName=add_on)).values())


def test_fifty_node_groups_load_each_service_model_once() -> None:
    account = Account([template(instanceType="g6.xlarge")])
    inputs = templated(amiType="AL2023_x86_64_NVIDIA")
    assert [failures(GROUP, inputs, account) for _ in range(50)] == [[]] * 50
