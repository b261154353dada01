"""EksCluster as the recording monitor sees it: what is made, in which order, with what."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, cast

import pulumi
import pulumi_aws as aws
import pytest
from gpu_clusters import ConfigErrors, Gpu, GpuPool, Images, Nodes, ProblemId, Spot
from gpu_clusters.eks import (
    AccessEntry,
    AutoMode,
    EksCluster,
    EksClusterArgs,
    EksGpuPool,
    ExistingNetwork,
    Karpenter,
    NewNetwork,
    PublicEndpoint,
)
from gpu_clusters.eks.cluster_findings import report_cluster_findings
from gpu_clusters.findings import collected
from gpu_clusters.pools import CapacityBlock
from gpu_clusters.preview.recorder import SECRET, RecordedResource, Recording, record

ADMIN = AccessEntry(principal_arn="arn:aws:iam::111122223333:role/deployer", policy="clusterAdmin")
SERVE = GpuPool(name="serve", gpu=Gpu.L4, nodes=Nodes(max=4))
TRAIN = EksGpuPool(
    name="train",
    gpu=Gpu.H100,
    gpus_per_node=8,
    nodes=Nodes(max=4),
    machines=["p5.48xlarge"],
    capacity=CapacityBlock(id="cr-0123456789abcdef0", zone="usw2-az2"),
)
BROUGHT = ExistingNetwork(
    vpc_id="vpc-0123456789abcdef0",
    private_subnets={"usw2-az1": "subnet-0123456789abcdef0", "usw2-az2": "subnet-0123456789abcdef1"},
)

#: Types of pulumi-aws that the component uses and that take no tags.
UNTAGGABLE = {
    "aws:autoscaling/tag:Tag",
    "aws:cloudwatch/eventTarget:EventTarget",
    "aws:ec2/route:Route",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:sqs/queuePolicy:QueuePolicy",
}


def arguments(**fields: Any) -> EksClusterArgs:
    defaults: dict[str, Any] = {
        "region": "us-west-2",
        "zones": ["usw2-az1", "usw2-az2"],
        "kubernetes_version": "1.35",
        "access": [ADMIN],
        "gpu_pools": [SERVE],
    }
    return EksClusterArgs(**{**defaults, **fields})


def recorded(program: Callable[[], object] | None = None, **fields: Any) -> Recording:
    args = arguments(**fields)

    def run() -> None:
        if program is None:
            EksCluster("demo", args)
        else:
            program()

    return record(run)


def one(recording: Recording, type_: str, name: str) -> RecordedResource:
    return next(resource for resource in recording.of_type(type_) if resource.name == name)


def inputs(recording: Recording, type_: str, name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", one(recording, type_, name).inputs)


def waits_for(recording: Recording, resource: RecordedResource) -> set[str]:
    """Names of everything that is made before a resource, directly or not."""
    by_urn = {found.urn: found for found in recording.resources}
    todo, seen = [*resource.dependencies], set[str]()
    while todo:
        urn = todo.pop()
        if urn not in seen and urn in by_urn:
            seen.add(urn)
            todo += by_urn[urn].dependencies
    return {by_urn[urn].name for urn in seen}


CLUSTER, ADD_ON, GROUP = "aws:eks/cluster:Cluster", "aws:eks/addon:Addon", "aws:eks/nodeGroup:NodeGroup"


def test_the_control_plane_has_safe_settings() -> None:
    found = inputs(recorded(), CLUSTER, "demo-cluster")
    for key in ("roleArn", "encryptionConfig", "tags"):
        found.pop(key)
    assert found["vpcConfig"].pop("subnetIds")
    assert found == {
        "name": "demo",
        "version": "1.35",
        "vpcConfig": {"endpointPrivateAccess": True, "endpointPublicAccess": False},
        "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
        "bootstrapSelfManagedAddons": False,
        "enabledClusterLogTypes": ["api", "audit", "authenticator", "controllerManager", "scheduler"],
        "upgradePolicy": {"supportType": "STANDARD"},
        "deletionProtection": True,
    }


def test_a_public_endpoint_is_there_only_where_it_is_named() -> None:
    found = inputs(recorded(public_endpoint=PublicEndpoint(cidrs=["203.0.113.0/24"])), CLUSTER, "demo-cluster")
    assert found["vpcConfig"]["endpointPublicAccess"] is True
    assert found["vpcConfig"]["endpointPrivateAccess"] is True
    assert found["vpcConfig"]["publicAccessCidrs"] == ["203.0.113.0/24"]


@pytest.mark.parametrize("protection", [True, False])
def test_pulumi_refuses_to_delete_what_eks_refuses_to_delete(protection: bool) -> None:
    found = one(recorded(deletion_protection=protection), CLUSTER, "demo-cluster")
    assert (found.protect, found.inputs["deletionProtection"]) == (protection, protection)


def test_secrets_are_encrypted_with_a_rotated_key_or_the_users() -> None:
    own = recorded()
    assert inputs(own, "aws:kms/key:Key", "demo-secrets")["enableKeyRotation"] is True
    arn = "arn:aws:kms:us-west-2:111122223333:key/1234"
    theirs = recorded(kms_key_arn=arn)
    assert not theirs.of_type("aws:kms/key:Key")
    assert inputs(theirs, CLUSTER, "demo-cluster")["encryptionConfig"] == {
        "provider": {"keyArn": arn},
        "resources": ["secrets"],
    }


def test_things_come_in_the_order_in_which_they_can() -> None:
    found = recorded(gpu_pools=[SERVE, TRAIN])
    before = {"demo-vpc-cni", "demo-kube-proxy", "demo-eks-pod-identity-agent", "demo-node-AmazonEKS_CNI_Policy"}
    way_out = {"demo-private-usw2-az1", "demo-nat-usw2-az1", "demo-s3"}
    # The log group before the cluster, else EKS makes one that keeps logs for ever.
    assert "demo-logs" in waits_for(found, one(found, CLUSTER, "demo-cluster"))
    for group in ("demo-system", "demo-serve", "demo-train"):
        assert before | way_out <= waits_for(found, one(found, GROUP, group))
    # CoreDNS and the controllers after nodes that have no taints (terraform-aws-eks 3001).
    for add_on in ("coredns", "aws-ebs-csi-driver", "eks-node-monitoring-agent", "metrics-server"):
        assert "demo-system" in waits_for(found, one(found, ADD_ON, f"demo-{add_on}"))
    # The CNI waits neither for nodes nor for the agent (terraform-aws-eks 3260).
    cni = waits_for(found, one(found, ADD_ON, "demo-vpc-cni"))
    assert not cni & {"demo-system", "demo-eks-pod-identity-agent"}
    # Nobody may do anything before there are access entries.
    provider = one(found, "pulumi:providers:kubernetes", "demo-kubernetes")
    assert "demo-111122223333-role-deployer" in waits_for(found, provider)


def test_the_system_pool_has_no_taints_and_the_gpu_pools_have() -> None:
    found = recorded()
    assert "taints" not in inputs(found, GROUP, "demo-system")
    assert inputs(found, GROUP, "demo-serve")["taints"]


def test_the_cni_policy_is_the_nodes_and_the_ebs_driver_has_a_role_by_pod_identity() -> None:
    found = recorded()
    assert inputs(found, ADD_ON, "demo-vpc-cni").get("podIdentityAssociations") is None
    association = inputs(found, ADD_ON, "demo-aws-ebs-csi-driver")["podIdentityAssociations"]
    assert [item["serviceAccount"] for item in association] == ["ebs-csi-controller-sa"]
    trust = json.loads(inputs(found, "aws:iam/role:Role", "demo-aws-ebs-csi-driver")["assumeRolePolicy"])
    assert trust["Statement"][0]["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert trust["Statement"][0]["Action"] == ["sts:AssumeRole", "sts:TagSession"]


def test_network_policies_are_enforced() -> None:
    assert json.loads(inputs(recorded(), ADD_ON, "demo-vpc-cni")["configurationValues"]) == {
        "enableNetworkPolicy": "true"
    }


def test_add_ons_are_pinned_by_kubernetes_version_or_by_the_user() -> None:
    found = recorded(add_on_versions={"metrics-server": "v0.8.0-eksbuild.1"})
    versions = {r.name: r.inputs.get("addonVersion") for r in found.of_type(ADD_ON)}
    assert versions["demo-kube-proxy"] == "v1.35.3-eksbuild.13"
    assert versions["demo-metrics-server"] == "v0.8.0-eksbuild.1"
    assert None not in versions.values()
    assert ProblemId.ADD_ON_UNPINNED not in [finding.id for finding in found.findings]


def test_an_add_on_version_without_a_source_is_left_to_eks_and_said() -> None:
    found = recorded(kubernetes_version="1.34")
    versions = {r.name: r.inputs.get("addonVersion") for r in found.of_type(ADD_ON)}
    assert versions["demo-vpc-cni"] == "v1.22.4-eksbuild.3"
    assert versions["demo-metrics-server"] is None
    said = [finding.problem for finding in found.findings if finding.id is ProblemId.ADD_ON_UNPINNED]
    assert said == [
        "EKS chooses the versions of eks-node-monitoring-agent, metrics-server: the catalogue has none for Kubernetes "
        "1.34"
    ]


def test_file_systems_bring_their_drivers_with_their_roles() -> None:
    found = recorded(file_systems=["efs", "fsx"])
    assert inputs(found, ADD_ON, "demo-aws-efs-csi-driver")["podIdentityAssociations"]
    assert one(
        found, "aws:iam/rolePolicyAttachment:RolePolicyAttachment", "demo-aws-fsx-csi-driver-AmazonFSxFullAccess"
    )


def test_nodes_are_in_private_subnets_only() -> None:
    found = recorded(gpu_pools=[TRAIN])
    subnets = found.of_type("aws:ec2/subnet:Subnet")
    assert all(subnet.inputs["mapPublicIpOnLaunch"] is False for subnet in subnets)
    private = {r.name: r.inputs["cidrBlock"] for r in subnets if "private" in r.name}
    assert private == {"demo-private-usw2-az1": "10.0.0.0/19", "demo-private-usw2-az2": "10.0.32.0/19"}
    public = {r.name: r.inputs["cidrBlock"] for r in subnets if "public" in r.name}
    assert public == {"demo-public-usw2-az1": "10.0.224.0/22", "demo-public-usw2-az2": "10.0.228.0/22"}
    group = one(found, GROUP, "demo-train")
    assert not {name for name in waits_for(found, group) if "subnet" in name}
    roles = {r.name: cast("dict[str, Any]", r.inputs["tags"]) for r in subnets}
    assert roles["demo-private-usw2-az1"]["kubernetes.io/role/internal-elb"] == "1"
    assert roles["demo-public-usw2-az1"]["kubernetes.io/role/elb"] == "1"
    assert not any(key.startswith("kubernetes.io/cluster/") for tags in roles.values() for key in tags)


def test_another_zone_moves_no_subnet() -> None:
    def ranges(*zones: str) -> dict[str, object]:
        found = recorded(zones=zones, gpu_pools=[])
        return {r.name: r.inputs["cidrBlock"] for r in found.of_type("aws:ec2/subnet:Subnet")}

    two = ranges("usw2-az1", "usw2-az3")
    assert two.items() <= ranges("usw2-az2", "usw2-az3", "usw2-az1").items()


@pytest.mark.parametrize(("nat", "gateways"), [("perZone", 2), ("single", 1), ("none", 0)])
def test_as_many_nat_gateways_as_said(nat: Any, gateways: int) -> None:
    images = Images(registry="111122223333.dkr.ecr.us-west-2.amazonaws.com")
    found = recorded(network=NewNetwork(nat=nat), images=images)
    assert len(found.of_type("aws:ec2/natGateway:NatGateway")) == gateways
    assert len(found.of_type("aws:ec2/internetGateway:InternetGateway")) == (1 if gateways else 0)


def test_without_nat_aws_is_reached_by_endpoints() -> None:
    images = Images(registry="111122223333.dkr.ecr.us-west-2.amazonaws.com")
    found = recorded(network=NewNetwork(nat="none"), images=images)
    services = {str(r.inputs["serviceName"]).removeprefix("com.amazonaws.us-west-2.") for r in found.of_type(
        "aws:ec2/vpcEndpoint:VpcEndpoint"
    )}  # fmt: skip
    assert services == {
        "s3", "ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "elasticloadbalancing", "logs", "sts",
    }  # fmt: skip
    assert not [r for r in found.of_type("aws:ec2/subnet:Subnet") if "public" in r.name]


def test_a_network_that_is_brought_is_used_as_it_is() -> None:
    found = recorded(network=BROUGHT, gpu_pools=[TRAIN])
    assert not [r for r in found.resources if r.type.startswith("aws:ec2/") and "aunchTemplate" not in r.type
                and "securityGroup" not in r.type]  # fmt: skip
    assert inputs(found, GROUP, "demo-train")["subnetIds"] == ["subnet-0123456789abcdef1"]
    assert ProblemId.NETWORK_UNCHECKED in [finding.id for finding in found.findings]


def test_access_is_given_to_those_who_are_named() -> None:
    team = AccessEntry(
        principal_arn="arn:aws:iam::111122223333:role/teams/search", policy="edit", namespaces=["search"], groups=["s"]
    )
    found = recorded(access=[ADMIN, team])
    assert {str(r.inputs["principalArn"]) for r in found.of_type("aws:eks/accessEntry:AccessEntry")} == {
        ADMIN.principal_arn,
        team.principal_arn,
    }
    policy = inputs(
        found, "aws:eks/accessPolicyAssociation:AccessPolicyAssociation", "demo-111122223333-role-teams-search"
    )
    assert policy["policyArn"] == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"
    assert policy["accessScope"] == {"type": "namespace", "namespaces": ["search"]}


def test_the_kubeconfig_is_a_secret() -> None:
    found = recorded()
    assert inputs(found, "pulumi:providers:kubernetes", "demo-kubernetes")["kubeconfig"] == SECRET


@pytest.mark.parametrize(
    ("management", "pools"),
    [
        (None, [SERVE, TRAIN]),
        (Karpenter(), [SERVE, TRAIN]),
        (AutoMode(), [SERVE]),
    ],
)
def test_every_resource_that_takes_tags_has_the_clusters(management: Any, pools: list[GpuPool]) -> None:
    fields = {} if management is None else {"node_management": management}
    found = recorded(gpu_pools=pools, tags={"team": "research"}, file_systems=["efs"], **fields)
    made = [r for r in found.resources if r.type.startswith("aws:") and r.type not in UNTAGGABLE]
    assert len(made) > 20
    for resource in made:
        tags = cast("Mapping[str, object]", resource.inputs.get("tags") or {})
        assert tags.get("gpu-clusters.dev/cluster") == "demo", resource.urn
        assert tags.get("team") == "research", resource.urn


@pytest.mark.parametrize("how", ["provider", "providers", "parent"])
def test_an_aws_provider_that_is_given_is_used_for_everything(how: str) -> None:
    class Parent(pulumi.ComponentResource):
        def __init__(self, given: aws.Provider) -> None:
            super().__init__("test:index:Parent", "p", {}, pulumi.ResourceOptions(providers=[given]))

    def program() -> None:
        given = aws.Provider("given", region="us-west-2")
        opts = {
            "provider": lambda: pulumi.ResourceOptions(provider=given),
            "providers": lambda: pulumi.ResourceOptions(providers=[given]),
            "parent": lambda: pulumi.ResourceOptions(parent=Parent(given)),
        }[how]()
        EksCluster("demo", arguments(gpu_pools=[SERVE, TRAIN]), opts=opts)

    found = recorded(program)
    assert [r.name for r in found.of_type("pulumi:providers:aws")] == ["given"]
    made = [r for r in found.resources if r.type.startswith("aws:")]
    assert made
    assert all("::given::" in resource.provider for resource in made)


def test_without_one_there_is_one_for_the_region() -> None:
    found = recorded()
    assert inputs(found, "pulumi:providers:aws", "demo-aws")["region"] == "us-west-2"
    made = [r for r in found.resources if r.type.startswith("aws:")]
    assert all("::demo-aws::" in resource.provider for resource in made)


def test_karpenter_runs_on_the_system_pool_and_makes_no_groups_for_gpus() -> None:
    found = recorded(node_management=Karpenter())
    assert [r.name for r in found.of_type(GROUP)] == ["demo-system"]
    release = one(found, "kubernetes:helm.sh/v3:Release", "demo-pools-controller")
    assert {"demo-system", "demo-coredns"} <= waits_for(found, release)


def test_auto_mode_gets_no_second_plugin_and_no_add_on_that_it_brings() -> None:
    found = recorded(node_management=AutoMode(), gpu_pools=[GpuPool(name="s", gpu=Gpu.L4, nodes=Nodes(max=2))])
    assert not found.of_type(GROUP)
    assert [r.inputs["addonName"] for r in found.of_type(ADD_ON)] == ["metrics-server"]
    sets = [r.name for r in found.of_type("kubernetes:apps/v1:DaemonSet")]
    assert sets == ["demo-devices-dcgm"]
    cluster = inputs(found, CLUSTER, "demo-cluster")
    assert cluster["computeConfig"]["enabled"] is True


def test_each_gpu_pool_has_one_device_plugin_unless_its_image_brings_it() -> None:
    rocket = EksGpuPool(name="rocket", gpu=Gpu.L4, nodes=Nodes(max=2), ami="bottlerocket")
    found = recorded(gpu_pools=[SERVE, TRAIN, rocket])
    sets = {r.name for r in found.of_type("kubernetes:apps/v1:DaemonSet")}
    assert sets == {"demo-devices-serve", "demo-devices-train", "demo-devices-dcgm", "demo-efa-plugin"}


def test_the_quotas_that_the_pools_need_are_data() -> None:
    found: list[EksCluster] = []
    spot = GpuPool(name="spot", gpu=Gpu.L4, nodes=Nodes(max=2), capacity=Spot())
    recorded(lambda: found.append(EksCluster("demo", arguments(gpu_pools=[SERVE, spot, TRAIN]))))
    assert [(need.market, need.pools) for need in found[0].quotas] == [
        ("on-demand", ("serve",)),
        ("spot", ("spot",)),
        ("on-demand", ("system",)),
    ]


def test_a_name_that_nobody_takes_is_an_error() -> None:
    with pytest.raises(ConfigErrors, match="'A_b' is not a name that Kubernetes takes"):
        recorded(lambda: EksCluster("A_b", arguments()))


@pytest.mark.parametrize(
    ("version", "today", "policy", "said"),
    [
        ("1.35", date(2026, 11, 1), "standard", []),
        ("1.33", date(2026, 11, 1), "standard", ["so EKS upgrades the control plane by itself"]),
        ("1.33", date(2026, 11, 1), "extended", ["so it costs more per hour, until 2027-07-29"]),
        ("1.99", date(2026, 11, 1), "standard", ["which is newer than it"]),
    ],
)
def test_a_version_without_standard_support_is_a_finding(
    version: str, today: date, policy: Any, said: list[str]
) -> None:
    class Owner(pulumi.ComponentResource):
        def __init__(self) -> None:
            super().__init__("test:index:Owner", "owner")

    found: list[str] = []

    def program() -> None:
        args = arguments(kubernetes_version=version, upgrade_policy=policy)
        with collected() as findings:
            report_cluster_findings(Owner(), args, [], today)
        found.extend(finding.problem for finding in findings if finding.id is ProblemId.KUBERNETES_VERSION)

    record(program)
    assert len(found) == len(said)
    assert all(words in text for words, text in zip(said, found, strict=True))


def test_pods_that_may_want_for_addresses_are_a_finding() -> None:
    pool = GpuPool(name="many", gpu=Gpu.L4, nodes=Nodes(max=200))
    found = recorded(gpu_pools=[pool], network=NewNetwork(cidr="10.0.0.0/19"))
    said = [finding.problem for finding in found.findings if finding.id is ProblemId.SUBNET_TOO_SMALL]
    assert len(said) == 2
    assert said[0].startswith("the subnet of usw2-az1 has 1,019 addresses, and its nodes could run pods for ")
