"""Karpenter and EKS Auto Mode: what they make of pools, and what they can't do with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import cast

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s
import pytest
from gpu_clusters import CapacityBlock, DevicePlugin, Gpu, GpuPool, Images, Nodes, ProblemId, Spot, TimeSlicing
from gpu_clusters.eks.auto_mode import AutoModePools, cluster_settings
from gpu_clusters.eks.autoscaling import AutoMode, Karpenter, ManagedNodeGroups, management_problems
from gpu_clusters.eks.context import NodeContext
from gpu_clusters.eks.efa_plugin import EfaPlugin, plugin_image
from gpu_clusters.eks.karpenter import KarpenterPools, ami_alias
from gpu_clusters.eks.karpenter_policies import Known, controller_policies
from gpu_clusters.eks.node_pools import node_pool_spec
from gpu_clusters.eks.pools import EksGpuPool, eks_pool
from gpu_clusters.errors import ConfigErrors
from gpu_clusters.preview.recorder import Json, RecordedResource, Recording, record

L4 = EksGpuPool(name="serve", gpu=Gpu.L4, nodes=Nodes(max=8), capacity=Spot(), release_version="1.35.2-20260801")
H100 = EksGpuPool(
    name="train",
    gpu=Gpu.H100,
    gpus_per_node=8,
    nodes=Nodes(max=4),
    machines=["p5.48xlarge"],
    capacity=CapacityBlock(id="cr-0123", zone="usw2-az2"),
)
#: What the catalogue has with one L4, up to four times the vCPUs of the smallest.
MACHINES = ["g6.2xlarge", "g6.4xlarge", "gr6.4xlarge", "g6.8xlarge", "gr6.8xlarge"]
ZONES = ("usw2-az1", "usw2-az2")


def context() -> NodeContext:
    cluster = aws.eks.Cluster(
        "c", role_arn="arn:aws:iam::1:role/c", vpc_config=aws.eks.ClusterVpcConfigArgs(subnet_ids=["a"])
    )
    return NodeContext(
        cluster=cluster,
        cluster_name="c",
        kubernetes_version="1.35",
        region="us-west-2",
        node_role=aws.iam.Role("node", assume_role_policy="{}"),
        cluster_security_group_id=pulumi.Output.from_input("sg-c"),
        vpc_id="vpc-1",
        subnet_ids={"usw2-az1": "subnet-1", "usw2-az2": "subnet-2"},
        tags={"team": "ml"},
        before_nodes=(),
    )


def karpenter(*pools: EksGpuPool, settings: Karpenter | None = None) -> Callable[[], None]:
    def program() -> None:
        provider = k8s.Provider("kubernetes", kubeconfig="{}")
        KarpenterPools("k", settings or Karpenter(), pools, context=context(), kubernetes=provider)

    return program


def auto_mode(*pools: EksGpuPool, settings: AutoMode | None = None) -> Callable[[], None]:
    def program() -> None:
        provider = k8s.Provider("kubernetes", kubeconfig="{}")
        AutoModePools("a", settings or AutoMode(), pools, context=context(), kubernetes=provider)

    return program


def named(recording: Recording, name: str, type_: str = "") -> RecordedResource:
    return next(item for item in recording.resources if item.name == name and type_ in item.type)


def spec(recording: Recording, name: str) -> dict[str, Json]:
    return cast("dict[str, Json]", named(recording, name).inputs["spec"])


def test_a_node_pool_says_what_the_pool_says() -> None:
    assert node_pool_spec(L4, Karpenter(), group="karpenter.k8s.aws", kind="EC2NodeClass") == {
        "template": {
            "metadata": {"labels": {"gpu-clusters.dev/gpu": "l4", "gpu-clusters.dev/pool": "serve"}},
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "serve"},
                "requirements": [
                    {
                        "key": "node.kubernetes.io/instance-type",
                        "operator": "In",
                        "values": MACHINES,
                    },
                    {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"]},
                ],
                "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
                "expireAfter": "Never",
            },
        },
        "limits": {"nvidia.com/gpu": "8"},
        "disruption": {
            "consolidationPolicy": "WhenEmpty",
            "consolidateAfter": "10m",
            "budgets": [
                {"nodes": "100%", "reasons": ["Empty"]},
                {"nodes": "1", "reasons": ["Drifted"]},
                {"nodes": "1", "reasons": ["Underutilized"]},
            ],
        },
    }


def test_a_capacity_block_is_reserved_capacity_of_one_zone_with_all_efa() -> None:
    found = spec(record(karpenter(H100)), "k-train-class")
    assert found["capacityReservationSelectorTerms"] == [{"id": "cr-0123"}]
    assert found["subnetSelectorTerms"] == [{"id": "subnet-2"}]
    interfaces = cast("list[Json]", found["networkInterfaces"])
    assert len(interfaces) == 33
    assert interfaces[:2] == [
        {"networkCardIndex": 0, "deviceIndex": 0, "interfaceType": "interface"},
        {"networkCardIndex": 0, "deviceIndex": 1, "interfaceType": "efa-only"},
    ]
    assert len(cast("list[Json]", found["securityGroupSelectorTerms"])) == 2
    requirements = node_pool_spec(H100, Karpenter(), group="g", kind="k")["template"]
    assert "'values': ['reserved']" in str(requirements)


def test_a_node_class_names_everything_by_id() -> None:
    found = spec(record(karpenter(L4)), "k-serve-class")
    assert found["subnetSelectorTerms"] == [{"id": "subnet-1"}, {"id": "subnet-2"}]
    assert found["securityGroupSelectorTerms"] == [{"id": "sg-c"}]
    assert found["amiSelectorTerms"] == [{"alias": "al2023@v20260801"}]
    assert found["amiFamily"] == "AL2023"
    assert found["instanceStorePolicy"] == "RAID0"
    assert "localStorage" not in str(found["userData"])
    assert "FastImagePull" in str(found["userData"])
    assert "networkInterfaces" not in found
    assert found["tags"] == {
        "team": "ml",
        "Name": "c-serve",
        "gpu-clusters.dev/cluster": "c",
        "gpu-clusters.dev/pool": "serve",
    }


@pytest.mark.parametrize(
    ("release", "ami", "alias"),
    [
        (None, "al2023", "al2023@latest"),
        ("1.35.2-20260801", "al2023", "al2023@v20260801"),
        (None, "bottlerocket", "bottlerocket@latest"),
        ("1.54.0-5043decc", "bottlerocket", "bottlerocket@v1.54.0"),
    ],
)
def test_eks_releases_have_karpenters_names(release: str | None, ami: str, alias: str) -> None:
    pool = EksGpuPool(
        name="p",
        gpu=Gpu.L4,
        nodes=Nodes(max=1),
        ami="bottlerocket" if ami == "bottlerocket" else "al2023",
        release_version=release,
    )
    assert ami_alias(pool) == alias


def test_the_controller_has_permissions_queue_and_a_pinned_chart() -> None:
    recording = record(karpenter(L4, settings=Karpenter(node_repair=True)))
    release = named(recording, "k-controller", "Release").inputs
    assert (release["chart"], release["version"]) == ("oci://public.ecr.aws/karpenter/karpenter", "1.15.1")
    values = cast("dict[str, dict[str, Json]]", release["values"])
    assert values["settings"]["clusterName"] == "c"
    assert values["settings"]["featureGates"] == {"nodeRepair": True}
    assert named(recording, "k-crd").inputs["version"] == "1.15.1"
    assert len(recording.of_type("aws:cloudwatch/eventRule:EventRule")) == 5
    assert len(recording.of_type("aws:cloudwatch/eventTarget:EventTarget")) == 5
    entry = recording.of_type("aws:eks/accessEntry:AccessEntry")[0].inputs
    assert entry["type"] == "EC2_LINUX"
    identity = recording.of_type("aws:eks/podIdentityAssociation:PodIdentityAssociation")[0].inputs
    assert (identity["namespace"], identity["serviceAccount"]) == ("kube-system", "karpenter")
    assert named(recording, "k-controller", "Release").urn in named(recording, "k-serve-class").dependencies


def test_every_resource_that_costs_carries_the_clusters_tags() -> None:
    for resource in record(karpenter(L4, H100)).resources:
        if resource.type.startswith("aws:") and "KarpenterPools" in resource.urn and "tags" in resource.inputs:
            tags = cast("dict[str, Json]", resource.inputs["tags"])
            assert tags["team"] == "ml"
            assert tags["gpu-clusters.dev/cluster"] == "c"


KNOWN = Known(
    cluster_arn="arn:aws-cn:eks:cn-north-1:123456789012:cluster/" + "c" * 100,
    cluster_name="c" * 100,
    region="cn-north-1",
    node_role_arn="arn:aws-cn:iam::123456789012:role/node",
    queue_arn="arn:aws-cn:sqs:cn-north-1:123456789012:queue",
)


def test_each_policy_is_one_that_iam_takes_even_for_the_longest_name() -> None:
    for policy in controller_policies(KNOWN).values():
        assert len(json.dumps(policy, separators=(",", ":"))) <= 6_144


def test_what_changes_machines_is_scoped_to_the_cluster() -> None:
    for part in ("instances", "profiles"):
        for statement in cast("list[dict[str, Json]]", controller_policies(KNOWN)[part]["Statement"]):
            actions = cast("list[str]", statement["Action"])
            resources = cast("list[str]", statement["Resource"])
            assert all(resource.startswith("arn:aws-cn:") for resource in resources)
            shared = all(":image/" in r or "ec2" in r for r in resources) and "Condition" not in statement
            assert shared == (actions == ["ec2:RunInstances", "ec2:CreateFleet"] and "Condition" not in statement)


def test_the_role_that_may_be_passed_is_the_nodes_alone() -> None:
    statements = cast("list[dict[str, Json]]", controller_policies(KNOWN)["profiles"]["Statement"])
    passing = [item for item in statements if item["Action"] == ["iam:PassRole"]]
    assert [item["Resource"] for item in passing] == [["arn:aws-cn:iam::123456789012:role/node"]]


def test_auto_mode_makes_a_node_pool_and_class_and_no_plugin() -> None:
    recording = record(auto_mode(eks_pool(H100, devices_built_in=True)))
    node_class, node_pool = spec(recording, "a-train-class"), spec(recording, "a-train-pool")
    assert node_class["ephemeralStorage"] == {"size": "200Gi"}
    assert node_class["capacityReservationSelectorTerms"] == [{"id": "cr-0123"}]
    template = cast("dict[str, dict[str, Json]]", node_pool["template"])["spec"]
    assert template["nodeClassRef"] == {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "train"}
    assert (template["expireAfter"], template["terminationGracePeriod"]) == ("504h", "1440m")
    assert not recording.of_type("kubernetes:apps/v1:DaemonSet")
    assert not recording.of_type("aws:eks/accessEntry:AccessEntry")


def test_auto_mode_without_built_in_pools_gives_its_nodes_access_itself() -> None:
    recording = record(auto_mode(eks_pool(L4, devices_built_in=True), settings=AutoMode(built_in_pools=[])))
    assert recording.of_type("aws:eks/accessEntry:AccessEntry")[0].inputs["type"] == "EC2"
    assert len(recording.of_type("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")) == 1
    assert cluster_settings(AutoMode(built_in_pools=[]), "arn").compute.node_role_arn is None
    assert cluster_settings(AutoMode(), "arn").compute.node_role_arn == "arn"


@pytest.mark.parametrize("management", [Karpenter(), AutoMode()])
@pytest.mark.parametrize(
    ("pool", "path"),
    [
        (GpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(min=1, max=2)), "nodes.min"),
        (GpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), sharing=TimeSlicing(replicas=2)), "sharing"),
        (EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), desired=1), "desired"),
        (EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), update_strategy="minimal"), "update_strategy"),
        (EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), max_unavailable=2), "max_unavailable"),
    ],
)
def test_what_neither_karpenter_nor_auto_mode_can_do_is_refused(
    management: Karpenter | AutoMode, pool: GpuPool, path: str
) -> None:
    found = list(management_problems(management, [H100, pool]))
    assert [problem.path for problem in found] == [f"gpu_pools[1].{path}"]
    assert found[0].id is ProblemId.CONFLICT
    assert not list(management_problems(ManagedNodeGroups(), [H100, pool]))


@pytest.mark.parametrize(
    ("pool", "path"),
    [
        (EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), devices=DevicePlugin()), "devices"),
        (EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), ami="al2023"), "ami"),
        (EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), release_version="1.35.2-20260801"), "release_version"),
        (EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), local_nvme="none"), "local_nvme"),
        (EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), imds_hop_limit=2), "imds_hop_limit"),
        (EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), repair=False), "repair"),
    ],
)
def test_what_auto_mode_decides_itself_is_refused(pool: GpuPool, path: str) -> None:
    assert [problem.path for problem in management_problems(AutoMode(), [pool])] == [f"gpu_pools[0].{path}"]
    assert not list(management_problems(Karpenter(), [pool]))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Karpenter(drift_nodes=-1),
        lambda: Karpenter(expire_after_hours=0),
        lambda: AutoMode(expire_after_hours=505),
        lambda: AutoMode(termination_grace_period_minutes=0),
    ],
)
def test_numbers_out_of_range_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ConfigErrors) as caught:
        wrong()
    assert [error.id for error in caught.value.errors] == [ProblemId.OUT_OF_RANGE]


def test_an_unpinned_image_under_karpenter_is_a_finding() -> None:
    unpinned = EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), machines=["g6.xlarge"])
    assert ProblemId.AMI_RELEASE_UNPINNED in {finding.id for finding in record(karpenter(unpinned)).findings}
    assert ProblemId.AMI_RELEASE_UNPINNED not in {finding.id for finding in record(karpenter(L4)).findings}
    assert ProblemId.ROLLOUT_GAP in {finding.id for finding in record(karpenter(H100)).findings}


def efa_plugin(*pools: EksGpuPool, region: str = "us-west-2", images: Images | None = None) -> Recording:
    return record(lambda: EfaPlugin("efa", pools, zones=ZONES, region=region, images=images or Images()) and None)


def test_the_efa_plugin_runs_where_nodes_have_efa_and_nowhere_else() -> None:
    daemon_set = efa_plugin(L4, H100).of_type("kubernetes:apps/v1:DaemonSet")[0].inputs
    assert "'values': ['train']" in str(daemon_set)
    assert not efa_plugin(L4).of_type("kubernetes:apps/v1:DaemonSet")


@pytest.mark.parametrize(
    ("region", "images", "image"),
    [
        ("us-west-2", Images(), "602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/aws-efa-k8s-device-plugin:v0.5.20"),
        (
            "cn-north-1",
            Images(),
            "918309763551.dkr.ecr.cn-north-1.amazonaws.com.cn/eks/aws-efa-k8s-device-plugin:v0.5.20",
        ),
        ("us-west-2", Images(registry="r.example/m"), "r.example/m/eks/aws-efa-k8s-device-plugin:v0.5.20"),
    ],
)
def test_the_efa_plugins_image_comes_from_the_regions_registry(region: str, images: Images, image: str) -> None:
    assert plugin_image(region, images) == image


def test_a_region_without_a_known_registry_is_a_finding() -> None:
    assert [finding.id for finding in efa_plugin(H100, region="xx-new-1").findings] == [ProblemId.NOT_IN_CATALOGUE]
    assert not efa_plugin(H100, region="xx-new-1", images=Images(registry="r.example")).findings
