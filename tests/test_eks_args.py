"""What EksClusterArgs refuses: everything at once, each with its path, the problem and the remedy."""

from __future__ import annotations

import ipaddress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from gpu_clusters import ConfigErrors, Gpu, GpuPool, Images, Nodes, ProblemId, data
from gpu_clusters.config import StackEks, load_stack
from gpu_clusters.eks import (
    AccessEntry,
    AutoMode,
    EksClusterArgs,
    EksGpuPool,
    EksSystemPool,
    ExistingNetwork,
    Karpenter,
    NewNetwork,
    PublicEndpoint,
)
from gpu_clusters.eks.regions import partition, zone_prefix
from gpu_clusters.eks.versions import kubernetes_versions

ADMIN = AccessEntry(principal_arn="arn:aws:iam::111122223333:role/deployer", policy="clusterAdmin")
SERVE = GpuPool(name="serve", gpu=Gpu.L4, nodes=Nodes(max=4))
SUBNET = "subnet-0123456789abcdef0"
MIRROR = Images(registry="111122223333.dkr.ecr.us-west-2.amazonaws.com")


def arguments(**fields: Any) -> EksClusterArgs:
    defaults: dict[str, Any] = {
        "region": "us-west-2",
        "zones": ["usw2-az1", "usw2-az2"],
        "kubernetes_version": "1.35",
        "access": [ADMIN],
        "gpu_pools": [SERVE],
    }
    return EksClusterArgs(**{**defaults, **fields})


def refused(make: Any) -> list[str]:
    with pytest.raises(ConfigErrors) as found:
        make()
    return [str(error) for error in found.value.errors]


