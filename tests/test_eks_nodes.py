"""Managed node groups, launch templates, fabric and tags as the recording monitor sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pulumi
import pulumi_aws as aws
import pytest
from gpu_clusters import Gpu, GpuPool, Nodes, ProblemId, Taint
from gpu_clusters.eks.context import NodeContext
from gpu_clusters.eks.fabric import interfaces
from gpu_clusters.eks.machines import gpu_machines
from gpu_clusters.eks.nodes import gpu_node_groups, system_node_group
from gpu_clusters.eks.pools import EksGpuPool, EksSystemPool, eks_pool
from gpu_clusters.pools import CapacityBlock, Reservation, Spot
from gpu_clusters.preview.recorder import UNKNOWN, RecordedResource, Recording, record

GROUP, TEMPLATE = "aws:eks/nodeGroup:NodeGroup", "aws:ec2/launchTemplate:LaunchTemplate"
ZONES = ("usw2-az1", "usw2-az2")
BLOCK = CapacityBlock(id="cr-0123456789abcdef0", zone="usw2-az2")
RESERVED = Reservation(id="cr-0123456789abcdef0", zone="usw2-az2")
TRAIN = EksGpuPool(
    name="train", gpu=Gpu.H100, gpus_per_node=8, nodes=Nodes(max=4), capacity=BLOCK, tags={"team": "research"}
)
SERVE = GpuPool(
    name="serve", gpu=Gpu.L4, nodes=Nodes(min=1, max=8), capacity=Spot(), taints=[Taint(key="a", effect="NoExecute")]
)


class Owner(pulumi.ComponentResource):
    """Stands for the cluster."""

    def __init__(self) -> None:
        #: The options of every resource below it, by logical name and type; the recording has only some of them.
        self.options: dict[tuple[str, str], pulumi.ResourceOptions] = {}
        super().__init__("test:index:Owner", "owner", None, pulumi.ResourceOptions(transformations=[self._keep]))

    def _keep(self, args: pulumi.ResourceTransformationArgs) -> None:
        self.options[args.name, args.type_] = args.opts


def recorded(
    *pools: GpuPool,
    autoscaler_tags: bool = False,
    system: EksSystemPool | None = None,
    zones: tuple[str, ...] = ZONES,
    owners: list[Owner] | None = None,
) -> Recording:
    """What node groups make in a cluster `c`, called `demo` at AWS; their owner is added to `owners`."""

    def program() -> None:
        owner = Owner()
        if owners is not None:
            owners.append(owner)
        opts = pulumi.ResourceOptions(parent=owner)
        role = aws.iam.Role("nodes", assume_role_policy="{}", opts=opts)
        cluster = aws.eks.Cluster(
            "c", name="demo", role_arn="arn:aws:iam::111111111111:role/c",
            vpc_config=aws.eks.ClusterVpcConfigArgs(subnet_ids=["subnet-1"]), opts=opts,
        )  # fmt: skip
        context = NodeContext(
            cluster=cluster,
            cluster_name="demo",
            kubernetes_version="1.35",
            region="us-west-2",
            node_role=role,
            cluster_security_group_id=pulumi.Output.from_input("sg-cluster"),
            vpc_id="vpc-1",
            subnet_ids={zone: f"subnet-{zone}" for zone in zones},
            tags={"owner": "platform"},
            before_nodes=[role],
        )
        if system is not None:
            system_node_group("c", system, context, opts, autoscaler_tags=autoscaler_tags)
        gpu_node_groups("c", [eks_pool(pool) for pool in pools], context, opts, autoscaler_tags=autoscaler_tags)

    return record(program)


def group(pool: GpuPool, **kwargs: Any) -> RecordedResource:
    return recorded(pool, **kwargs).of_type(GROUP)[0]


def template(pool: GpuPool, **kwargs: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", recorded(pool, **kwargs).of_type(TEMPLATE)[0].inputs)


def test_a_spot_pool_of_several_machines() -> None:
    found = group(SERVE)
    assert found.name == "c-serve"
    assert found.ignore_changes == ("scalingConfig.desiredSize",)
    assert found.inputs == {
        "amiType": "AL2023_x86_64_NVIDIA",
        "capacityType": "SPOT",
        "clusterName": "demo",
        "instanceTypes": ["g6.2xlarge", "g6.4xlarge", "gr6.4xlarge", "g6.8xlarge", "gr6.8xlarge"],
        "labels": {"gpu-clusters.dev/gpu": "l4", "gpu-clusters.dev/pool": "serve"},
        "launchTemplate": {"id": UNKNOWN, "version": UNKNOWN},
        "nodeGroupNamePrefix": "serve-",
        "nodeRepairConfig": {"enabled": True},
        "nodeRoleArn": UNKNOWN,
        "scalingConfig": {"desiredSize": 1, "maxSize": 8, "minSize": 1},
        "subnetIds": ["subnet-usw2-az1", "subnet-usw2-az2"],
        "tags": {
            "Name": "demo-serve",
            "gpu-clusters.dev/cluster": "demo",
            "gpu-clusters.dev/pool": "serve",
            "owner": "platform",
        },
        "taints": [
            {"effect": "NO_SCHEDULE", "key": "nvidia.com/gpu", "value": "present"},
            {"effect": "NO_EXECUTE", "key": "a", "value": ""},
        ],
        "updateConfig": {"maxUnavailable": 1, "updateStrategy": "DEFAULT"},
        "version": "1.35",
    }


def test_a_capacity_block_with_efa() -> None:
    found, made = group(TRAIN).inputs, template(TRAIN)
    assert found["capacityType"] == "CAPACITY_BLOCK"
    assert "instanceTypes" not in found
    assert found["subnetIds"] == ["subnet-usw2-az2"]
    assert found["scalingConfig"] == {"desiredSize": 0, "maxSize": 4, "minSize": 0}
    assert found["updateConfig"] == {"maxUnavailable": 1, "updateStrategy": "MINIMAL"}
    assert made["instanceType"] == "p5.48xlarge"
    assert made["instanceMarketOptions"] == {"marketType": "capacity-block"}
    assert made["capacityReservationSpecification"] == {
        "capacityReservationTarget": {"capacityReservationId": "cr-0123456789abcdef0"}
    }
    assert len(made["networkInterfaces"]) == 33


def test_a_reservation_is_on_demand_capacity_at_its_own_place() -> None:
    pool = EksGpuPool(name="r", gpu=Gpu.L4, nodes=Nodes(max=2), capacity=RESERVED)
    assert group(pool).inputs["capacityType"] == "ON_DEMAND"
    made = template(pool)
    assert "capacityReservationSpecification" in made
    assert "instanceMarketOptions" not in made


def test_an_ordinary_launch_template() -> None:
    made = template(EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), disk_iops=4_000, imds_hop_limit=2))
    tags = {
        "Name": "demo-p", "gpu-clusters.dev/cluster": "demo", "gpu-clusters.dev/pool": "p", "owner": "platform",
    }  # fmt: skip
    made.pop("userData")
    assert made == {
        "blockDeviceMappings": [
            {
                "deviceName": "/dev/xvda",
                "ebs": {
                    "deleteOnTermination": "true",
                    "encrypted": "true",
                    "iops": 4_000,
                    "volumeSize": 200,
                    "volumeType": "gp3",
                },
            }
        ],
        "instanceType": "g6.2xlarge",
        "metadataOptions": {"httpEndpoint": "enabled", "httpPutResponseHopLimit": 2, "httpTokens": "required"},
        "namePrefix": "c-p-",
        "tagSpecifications": [
            {"resourceType": kind, "tags": tags} for kind in ("instance", "volume", "network-interface")
        ],
        "tags": tags,
        "updateDefaultVersion": True,
    }


def test_bottlerocket_keeps_images_on_its_second_volume() -> None:
    made = template(EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), ami="bottlerocket"))
    assert made["blockDeviceMappings"][0]["deviceName"] == "/dev/xvdb"


ALL_EFA = [item for item in gpu_machines() if item.efa_interfaces and item.family != "g7"]


@pytest.mark.parametrize("item", ALL_EFA, ids=lambda item: item.name)
def test_the_network_interfaces_of_every_machine_with_efa(item: Any) -> None:
    """Both security groups on each, a public address on none (terraform-aws-eks 3533, eksctl 3465)."""
    pool = EksGpuPool(
        name="p", gpu=item.gpu, gpus_per_node=int(item.gpus), nodes=Nodes(max=2), machines=[item.name], efa=True,
        zones=["usw9-az1"],
    )  # fmt: skip
    made = template(pool, zones=("usw9-az1", "usw9-az2"))["networkInterfaces"]
    assert [(nic["networkCardIndex"], nic["deviceIndex"], nic["interfaceType"]) for nic in made] == [
        (nic.card, nic.device, nic.kind) for nic in interfaces(item)
    ]
    assert all(nic["securityGroups"] == ["sg-cluster", UNKNOWN] for nic in made)
    assert [nic.get("associatePublicIpAddress") for nic in made] == ["false", *[None] * (len(made) - 1)]
    assert not any("subnetId" in nic for nic in made)


def test_the_efa_security_group_is_made_once_and_lets_all_through_to_itself() -> None:
    other = EksGpuPool(name="b", gpu=Gpu.B200, gpus_per_node=8, nodes=Nodes(max=2), zones=["usw2-az1"])
    found = recorded(TRAIN, other)
    (security_group,) = found.of_type("aws:ec2/securityGroup:SecurityGroup")
    assert security_group.inputs["vpcId"] == "vpc-1"
    rules = [
        *found.of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"),
        *found.of_type("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"),
    ]
    assert [(rule.name, rule.inputs["ipProtocol"]) for rule in rules] == [("c-efa-in", "-1"), ("c-efa-out", "-1")]
    assert {rule.urn for rule in rules} <= set(found.of_type(GROUP)[0].dependencies)
    # A tag of Kubernetes's on a second group would make load balancers fail.
    assert not any("kubernetes.io" in key for key in cast("dict[str, Any]", security_group.inputs["tags"]))


def test_without_efa_there_is_neither_its_security_group_nor_a_placement_group() -> None:
    found = recorded(SERVE)
    assert {resource.type for resource in found.resources if resource.parent.endswith("::owner")} == {
        "aws:iam/role:Role", "aws:eks/cluster:Cluster", TEMPLATE, GROUP,
    }  # fmt: skip
    assert "networkInterfaces" not in template(SERVE)


def test_a_placement_group_is_made_where_asked() -> None:
    pool = EksGpuPool(
        name="p", gpu=Gpu.H100, gpus_per_node=8, nodes=Nodes(max=2), zones=["usw2-az1"], placement_group=True
    )
    (placement,) = recorded(pool).of_type("aws:ec2/placementGroup:PlacementGroup")
    assert placement.inputs["strategy"] == "cluster"
    assert set(template(pool)["placement"]) == {"groupName"}


@pytest.mark.parametrize(
    ("fields", "desired", "ignored"),
    [
        ({"nodes": Nodes(min=1, max=4)}, 1, True),
        ({"nodes": Nodes(min=3, max=3)}, 3, False),
        ({"nodes": Nodes(max=4), "desired": 2}, 2, False),
        ({"nodes": Nodes(max=4), "desired": 0}, 0, False),
    ],
)
def test_a_number_of_nodes_is_the_programs_only_where_nobody_scales(
    fields: Mapping[str, Any], desired: int, ignored: bool
) -> None:
    found = group(EksGpuPool(name="p", gpu=Gpu.L4, **fields))
    assert cast("dict[str, Any]", found.inputs["scalingConfig"])["desiredSize"] == desired
    assert bool(found.ignore_changes) is ignored


def options(pool: GpuPool) -> pulumi.ResourceOptions:
    owners: list[Owner] = []
    recorded(pool, owners=owners)
    return owners[0].options[f"c-{pool.name}", GROUP]


@pytest.mark.parametrize(
    ("fields", "delete_first"),
    [
        ({"gpu": Gpu.L4}, False),
        ({"gpu": Gpu.L4, "replacement": "deleteFirst"}, True),
        ({"gpu": Gpu.H100, "gpus_per_node": 8, "capacity": BLOCK}, True),
        ({"gpu": Gpu.L4, "capacity": RESERVED}, True),
        ({"gpu": Gpu.L4, "capacity": RESERVED, "replacement": "createFirst"}, False),
    ],
)
def test_a_group_of_reserved_capacity_is_deleted_before_its_successor_is_made(
    fields: Mapping[str, Any], delete_first: bool
) -> None:
    assert options(EksGpuPool(name="p", nodes=Nodes(max=4), **fields)).delete_before_replace is delete_first


def test_several_machines_instead_of_one_replace_the_group_and_another_one_does_not() -> None:
    """EKS refuses to move the machine between node group and launch template (terraform-aws-eks issue 1514)."""

    def trigger(*machines: str) -> object:
        pool = EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=4), machines=machines)
        return options(pool).replacement_trigger

    assert trigger("g6.xlarge") == trigger("g6.2xlarge") != trigger("g6.xlarge", "g6.2xlarge")


@pytest.mark.parametrize(("nodes", "at_once", "update"), [(1, 1, "60m"), (10, 1, "300m"), (10, 4, "90m")])
def test_an_update_has_time_for_all_its_nodes(nodes: int, at_once: int, update: str) -> None:
    found = options(EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=nodes), max_unavailable=at_once))
    assert isinstance(found.custom_timeouts, pulumi.CustomTimeouts)
    assert found.custom_timeouts.update == update


def test_an_image_of_ones_own_has_no_version_of_ekss() -> None:
    pool = EksGpuPool(name="g7", gpu=Gpu.RTX_PRO_4500, nodes=Nodes(max=1), ami_id="ami-0123456789abcdef0")
    found = group(pool).inputs
    assert found["amiType"] == "CUSTOM"
    assert "version" not in found
    made = template(pool)
    assert made["imageId"] == "ami-0123456789abcdef0"
    assert made["userData"] == UNKNOWN


def test_names_leave_room_for_what_the_provider_appends() -> None:
    """26 characters, of 63 for a node group and 128 for a launch template."""
    pool = EksGpuPool(name="p" * 63, gpu=Gpu.L4, nodes=Nodes(max=1))
    assert group(pool).inputs["nodeGroupNamePrefix"] == f"{'p' * 36}-"
    assert len(template(pool)["namePrefix"]) <= 128 - 26


def test_groups_wait_for_what_nodes_need_to_join() -> None:
    found = recorded(SERVE)
    role = found.of_type("aws:iam/role:Role")[0]
    assert role.urn in found.of_type(GROUP)[0].dependencies


def test_the_system_pool_has_no_taint_and_is_in_every_zone() -> None:
    found = recorded(system=EksSystemPool())
    made = found.of_type(GROUP)[0]
    assert made.name == "c-system"
    assert "taints" not in made.inputs
    assert made.inputs["amiType"] == "AL2023_x86_64_STANDARD"
    assert made.inputs["subnetIds"] == ["subnet-usw2-az1", "subnet-usw2-az2"]
    assert made.inputs["scalingConfig"] == {"desiredSize": 2, "maxSize": 4, "minSize": 2}
    inputs = cast("dict[str, Any]", found.of_type(TEMPLATE)[0].inputs)
    assert inputs["instanceType"] == "m6i.xlarge"
    assert inputs["metadataOptions"]["httpPutResponseHopLimit"] == 2
    assert "userData" not in inputs


def tags_of(found: Recording) -> dict[str, tuple[str, str]]:
    tags = [cast("dict[str, Any]", item.inputs["tag"]) for item in found.of_type("aws:autoscaling/tag:Tag")]
    names = [item.name for item in found.of_type("aws:autoscaling/tag:Tag")]
    return {name: (tag["key"], tag["value"]) for name, tag in zip(names, tags, strict=True)}


def test_the_autoscaler_knows_a_node_before_there_is_one() -> None:
    template_prefix = "k8s.io/cluster-autoscaler/node-template"
    assert tags_of(recorded(TRAIN, autoscaler_tags=True)) == {
        f"c-train/{key}": (f"{template_prefix}/{key}", value)
        for key, value in {
            "label/gpu-clusters.dev/gpu": "h100",
            "label/gpu-clusters.dev/pool": "train",
            "label/k8s.amazonaws.com/accelerator": "h100",
            "taint/nvidia.com/gpu": "present:NoSchedule",
            "resources/nvidia.com/gpu": "8",
            "resources/vpc.amazonaws.com/efa": "32",
            "resources/ephemeral-storage": "30400G",
        }.items()
    }
    assert tags_of(recorded(TRAIN)) == {}


def test_findings_are_the_owners_and_name_the_pool() -> None:
    found = recorded(EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), capacity=Spot(), machines=["g6.xlarge"]))
    by_id = {item.id: item for item in found.findings}
    assert set(by_id) == {ProblemId.SPOT_NOT_DIVERSIFIED, ProblemId.AMI_RELEASE_UNPINNED}
    assert by_id[ProblemId.SPOT_NOT_DIVERSIFIED].problem.startswith("pool p: ")
    assert by_id[ProblemId.SPOT_NOT_DIVERSIFIED].resource == "Owner owner"


def test_every_resource_of_a_pool_carries_its_tags() -> None:
    for resource in recorded(TRAIN, system=EksSystemPool(tags={"team": "platform"})).resources:
        if resource.type in (GROUP, TEMPLATE):
            tags = cast("dict[str, Any]", resource.inputs["tags"])
            assert tags["gpu-clusters.dev/cluster"] == "demo"
            assert tags["gpu-clusters.dev/pool"] == resource.name.removeprefix("c-")
            assert tags["team"] == {"c-train": "research", "c-system": "platform"}[resource.name]
