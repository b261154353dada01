"""The simulated aws provider without the engine: ids, outputs, replacements, node groups, deletions, lookups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from fake_world import FakeWorld
from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers import UNKNOWN, ConfiguredProvider, Options, Properties, Resource, State, Value
from gpu_clusters.rehearsal.providers.aws import SimulatedAws
from gpu_clusters.rehearsal.providers.aws.eks import max_unavailable, surge
from gpu_clusters.rehearsal.providers.aws.places import Place
from gpu_clusters.rehearsal.providers.aws.replacing import difference
from gpu_clusters.rehearsal.world import NodeTaint

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
ROLE = "aws:iam/role:Role"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
CLUSTER = "aws:eks/cluster:Cluster"
GROUP = "aws:eks/nodeGroup:NodeGroup"
CONFIG: Properties = {"region": "us-west-2"}


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Cloud:
    """A provider of one region, used as the engine would."""

    def __init__(self) -> None:
        self.world = FakeWorld()
        self.aws = SimulatedAws(self.world)
        self.provider: ConfiguredProvider = self.aws.configure(CONFIG)

    def make(self, type_: str, name: str, inputs: Properties) -> State:
        resource = one(type_, name)
        checked = self.provider.check(resource, None, inputs)
        assert not checked.failures, checked.failures
        return replace(self.provider.create(resource, checked.inputs, Options()), inputs=checked.inputs)

    def change(self, type_: str, name: str, state: State, inputs: Properties) -> State:
        resource = one(type_, name)
        checked = self.provider.check(resource, state.inputs, inputs)
        assert not checked.failures, checked.failures
        return replace(self.provider.update(resource, state, checked.inputs, Options()), inputs=checked.inputs)

    def delete(self, type_: str, name: str, state: State) -> None:
        self.provider.delete(one(type_, name), state, Options())

    def network(self) -> list[str]:
        vpc = self.make(VPC, "net", {"cidrBlock": "10.0.0.0/16"})
        zones = {"usw2-az1": "10.0.1.0/24", "usw2-az2": "10.0.2.0/24"}
        made = [
            self.make(SUBNET, zone, {"vpcId": vpc.id, "cidrBlock": cidr, "availabilityZoneId": zone})
            for zone, cidr in zones.items()
        ]
        return [subnet.id for subnet in made]

    def cluster(self, **inputs: Value) -> tuple[State, list[str], str]:
        subnets = self.network()
        role = self.make(ROLE, "control", {"assumeRolePolicy": trust("eks.amazonaws.com")})
        nodes = self.make(ROLE, "nodes", {"assumeRolePolicy": trust("ec2.amazonaws.com")})
        said: Properties = {
            "name": "inference",
            "version": "1.35",
            "roleArn": role.outputs["arn"],
            "vpcConfig": {"subnetIds": list[Value](subnets)},
            **inputs,
        }
        return self.make(CLUSTER, "inference", said), subnets, str(nodes.outputs["arn"])

    def group(self, subnets: list[str], role: str, **inputs: Value) -> State:
        return self.make(GROUP, "serve", group_inputs(subnets, role, **inputs))


def group_inputs(subnets: list[str], role: str, **inputs: Value) -> Properties:
    return {
        "clusterName": "inference",
        "nodeGroupName": "serve",
        "nodeRoleArn": role,
        "subnetIds": list[Value](subnets),
        "amiType": "AL2023_x86_64_NVIDIA",
        "instanceTypes": ["g6.2xlarge"],
        "scalingConfig": {"minSize": 1, "maxSize": 4, "desiredSize": 2},
        **inputs,
    }


def one(type_: str, name: str) -> Resource:
    return Resource(f"urn:pulumi:dev::shop::{type_}::{name}", type_, name)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def test_a_provider_needs_a_region_of_awss() -> None:
    aws = SimulatedAws(FakeWorld())
    assert [failure.property for failure in aws.check_config({}).failures] == ["region"]
    assert [failure.property for failure in aws.check_config({"region": "oregon"}).failures] == ["region"]
    assert not aws.check_config({"region": "us-west-2", "accessKey": "AKIA"}).failures
    assert aws.diff_config(CONFIG, {"region": "eu-west-1"}).changes["region"].replaces
    with pytest.raises(OperationError, match="no region"):
        aws.configure({})


def test_settings_that_mean_something_at_aws_and_nothing_here_are_named() -> None:
    world = FakeWorld()
    SimulatedAws(world).check_config({**CONFIG, "allowedAccountIds": '["1"]', "profile": "me"})
    assert world.unchecked == {"aws provider, allowedAccountIds"}


@pytest.mark.parametrize(
    ("region", "partition", "domain"),
    [
        ("us-west-2", "aws", "amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
    ],
)
def test_a_region_says_its_partition_and_domain(region: str, partition: str, domain: str) -> None:
    place = Place(region)
    assert (place.partition, place.domain) == (partition, domain)
    assert len(place.zones()) >= 3
    for zone, name in place.zones().items():
        assert place.zone_id(name) == zone
        assert name.startswith(region)


def test_ids_arns_and_names_look_as_awss_do_and_are_the_same_each_time() -> None:
    first, again = (Cloud().make(ROLE, "r", {"assumeRolePolicy": trust("ec2.amazonaws.com")}) for _ in range(2))
    assert first == again
    assert first.id.startswith("r-")
    assert first.outputs["arn"] == f"arn:aws:iam::000000000000:role/{first.id}"


def test_outputs_are_unknown_in_a_preview(cloud: Cloud) -> None:
    made = cloud.provider.create(one(VPC, "net"), {"cidrBlock": "10.0.0.0/16"}, Options(preview=True))
    assert (made.id, made.outputs["cidrBlock"], made.outputs["arn"]) == ("", "10.0.0.0/16", UNKNOWN)
    assert cloud.provider.check(one(SUBNET, "s"), None, {"vpcId": UNKNOWN, "cidrBlock": "10.0.0.0/24"}).failures == []


def test_a_type_that_nobody_knows_is_taken_and_named(cloud: Cloud) -> None:
    made = cloud.make("aws:connect/instance:Instance", "phone", {"size": 1})
    assert made.outputs["size"] == 1
    assert cloud.world.unchecked == {"aws:connect/instance:Instance"}


@pytest.mark.parametrize(
    ("type_", "old", "new", "replaces"),
    [
        (VPC, {"cidrBlock": "10.0.0.0/16"}, {"cidrBlock": "10.1.0.0/16"}, True),
        (VPC, {"tags": {"a": "b"}}, {"tags": {"a": "c"}}, False),
        (GROUP, {"instanceTypes": ["a"]}, {"instanceTypes": ["b"]}, True),
        (
            GROUP,
            {"launchTemplate": {"id": "a", "version": "1"}},
            {"launchTemplate": {"id": "a", "version": "2"}},
            False,
        ),
        (GROUP, {"launchTemplate": {"id": "a", "version": "1"}}, {"launchTemplate": {"id": "b", "version": "1"}}, True),
        (GROUP, {"launchTemplate": {"id": "a", "version": "1"}}, {}, True),
        (CLUSTER, {"version": "1.34"}, {"version": "1.35"}, False),
        (CLUSTER, {"encryptionConfig": {"resources": ["secrets"]}}, {}, True),
        (CLUSTER, {}, {"encryptionConfig": {"resources": ["secrets"]}}, False),
        (
            CLUSTER,
            {"accessConfig": {"authenticationMode": "API"}},
            {"accessConfig": {"authenticationMode": "X"}},
            False,
        ),
    ],
)
def test_what_replaces_a_resource_and_what_updates_it(
    type_: str, old: Properties, new: Properties, replaces: bool
) -> None:
    found = difference(type_, old, new)
    assert found.changes
    assert any(change.replaces for change in found.changes.values()) is replaces


@pytest.mark.parametrize(
    ("type_", "old", "new"),
    [
        (GROUP, {"subnetIds": ["a", "b"]}, {"subnetIds": ["b", "a"]}),
        (GROUP, {"version": "1.35"}, {}),
        (ROLE, {"assumeRolePolicy": '{"a": 1, "b": 2}'}, {"assumeRolePolicy": '{"b":2,"a":1}'}),
        (ROLE, {"name": "a", "__defaults": ["name"]}, {"name": "a"}),
    ],
)
def test_what_means_the_same_is_no_difference(type_: str, old: Properties, new: Properties) -> None:
    assert not difference(type_, old, new).changes


def test_only_what_the_program_has_named_goes_before_its_successor_comes(cloud: Cloud) -> None:
    policy = trust("ec2.amazonaws.com")
    own: Properties = {"name": "r", "path": "/a/", "assumeRolePolicy": policy}
    assert difference(ROLE, own, {**own, "path": "/b/"}).delete_before_replace
    made = cloud.make(ROLE, "r", {"path": "/a/", "assumeRolePolicy": policy})
    assert not difference(ROLE, made.inputs, {**made.inputs, "path": "/b/"}).delete_before_replace
    assert cloud.make(ROLE, "r", {"path": "/b/", "assumeRolePolicy": policy}).id != made.id


def test_two_can_not_have_one_name(cloud: Cloud) -> None:
    inputs: Properties = {"name": "r", "assumeRolePolicy": trust("ec2.amazonaws.com")}
    cloud.make(ROLE, "one", inputs)
    with pytest.raises(OperationError, match="already"):
        cloud.make(ROLE, "two", inputs)


def test_a_launch_template_gets_a_version_for_each_change_but_of_its_tags(cloud: Cloud) -> None:
    made = cloud.make(TEMPLATE, "t", {"instanceType": "g6.xlarge"})
    same = cloud.change(TEMPLATE, "t", made, {"instanceType": "g6.xlarge", "tags": {"a": "b"}})
    more = cloud.change(TEMPLATE, "t", same, {"instanceType": "g6.2xlarge", "tags": {"a": "b"}})
    assert [state.outputs["latestVersion"] for state in (made, same, more)] == [1, 1, 2]
    assert more.outputs["defaultVersion"] == 1
    again = cloud.provider.update(one(TEMPLATE, "t"), more, {"instanceType": "g6.4xlarge"}, Options(preview=True))
    assert again.outputs["latestVersion"] is UNKNOWN


def test_a_cluster_is_one_of_the_worlds(cloud: Cloud) -> None:
    made, _, _ = cloud.cluster()
    (server,) = cloud.world.clusters
    assert server == made.outputs["endpoint"]
    assert made.outputs["certificateAuthority"] == {"data": cloud.world.authority(server)}
    later = cloud.change(CLUSTER, "inference", made, {**made.inputs, "version": "1.36"})
    assert later.outputs["certificateAuthority"] == made.outputs["certificateAuthority"]
    assert cloud.world.versions == ["1.35", "1.36"]
    cloud.delete(CLUSTER, "inference", later)
    assert cloud.world.clusters == {}


def test_a_node_group_is_a_pool_of_nodes_as_eks_makes_them(cloud: Cloud) -> None:
    _, subnets, role = cloud.cluster()
    taint: Properties = {"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}
    cloud.group(subnets, role, taints=[taint], labels={"team": "ml"}, capacityType="SPOT", diskSize=200)
    (pool,) = cloud.world.said
    assert (pool.minimum, pool.maximum, pool.desired, pool.autoscaled) == (1, 4, 2, True)
    assert (pool.max_unavailable, pool.surge) == (1, 4)
    assert pool.template.labels == {
        "team": "ml",
        "eks.amazonaws.com/nodegroup": "serve",
        "eks.amazonaws.com/capacityType": "SPOT",
        "node.kubernetes.io/instance-type": "g6.2xlarge",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/region": "us-west-2",
    }
    assert pool.template.taints == (NodeTaint(key="nvidia.com/gpu", value="present", effect="NoSchedule"),)
    assert [labels["topology.k8s.aws/zone-id"] for labels in pool.template.topologies] == ["usw2-az1", "usw2-az2"]
    assert pool.template.capacity == {
        "cpu": "7910m",
        "memory": f"{32 * 1024 - (255 + 11 * 58) - 100}Mi",
        "pods": "58",
        "ephemeral-storage": "200Gi",
        "nvidia.com/gpu": "1",
    }


@pytest.mark.parametrize(
    ("changed", "rolls"),
    [
        ({"labels": {"a": "b"}}, False),
        ({"scalingConfig": {"minSize": 0, "maxSize": 8, "desiredSize": 3}}, False),
        ({"releaseVersion": "1.35.0-20990101"}, True),
    ],
)
def test_only_another_release_or_template_changes_the_image(cloud: Cloud, changed: Properties, rolls: bool) -> None:
    _, subnets, role = cloud.cluster()
    made = cloud.group(subnets, role)
    cloud.change(GROUP, "serve", made, group_inputs(subnets, role, **changed))
    before, after = cloud.world.said
    assert (before.template.image != after.template.image) is rolls


@pytest.mark.parametrize(
    ("update", "zones", "expected"),
    [
        ({}, 2, (1, 4)),
        ({"maxUnavailable": 20}, 5, (20, 20)),
        ({"maxUnavailablePercentage": 50}, 1, (5, 5)),
        ({"maxUnavailable": 2, "updateStrategy": "MINIMAL"}, 3, (2, 0)),
    ],
)
def test_an_update_takes_down_and_adds_as_many_as_eks_says(
    update: Properties, zones: int, expected: tuple[int, int]
) -> None:
    at_once = max_unavailable(update, 10)
    assert (at_once, surge(update, at_once, range(zones))) == expected


def test_a_read_shows_what_an_autoscaler_has_done(cloud: Cloud) -> None:
    _, subnets, role = cloud.cluster()
    made = cloud.group(subnets, role)
    ((server, pools),) = cloud.world.kept.items()
    (pool,) = pools.values()
    pools[pool.name] = replace(pool, desired=4)
    assert server
    scaling = cloud.provider.read(one(GROUP, "serve"), made).outputs["scalingConfig"]
    assert isinstance(scaling, Mapping)
    assert scaling["desiredSize"] == 4


def test_what_is_in_use_or_protected_stays(cloud: Cloud) -> None:
    cluster, subnets, role = cloud.cluster(deletionProtection=True)
    group = cloud.group(subnets, role)
    with pytest.raises(OperationError, match="deletion protection"):
        cloud.delete(CLUSTER, "inference", cluster)
    cloud.aws.lift_deletion_protection()
    with pytest.raises(OperationError, match=r"ResourceInUseException.*NodeGroup inference:serve"):
        cloud.delete(CLUSTER, "inference", cluster)
    cloud.delete(GROUP, "serve", group)
    cloud.delete(CLUSTER, "inference", cluster)
    assert cloud.world.clusters == {}


def test_a_role_with_policies_stays(cloud: Cloud) -> None:
    role = cloud.make(ROLE, "r", {"assumeRolePolicy": trust("ec2.amazonaws.com")})
    policy = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"
    attached = cloud.make(ATTACHMENT, "a", {"role": role.id, "policyArn": policy})
    with pytest.raises(OperationError, match="DeleteConflict"):
        cloud.delete(ROLE, "r", role)
    cloud.delete(ATTACHMENT, "a", attached)
    cloud.delete(ROLE, "r", role)


@pytest.mark.parametrize(
    ("token", "arguments", "key", "value"),
    [
        ("aws:index/getRegion:getRegion", {}, "name", "us-west-2"),
        ("aws:index/getCallerIdentity:getCallerIdentity", {}, "accountId", "000000000000"),
        ("aws:index/getPartition:getPartition", {}, "dnsSuffix", "amazonaws.com"),
        ("aws:index/getPartition:getPartition", {"region": "cn-north-1"}, "partition", "aws-cn"),
    ],
)
def test_lookups_that_can_be_made_up_are_answered_and_named(
    cloud: Cloud, token: str, arguments: Properties, key: str, value: str
) -> None:
    assert cloud.provider.invoke(token, arguments)[key] == value
    assert cloud.world.journal.simulated == [token]


def test_a_policy_document_is_rendered(cloud: Cloud) -> None:
    statement: Properties = {
        "actions": ["s3:GetObject"],
        "resources": ["*"],
        "principals": [{"type": "Service", "identifiers": ["ec2.amazonaws.com"]}],
        "conditions": [{"test": "StringEquals", "variable": "aws:a", "values": ["b"]}],
    }
    found = cloud.provider.invoke("aws:iam/getPolicyDocument:getPolicyDocument", {"statements": [statement]})
    assert json.loads(str(found["json"])) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": "*",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Condition": {"StringEquals": {"aws:a": "b"}},
            }
        ],
    }


def test_all_other_lookups_are_refused_by_name(cloud: Cloud) -> None:
    with pytest.raises(OperationError, match="aws:route53/getZone:getZone"):
        cloud.provider.invoke("aws:route53/getZone:getZone", {"name": "example.com"})
    assert cloud.world.journal.simulated == []