def test_what_has_no_default_is_enough() -> None:
    assert arguments().deletion_protection


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"region": "us west"}, "region: 'us west' is not an AWS region"),
        ({"zones": ["usw2-az1"]}, "zones: EKS puts the control plane into at least two zones; name two"),
        (
            {"zones": ["us-west-2a", "usw2-az2"]},
            "zones[0]: us-west-2a is a zone's name, which is another zone in every account; use its id",
        ),
        ({"zones": ["use1-az1", "usw2-az2"]}, "zones[0]: 'use1-az1' is not the id of a zone of us-west-2"),
        ({"zones": ["usw2-az1", "usw2-az2", "usw2-az1"]}, "zones[2]: usw2-az1 is named twice"),
        ({"zones": ["usw2-az1", "usw2-az9"]}, "zones[1]: a new network has room for the zones 1 to 7 of a region"),
        ({"kubernetes_version": "1.35.2"}, "kubernetes_version: '1.35.2' is not a minor version of Kubernetes"),
        ({"kubernetes_version": "1.24"}, "kubernetes_version: EKS no longer has Kubernetes 1.24; use one of 1.3"),
        ({"access": []}, "access: nobody may administer the cluster"),
        (
            {"access": [AccessEntry(principal_arn=ADMIN.principal_arn, policy="clusterAdmin", namespaces=["a"])]},
            "access: nobody may administer the cluster",
        ),
        # terraform-aws-eks 3293: AWS answers 409 when the cluster is there already.
        ({"access": [ADMIN, ADMIN]}, "access[1].principal_arn: an earlier item is for arn:aws:iam::111122223333:role"),
        (
            {"access": [ADMIN, AccessEntry(principal_arn="arn:aws-cn:iam::111122223333:role/x", groups=["g"])]},
            "access[1].principal_arn: it is of the partition aws-cn, and us-west-2 is in aws",
        ),
        ({"gpu_pools": [SERVE, SERVE]}, "gpu_pools[1].name: an earlier item has the name 'serve' already"),
        (
            {"system_pool": EksSystemPool(name="serve")},
            "gpu_pools[0].name: 'serve' is also the name of `system_pool`",
        ),
        (
            {"network": ExistingNetwork(vpc_id="vpc-01234567", private_subnets={"usw2-az1": SUBNET})},
            "network.private_subnets: there is no subnet for usw2-az2, which is one of `zones`",
        ),
        (
            {
                "network": ExistingNetwork(
                    vpc_id="vpc-01234567",
                    private_subnets={"usw2-az1": SUBNET, "usw2-az2": "subnet-01234567", "usw2-az3": "subnet-01234568"},
                )
            },
            "network.private_subnets.usw2-az3: the cluster isn't in that zone",
        ),
        (
            {"network": NewNetwork(nat="none")},
            "images.registry: nodes without a way to the internet can't pull NVIDIA's images",
        ),
        (
            # Bottlerocket brings the device plugin, and GPUs are measured all the same.
            {
                "network": NewNetwork(nat="none"),
                "gpu_pools": [EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), ami="bottlerocket")],
            },
            "images.registry: nodes without a way to the internet can't pull NVIDIA's images",
        ),
        (
            {"network": NewNetwork(nat="none"), "images": MIRROR, "node_management": Karpenter()},
            "node_management: Karpenter gives nodes their role through IAM's API, which has no endpoint in a VPC",
        ),
        (
            {
                "gpu_pools": [GpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=600))],
                "network": NewNetwork(cidr="10.0.0.0/20"),
            },
            "gpu_pools[0].nodes.max: its nodes and one pod for each GPU need 1,200 addresses, and its zones have 1,014",
        ),
        ({"kms_key_arn": "alias/mine"}, "kms_key_arn: 'alias/mine' is not the ARN of a KMS key"),
        ({"log_retention_days": 100}, "log_retention_days: CloudWatch doesn't keep logs for 100 days; use one of its"),
        ({"add_on_versions": {"core-dns": "v1"}}, "add_on_versions.core-dns: the cluster has no such add-on"),
        (
            {"add_on_versions": {"aws-efs-csi-driver": "v1"}},
            "add_on_versions.aws-efs-csi-driver: the cluster has",
        ),
        ({"tags": {"aws:x": "y"}}, "tags.aws:x: tags of that prefix are set by AWS"),
        ({"tags": {"gpu-clusters.dev/cluster": "y"}}, "tags.gpu-clusters.dev/cluster: tags of that prefix are set by"),
        (
            {"gpu_pools": [GpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(min=1, max=2))], "node_management": Karpenter()},
            "gpu_pools[0].nodes.min: Karpenter makes nodes for pods that wait",
        ),
        (
            {"node_management": AutoMode(), "add_on_versions": {"coredns": "v1"}},
            "add_on_versions.coredns: the cluster has no such add-on; use one of metrics-server",
        ),
        (
            {"gpu_pools": [EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), zones=["usw2-az3"])]},
            "gpu_pools[0].zones: the cluster has no subnet in usw2-az3",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_cluster_cant_have_is_refused_with_path_and_remedy(fields: dict[str, Any], said: str) -> None:
    found = refused(lambda: arguments(**fields))
    assert len(found) == 1, found
    assert found[0].startswith(said)
    assert "; " in found[0]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: NewNetwork(cidr="10.0.0.1/16"), "cidr: it is not an IPv4 range: 10.0.0.1/16 has host bits set"),
        (lambda: NewNetwork(cidr="10.0.0.0/24"), "cidr: a range of /24 can't hold the subnets of a cluster"),
        (lambda: NewNetwork(cidr="10.0.0.0/8"), "cidr: a range of /8 can't hold"),
        (
            lambda: NewNetwork(nat="none", interface_endpoints=False),
            "interface_endpoints: without NAT and without endpoints nodes reach neither EKS nor its images",
        ),
        (lambda: ExistingNetwork(vpc_id="my-vpc", private_subnets={}), "vpc_id: 'my-vpc' is not the id of a vpc"),
        (
            lambda: ExistingNetwork(vpc_id="vpc-01234567", private_subnets={"usw2-az1": SUBNET, "usw2-az2": SUBNET}),
            f"private_subnets.usw2-az2: {SUBNET} is given for usw2-az1 already",
        ),
        (lambda: PublicEndpoint(cidrs=[]), "cidrs: it names no range, and EKS would then allow all"),
        (lambda: PublicEndpoint(cidrs=["0.0.0.0/0"]), "cidrs[0]: it lets the whole internet reach the API server"),
        (lambda: PublicEndpoint(cidrs=["10.0.0.0/8"]), "cidrs[0]: 10.0.0.0/8 is a range of private networks"),
        (lambda: PublicEndpoint(cidrs=["office"]), "cidrs[0]: it is not an IPv4 range"),
        (
            lambda: AccessEntry(principal_arn="arn:aws:sts::111122223333:assumed-role/a/b", policy="view"),
            "principal_arn: 'arn:aws:sts::111122223333:assumed-role/a/b' is not the ARN of an IAM role or user: it is",
        ),
        (lambda: AccessEntry(principal_arn=ADMIN.principal_arn), "policy: with neither a policy nor groups it may do"),
        (
            lambda: AccessEntry(principal_arn=ADMIN.principal_arn, groups=["g"], namespaces=["n"]),
            "namespaces: they limit a policy, and there is none",
        ),
        (
            lambda: AccessEntry(principal_arn=ADMIN.principal_arn, groups=["system:masters"]),
            "groups[0]: EKS refuses groups that begin with `system:`",
        ),
    ],
)
def test_what_its_parts_cant_be_is_refused(make: Any, said: str) -> None:
    found = refused(make)
    assert len(found) == 1, found
    assert found[0].startswith(said)


def test_the_whole_internet_may_be_let_in_by_saying_so() -> None:
    assert PublicEndpoint(cidrs=["0.0.0.0/0"], anyone=True).cidrs == ("0.0.0.0/0",)


@pytest.mark.parametrize(
    ("region", "prefix", "of"),
    [
        ("us-west-2", "usw2", "aws"),
        ("us-east-1", "use1", "aws"),
        ("ap-southeast-1", "apse1", "aws"),
        ("ap-northeast-3", "apne3", "aws"),
        ("ca-central-1", "cac1", "aws"),
        ("eu-north-1", "eun1", "aws"),
        ("me-south-1", "mes1", "aws"),
        ("us-gov-west-1", "usgw1", "aws-us-gov"),
        ("cn-northwest-1", "cnnw1", "aws-cn"),
        ("us-isob-east-1", "usie1", "aws-iso-b"),
    ],
)
def test_a_regions_name_says_its_zones_and_its_partition(region: str, prefix: str, of: str) -> None:
    assert (zone_prefix(region), partition(region)) == (prefix, of)


def test_every_zone_that_the_catalogue_knows_belongs_to_a_region() -> None:
    prefixes = {zone_prefix(row["region"]) for row in data.rows("aws_eks_registries")}
    known = {zone.rpartition("-az")[0] for row in data.rows("aws_gpu_zone_offerings") for zone in row["zones"].split()}
    assert known - prefixes == {"apse5"}  # ap-southeast-5, whose registry isn't in the table


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "10.1.0.0/18", "192.168.0.0/22"])
def test_subnets_are_within_the_range_and_dont_overlap(cidr: str) -> None:
    network = NewNetwork(cidr=cidr)
    zones = [f"use1-az{number}" for number in range(1, 8)]
    found = [*map(network.private_range, zones), *map(network.public_range, zones)]
    assert all(subnet.subnet_of(ipaddress.IPv4Network(cidr)) for subnet in found)
    assert not any(a.overlaps(b) for index, a in enumerate(found) for b in found[index + 1 :])
    # The smallest that AWS takes (VPC user guide, "Subnet sizing").
    assert max(subnet.prefixlen for subnet in found) <= 28


def test_every_row_of_versions_and_add_ons_has_a_source_and_a_known_kubernetes() -> None:
    versions = kubernetes_versions()
    assert [item.version for item in versions] == sorted((item.version for item in versions), reverse=True)
    for item in versions:
        assert date(2024, 1, 1) < item.end_of_standard_support < item.end_of_extended_support
        # EKS user guide: 12 months of extended support.
        assert item.end_of_extended_support.replace(year=item.end_of_standard_support.year) == (
            item.end_of_standard_support
        )
    known = {item.version for item in versions}
    seen: set[tuple[str, str]] = set()
    for row in data.rows("eks_addons"):
        assert row["kubernetes_version"] in known
        assert row["source"]
        assert row["date"]
        assert row["version"].startswith("v")
        assert "-eksbuild." in row["version"]
        seen.add((row["add_on"], row["kubernetes_version"]))
    assert len(seen) == len(data.rows("eks_addons"))
    assert all(row["source"] and row["date"] for row in data.rows("eks_versions"))


EKS = """\
config:
  gpu-clusters:cluster:
    platform: eks
    name: demo
    region: us-west-2
    zones: [usw2-az1, usw2-az2]
    kubernetesVersion: "1.35"
    access: [{ principalArn: "arn:aws:iam::111122223333:role/deployer", policy: clusterAdmin }]
"""


def loaded(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(ConfigErrors) as found:
        load_stack(path)
    return [str(error).removeprefix(f"{path}:").strip() for error in found.value.errors]


def test_a_stacks_file_says_everything_that_python_can(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.x.yaml"
    file.write_text(
        EKS
        + """\
    gpuPools:
      - { name: a, gpu: l4, nodes: { max: 2 }, ami: bottlerocket, diskGib: 300 }
    network: { kind: existingNetwork, vpcId: vpc-01234567,
               privateSubnets: { usw2-az1: subnet-01234567, usw2-az2: subnet-01234568 } }
    nodeManagement: { kind: karpenter, driftNodes: 2 }
    publicEndpoint: { cidrs: [203.0.113.0/24] }
    addOnVersions: { coredns: v1.14.2-eksbuild.4 }
    fileSystems: [efs]
    logRetentionDays: 30
"""
    )
    cluster = load_stack(file).cluster
    assert isinstance(cluster, StackEks)
    assert cluster.gpu_pools[0].ami == "bottlerocket"
    assert isinstance(cluster.network, ExistingNetwork)
    assert cluster.node_management == Karpenter(drift_nodes=2)
    assert cluster.add_on_versions == {"coredns": "v1.14.2-eksbuild.4"}
    assert cluster.deletion_protection


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("    nat: none\n", "9: cluster.nat: there is no such field; use one of region, zones"),
        ("    network: { kind: newNetwrok }\n", "9: cluster.network: there is no kind 'newNetwrok';"),
        ("    network: { kind: newNetwork, nat: None }\n", "9: cluster.network.nat: 'None' is not to be had here; use"),
        ("    deletionProtection: maybe\n", "9: cluster.deletionProtection: 'maybe' is not true or false"),
        ("    gpuPools: [{ name: a, gpu: l4, nodes: { max: 2 }, amii: x }]\n", "9: cluster.gpuPools[0].amii: there"),
        ("    publicEndpoint: { cidrs: [0.0.0.0/0] }\n", "9: cluster.publicEndpoint.cidrs[0]: it lets the whole"),
        ("    nodeManagement: { kind: eksctl }\n", "9: cluster.nodeManagement: there is no kind 'eksctl'; use `kind:`"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    found = loaded(tmp_path / "Pulumi.x.yaml", EKS + text)
    assert len(found) == 1, found
    assert found[0].startswith(said)


def test_what_a_cluster_on_eks_must_say(tmp_path: Path) -> None:
    found = loaded(tmp_path / "Pulumi.x.yaml", "config:\n  gpu-clusters:cluster: { platform: eks }\n")
    assert [line.partition(": it is required")[0] for line in found] == [
        "2: cluster.region",
        "2: cluster.zones",
        "2: cluster.kubernetesVersion",
        "2: cluster.access",
        "2: cluster.name",
    ]


@pytest.mark.parametrize(
    ("platform", "said"),
    [
        ("moon", "2: cluster.platform: there is no platform 'moon'; use `platform:` with one of eks, sandbox"),
        ("ekss", "2: cluster.platform: there is no platform 'ekss'; did you mean eks?"),
    ],
)
def test_an_unknown_platform_is_told_which_there_are(tmp_path: Path, platform: str, said: str) -> None:
    text = f"config:\n  gpu-clusters:cluster: {{ platform: {platform} }}\n"
    assert loaded(tmp_path / "Pulumi.x.yaml", text) == [said]


def test_several_mistakes_are_said_at_once() -> None:
    found = refused(lambda: arguments(zones=["usw2-az1"], kubernetes_version="x", access=[], log_retention_days=2))
    assert [line.partition(":")[0] for line in found] == ["zones", "kubernetes_version", "access", "log_retention_days"]


def test_problem_ids_are_those_of_the_one_list() -> None:
    with pytest.raises(ConfigErrors) as found:
        arguments(access=[ADMIN, ADMIN], zones=["usw2-az1"])
    assert {error.id for error in found.value.errors} == {ProblemId.DUPLICATE_NAME, ProblemId.OUT_OF_RANGE}
