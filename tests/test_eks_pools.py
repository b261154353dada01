"""Pools on EKS: what is derived from them, what is refused, what only might go wrong, and what nodes are told."""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Callable
from email import message_from_string
from typing import Any

import pytest
from gpu_clusters import ConfigErrors, DevicePlugin, Gpu, GpuOperator, GpuPool, Mig, Mps, Nodes, PlatformManaged, Taint
from gpu_clusters._spec import tree_problems, unchecked
from gpu_clusters.eks.cluster_checks import pool_problems, system_pool_problems
from gpu_clusters.eks.machines import (
    AmiFamily,
    Machine,
    all_machines,
    ami_type,
    gpu_machines,
    known_ami_types,
    zones_of,
)
from gpu_clusters.eks.pool_facts import (
    ephemeral_gb,
    extended_resources,
    fabric,
    machine_names,
    pool_ami_type,
    pool_zones,
    uses_efa,
)
from gpu_clusters.eks.pool_findings import pool_findings
from gpu_clusters.eks.pools import EksGpuPool, EksSystemPool, eks_pool
from gpu_clusters.eks.userdata import ClusterDetails, node_config_spec, user_data
from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.pools import CapacityBlock, FlexStart, OnDemand, Reservation, Spot, TimeSlicing
from hypothesis import given, settings
from hypothesis import strategies as st

ZONES = ("usw2-az1", "usw2-az2")
BLOCK = CapacityBlock(id="cr-0123456789abcdef0", zone="usw2-az2")
RESERVED = Reservation(id="cr-0123456789abcdef0", zone="usw2-az2")


def of(gpu: Gpu, count: int = 1, **fields: Any) -> EksGpuPool:
    values: dict[str, Any] = {"name": "p", "nodes": Nodes(max=4), "gpu": gpu, "gpus_per_node": count}
    return EksGpuPool(**(values | fields))


def l4(**fields: Any) -> EksGpuPool:
    return of(Gpu.L4, **fields)


def h100(**fields: Any) -> EksGpuPool:
    return of(Gpu.H100, 8, **fields)


def errors(build: Callable[[], EksGpuPool | EksSystemPool]) -> list[ConfigError]:
    with pytest.raises(ConfigErrors) as raised:
        build()
    return list(raised.value.errors)


@pytest.mark.parametrize(
    ("pool", "machines", "ami_type"),
    [
        (lambda: l4(), ["g6.2xlarge"], "AL2023_x86_64_NVIDIA"),
        (lambda: l4(ami="bottlerocket"), ["g6.2xlarge"], "BOTTLEROCKET_x86_64_NVIDIA"),
        (
            lambda: l4(capacity=Spot()),
            ["g6.2xlarge", "g6.4xlarge", "gr6.4xlarge", "g6.8xlarge", "gr6.8xlarge"],
            "AL2023_x86_64_NVIDIA",
        ),
        (lambda: l4(machines=["g6.8xlarge", "gr6.8xlarge"]), ["g6.8xlarge", "gr6.8xlarge"], "AL2023_x86_64_NVIDIA"),
        (lambda: of(Gpu.T4G), ["g5g.4xlarge"], "AL2023_ARM_64_NVIDIA"),
        (lambda: of(Gpu.T4G, ami="bottlerocket"), ["g5g.4xlarge"], "BOTTLEROCKET_ARM_64_NVIDIA"),
        (lambda: of(Gpu.GB200, 4, capacity=BLOCK), ["p6e-gb200.36xlarge"], "AL2023_ARM_64_NVIDIA"),
        (lambda: of(Gpu.V100_16GB), ["p3.2xlarge"], "AL2023_x86_64_NVIDIA"),
        (lambda: of(Gpu.RTX_PRO_4500, ami_id="ami-0123456789abcdef0"), ["g7.4xlarge"], "CUSTOM"),
        (lambda: l4(ami_type="BOTTLEROCKET_x86_64_NVIDIA_FIPS"), ["g6.2xlarge"], "BOTTLEROCKET_x86_64_NVIDIA_FIPS"),
        (lambda: l4(machines=["g9.xlarge"], ami_type="AL2023_x86_64_NVIDIA"), ["g9.xlarge"], "AL2023_x86_64_NVIDIA"),
    ],
)
def test_machine_and_image_follow_from_the_gpu(
    pool: Callable[[], EksGpuPool], machines: list[str], ami_type: str
) -> None:
    built = pool()
    assert list(machine_names(built)) == machines
    assert pool_ami_type(built) == ami_type


@pytest.mark.parametrize(
    ("build", "path", "problem", "remedy"),
    [
        (lambda: of(Gpu.L4, 3), "gpus_per_node", "no machine with 3 x L4",
         "use 1 (g6.2xlarge) or 4 (g6.12xlarge) or 8 (g6.48xlarge)"),
        (lambda: of(Gpu.MI300X), "gpu", "no machine with MI300X", "name a newer machine"),
        (lambda: of(Gpu.RTX_PRO_4500), "gpu", "no image with a driver for g7", "set `ami_id`"),
        (lambda: of(Gpu.GB200, 4, capacity=BLOCK, ami="bottlerocket"), "gpu", "no image bottlerocket for p6e-gb200",
         "use AL2023_ARM_64_NVIDIA"),
        (lambda: l4(machines=["g6f.xlarge"]), "machines[0]", "0.125 of a GPU", "use one of g6.2xlarge"),
        (lambda: l4(machines=["g6.xlarge", "g5.xlarge"]), "machines[1]", "g5.xlarge has 1 x A10G", "g6.2xlarge"),
        (lambda: l4(machines=["g6.12xlarge"]), "machines[0]", "g6.12xlarge has 4 x L4", "g6.xlarge"),
        (lambda: l4(machines=["m6i.xlarge"]), "machines[0]", "m6i.xlarge has no GPU", "g6.xlarge"),
        (lambda: l4(machines=["g6.3xlarge"]), "machines[0]", "no machine 'g6.3xlarge'", "did you mean"),
        (lambda: l4(machines=["L4"]), "machines[0]", "no machine 'L4'", ""),
        (lambda: l4(machines=["g6.xlarge", "g6.xlarge"]), "machines[1]", "named twice", "leave one out"),
        (lambda: l4(machines=["trn1.2xlarge"]), "machines[0]", "Neuron accelerators", "node group of your own"),
        (lambda: l4(machines=["g9.xlarge"]), "machines[0]", "doesn't know g9.xlarge", "set `ami_type` or `ami_id`"),
        (lambda: l4(ami_type="AL2_x86_64_GPU"), "ami_type", "no image type 'AL2_x86_64_GPU'", "AL2023_x86_64_NVIDIA"),
        (lambda: l4(ami_type="AL2023_x86_64_STANDARD"), "gpu", "no image AL2023_x86_64_STANDARD for g6",
         "use AL2023_x86_64_NVIDIA"),
        (lambda: l4(ami="al2023", ami_type="BOTTLEROCKET_x86_64_NVIDIA"), "ami_type", "not an image of", "leave"),
        (lambda: l4(ami_id="ami-x"), "ami_id", "not the id of an image", "hex"),
        (lambda: l4(ami_id="ami-0123456789abcdef0", release_version="1.35.0-20260701"), "release_version",
         "one of your own", "leave"),
        (lambda: l4(ami_id="ami-0123456789abcdef0", ami="bottlerocket"), "ami", "AL2023", "leave"),
        (lambda: l4(capacity=FlexStart()), "capacity", "flex start is Google's", "Capacity Block"),
        (lambda: l4(capacity=BLOCK), "capacity", "no Capacity Blocks of g6.2xlarge", "reservation"),
        (lambda: of(Gpu.GB200, 4), "capacity", "Capacity Blocks only", "use a Capacity Block"),
        (lambda: h100(capacity=CapacityBlock(id="x", zone="usw2-az2")), "capacity.id", "not the id", "cr-"),
        (lambda: h100(capacity=BLOCK, zones=["usw2-az1"]), "zones", "in usw2-az2 only", "leave"),
        (lambda: of(Gpu.H200, 8, capacity=BLOCK, machines=["p5e.48xlarge", "p5en.48xlarge"]), "machines",
         "one machine type", "reserved one"),
        (lambda: of(Gpu.H200, 8, capacity=RESERVED, machines=["p5e.48xlarge", "p5en.48xlarge"]), "machines",
         "one machine type", "reserved one"),
        (lambda: l4(efa=True), "efa", "g6.2xlarge takes no EFA", "larger machine"),
        (lambda: of(Gpu.GB200, 4, capacity=BLOCK, efa=True), "efa", "isn't known", "`efa: false`"),
        (lambda: l4(efa=True, machines=["g9.xlarge"], ami_type="AL2023_x86_64_NVIDIA"), "efa", "isn't known", "false"),
        (lambda: of(Gpu.H200, 8, efa=True, machines=["p5e.48xlarge", "p5en.48xlarge"]), "machines",
         "differ in their EFA", "pool of each"),
        (lambda: h100(efa=True, zones=ZONES), "efa", "doesn't cross zones", "one zone"),
        (lambda: h100(placement_group=True, capacity=BLOCK), "placement_group", "reserved where it is", "leave"),
        (lambda: h100(placement_group=True, capacity=RESERVED), "placement_group", "reserved where it is", "leave"),
        (lambda: h100(placement_group=True, zones=ZONES), "placement_group", "in one zone", "one zone"),
        (lambda: l4(nodes=Nodes(max=0)), "nodes.max", "can't have a node", "at least 1"),
        (lambda: l4(desired=5), "desired", "out of range", "from 0 to 4"),
        (lambda: l4(ami="bottlerocket", devices=DevicePlugin()), "devices", "second plugin", "leave"),
        (lambda: l4(ami="bottlerocket", devices=GpuOperator()), "devices", "second plugin", "leave"),
        (lambda: h100(sharing=Mig(profile="1g.10gb")), "sharing", "partitions GPUs", "bottlerocket"),
        (lambda: of(Gpu.B200, 8, ami="bottlerocket", sharing=Mig(profile="1g.23gb")), "sharing", "can't partition",
         "h100"),
        (lambda: h100(ami="bottlerocket", sharing=Mig(profile="1g.10gb", strategy="mixed")), "sharing.strategy",
         "no setting", "single"),
        (lambda: l4(disk_gib=19), "disk_gib", "out of range", "from 20"),
        (lambda: l4(disk_iops=100), "disk_iops", "out of range", "from 3000"),
        (lambda: l4(disk_throughput_mib_s=1_000), "disk_throughput_mib_s", "4 operations", "to 4000 at least"),
        (lambda: l4(max_unavailable=0), "max_unavailable", "out of range", "from 1"),
        (lambda: l4(imds_hop_limit=65), "imds_hop_limit", "out of range", "from 1 to 64"),
        (lambda: l4(max_pods=0), "max_pods", "out of range", "at least 1"),
        (lambda: l4(tags={"aws:x": "y"}), "tags.aws:x", "set by AWS", "another key"),
        (lambda: l4(tags={"gpu-clusters.dev/pool": "y"}), "tags.gpu-clusters.dev/pool", "by the library", "another"),
        (lambda: l4(tags={"x": "y" * 257}), "tags.x", "at most 256", "shorten"),
        (lambda: l4(labels={"node-role.kubernetes.io/gpu": ""}), "labels.node-role.kubernetes.io/gpu",
         "kubelet wouldn't start", "node.kubernetes.io/"),
        (lambda: EksSystemPool(labels={"k8s.io/x": ""}), "labels.k8s.io/x", "kubelet wouldn't start", "prefix"),
        (lambda: l4(taints=[Taint(key="nvidia.com/gpu", value="x")]), "taints[0]", "already", "leave it out"),
        (lambda: EksSystemPool(machines=[]), "machines", "there is none", "at least one"),
        (lambda: EksSystemPool(machines=["g6.xlarge"]), "machines[0]", "has GPUs", "without GPUs"),
        (lambda: EksSystemPool(machines=["m6i.xlarge", "m7g.xlarge"]), "machines", "several architectures", "one arch"),
        (lambda: EksSystemPool(machines=["c9.xlarge"]), "machines[0]", "doesn't know c9.xlarge", "m6i"),
        (lambda: EksSystemPool(nodes=Nodes(max=1)), "nodes.min", "out of range", "at least 1"),
        (lambda: EksSystemPool(disk_gib=10), "disk_gib", "out of range", "at least 20"),
    ],
)  # fmt: skip
def test_what_cant_be_is_refused_where_it_is_built(
    build: Callable[[], EksGpuPool | EksSystemPool], path: str, problem: str, remedy: str
) -> None:
    found = errors(build)
    assert [error.path for error in found] == [path], found
    assert problem in found[0].problem
    assert remedy in found[0].remedy


@pytest.mark.parametrize(
    "build",
    [
        lambda: of(Gpu.H200, 8, machines=["p5e.48xlarge", "p5en.48xlarge"]),
        lambda: h100(capacity=RESERVED, zones=["usw2-az2"], efa=True),
        lambda: h100(placement_group=True, efa=True, zones=["usw2-az1"], capacity=Spot()),
        lambda: h100(ami="bottlerocket", sharing=Mig(profile="1g.10gb")),
        lambda: h100(sharing=Mig(profile="1g.10gb"), devices=GpuOperator()),
        lambda: l4(disk_throughput_mib_s=1_000, disk_iops=4_000),
        lambda: l4(disk_throughput_mib_s=750),
        lambda: l4(labels={"node.kubernetes.io/lifecycle": "x", "example.com/k8s.io": "y", "plain": "z"}),
        lambda: l4(taints=[Taint(key="nvidia.com/gpu", effect="NoExecute")]),
    ],
)
def test_what_can_be_is_accepted(build: Callable[[], EksGpuPool]) -> None:
    assert list(tree_problems(build())) == []


@pytest.mark.parametrize("item", gpu_machines(), ids=lambda item: item.name)
@pytest.mark.parametrize("ami", ["al2023", "bottlerocket"])
def test_every_machine_is_had_with_an_image_that_runs_on_it_or_refused(item: Machine, ami: AmiFamily) -> None:
    assert item.gpu is not None
    capacity = BLOCK if item.capacity_blocks == "only" else OnDemand()
    fields: dict[str, Any] = {"machines": [item.name], "ami": ami, "capacity": capacity}
    if item.is_fractional or ami_type(item.family, ami) is None:
        (found,) = errors(lambda: of(item.gpu or Gpu.L4, max(int(item.gpus), 1), **fields))
        assert found.path == "machines[0]"
    else:
        pool = of(item.gpu, int(item.gpus), **fields)
        assert pool_ami_type(pool) == ami_type(item.family, ami)
        assert pool_problems_of_offered_zones(pool, item) == []


def pool_problems_of_offered_zones(pool: EksGpuPool, item: Machine) -> list[tuple[str, str]]:
    zones = zones_of(item.name) or {"usw2-az2"}
    return problems_in(pool, (min(zones),))


POOLS = st.fixed_dictionaries(
    {
        "gpu": st.sampled_from(Gpu),
        "gpus_per_node": st.integers(1, 8),
        "nodes": st.builds(Nodes, max=st.integers(0, 3)),
        "capacity": st.sampled_from([OnDemand(), Spot(), RESERVED, BLOCK, FlexStart()]),
    },
    optional={
        "machines": st.lists(st.sampled_from([*(item.name for item in all_machines()), "g9.xlarge", "x"]), max_size=2),
        "ami": st.sampled_from(["al2023", "bottlerocket"]),
        "ami_type": st.sampled_from([*sorted(known_ami_types()), "X"]),
        "efa": st.booleans(),
        "zones": st.lists(st.sampled_from(ZONES), unique=True),
        "placement_group": st.booleans(),
        "sharing": st.sampled_from([Mig(profile="1g.10gb"), Mps(replicas=2), TimeSlicing(replicas=2)]),
        "local_nvme": st.sampled_from(["raid0", "none"]),
    },
)


@settings(max_examples=200, deadline=None)
@given(POOLS)
def test_what_is_accepted_has_a_machine_an_image_and_a_fabric(fields: dict[str, Any]) -> None:
    with unchecked():
        pool = EksGpuPool(name="p", **fields)
    if any(tree_problems(pool)) or problems_in(pool):
        return
    assert machine_names(pool)
    assert pool_ami_type(pool)
    assert fabric(pool) or not uses_efa(pool, ZONES)
    assert not uses_efa(pool, ZONES) or len(pool_zones(pool, ZONES)) == 1
    assert extended_resources(pool, ZONES)[pool.resource] > 0
    assert eks_pool(pool).name == "p"
    user_data(pool)
    list(pool_findings(pool, ZONES))


def problems_in(pool: GpuPool, zones: tuple[str, ...] = ZONES, version: str = "1.35") -> list[tuple[str, str]]:
    found = pool_problems(pool, zones=zones, region="us-west-2", kubernetes_version=version, path="gpu_pools[0]")
    return [(error.path, error.remedy) for error in found]


@pytest.mark.parametrize(
    ("pool", "zones", "path", "remedy"),
    [
        (GpuPool(name="p", gpu=Gpu.L4, gpus_per_node=3, nodes=Nodes(max=1)), ZONES, "gpus_per_node", "use 1 "),
        (GpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=1), capacity=FlexStart()), ZONES, "capacity", "Capacity Block"),
        (l4(zones=["usw2-az3"]), ZONES, "zones", "use one of those"),
        (h100(capacity=BLOCK), ("usw2-az1",), "capacity.zone", "add the zone to the cluster's `zones`"),
        (of(Gpu.A10G), ("usw2-az3", "usw2-az4"), "zones", "set `zones` to usw2-az3"),
        (of(Gpu.B300, 8), ("usw2-az3",), "zones", "in us-west-2 it is in usw2-az1, usw2-az2: add one"),
        (of(Gpu.B300, 8), ("usw1-az1",), "zones", "nowhere in us-west-2"),
        (of(Gpu.B300, 8, capacity=CapacityBlock(id="cr-1", zone="usw2-az3")), ("usw2-az1", "usw2-az3"),
         "capacity.zone", "look up the reservation's zone id"),
        (h100(efa=True), ZONES, "efa", "set `zones` to one of them, e.g. usw2-az1"),
        (h100(placement_group=True), ZONES, "placement_group", "set `zones` to one of them, e.g. usw2-az1"),
        (l4(release_version="1.34.2-20260701"), ZONES, "release_version", "begins with 1.35."),
    ],
)  # fmt: skip
def test_what_cant_be_in_a_cluster_is_refused_with_the_pools_path(
    pool: GpuPool, zones: tuple[str, ...], path: str, remedy: str
) -> None:
    ((found, how),) = problems_in(pool, zones)
    assert found == f"gpu_pools[0].{path}"
    assert remedy in how


@pytest.mark.parametrize(
    ("pool", "zones"),
    [
        (l4(), ZONES),
        (l4(zones=["usw2-az3"]), ("usw2-az3", "usw2-az4")),
        (l4(), ("usw9-az1", "usw9-az2")),
        (of(Gpu.GB200, 4, capacity=BLOCK), ZONES),
        (of(Gpu.V100_16GB), ZONES),
        (l4(machines=["g9.xlarge"], ami_type="AL2023_x86_64_NVIDIA"), ZONES),
        (h100(capacity=BLOCK, efa=True), ZONES),
        (l4(ami="bottlerocket", release_version="1.54.0-abcdef01"), ZONES),
        (l4(release_version="1.35.2-20260701"), ZONES),
    ],
)
def test_what_a_cluster_can_have_or_the_catalogue_doesnt_know_is_accepted(
    pool: GpuPool, zones: tuple[str, ...]
) -> None:
    assert problems_in(pool, zones) == []


def test_a_pool_that_is_wrong_by_itself_isnt_said_to_be_wrong_twice() -> None:
    with unchecked():
        pool = EksGpuPool(name="p", gpu=Gpu.L4, gpus_per_node=3, nodes=Nodes(max=1))
    assert len(list(tree_problems(pool))) == 1
    assert problems_in(pool) == []


def test_a_system_pools_release_is_of_the_clusters_version() -> None:
    pool = EksSystemPool(release_version="1.34.0-20260701")
    (found,) = system_pool_problems(pool, kubernetes_version="1.35", path="system_pool")
    assert found.path == "system_pool.release_version"


@pytest.mark.parametrize(
    ("pool", "zones", "expected"),
    [
        (l4(), ZONES, []),
        (l4(machines=["g9.xlarge"], ami_type="AL2023_x86_64_NVIDIA"), ZONES, [ProblemId.NOT_IN_CATALOGUE]),
        (l4(), ("usw9-az1",), [ProblemId.NOT_IN_CATALOGUE]),
        (of(Gpu.V100_16GB, disk_gib=500), ZONES, [ProblemId.NOT_IN_CATALOGUE]),
        (l4(capacity=Spot()), ZONES, []),
        (l4(capacity=Spot(), machines=["g6.xlarge"]), ZONES, [ProblemId.SPOT_NOT_DIVERSIFIED]),
        (h100(capacity=Spot(), efa=False), ZONES, [ProblemId.SPOT_NOT_DIVERSIFIED]),
        (h100(efa=False), ZONES, [ProblemId.CAPACITY_UNCERTAIN]),
        (h100(), ZONES, [ProblemId.CAPACITY_UNCERTAIN, ProblemId.EFA_UNUSED]),
        (h100(zones=["usw2-az1"]), ZONES, [ProblemId.CAPACITY_UNCERTAIN]),
        (h100(capacity=BLOCK), ZONES, [ProblemId.ROLLOUT_GAP]),
        (h100(capacity=BLOCK, nodes=Nodes(min=2, max=2)), ZONES,
         [ProblemId.CAPACITY_UNCERTAIN, ProblemId.ROLLOUT_GAP]),
        (h100(capacity=RESERVED), ZONES, [ProblemId.ROLLOUT_GAP]),
        (h100(capacity=RESERVED, update_strategy="default"), ZONES, [ProblemId.ROLLOUT_GAP]),
        (of(Gpu.T4G, disk_gib=60), ZONES, [ProblemId.DISK_TOO_SMALL]),
        (l4(disk_gib=60, local_nvme="none"), ZONES, [ProblemId.DISK_TOO_SMALL]),
        (l4(disk_gib=60), ZONES, []),
        (l4(devices=PlatformManaged()), ZONES, [ProblemId.DEVICE_PLUGIN_MISSING]),
        (l4(devices=PlatformManaged(), ami="bottlerocket"), ZONES, []),
    ],
)  # fmt: skip
def test_what_only_might_go_wrong_is_a_finding(
    pool: EksGpuPool, zones: tuple[str, ...], expected: list[ProblemId]
) -> None:
    # That the image's release is open is said of each of these.
    found = [item.id for item in pool_findings(pool, zones)]
    assert sorted(found) == sorted([*expected, ProblemId.AMI_RELEASE_UNPINNED])


@pytest.mark.parametrize("pool", [l4(release_version="1.35.2-20260701"), l4(ami_id="ami-0123456789abcdef0")])
def test_a_pinned_image_is_no_finding(pool: EksGpuPool) -> None:
    assert list(pool_findings(pool, ZONES)) == []


@pytest.mark.parametrize(
    ("pool", "zones", "efa"),
    [
        (h100(), ZONES, False),
        (h100(), ("usw2-az1",), True),
        (h100(zones=["usw2-az1"]), ZONES, True),
        (h100(capacity=BLOCK), ZONES, True),
        (h100(capacity=BLOCK, nodes=Nodes(max=1)), ZONES, False),
        (h100(capacity=BLOCK, nodes=Nodes(max=1), efa=True), ZONES, True),
        (h100(capacity=BLOCK, efa=False), ZONES, False),
        (l4(), ("usw2-az1",), False),
        (of(Gpu.H200, 8, machines=["p5e.48xlarge", "p5en.48xlarge"]), ("usw2-az1",), False),
        (of(Gpu.GB200, 4, capacity=BLOCK), ZONES, False),
    ],
)
def test_efa_is_on_by_itself_where_a_pool_has_several_nodes_in_one_zone(
    pool: EksGpuPool, zones: tuple[str, ...], efa: bool
) -> None:
    assert uses_efa(pool, zones) is efa


def test_a_node_offers_gpus_and_all_its_efa() -> None:
    assert extended_resources(h100(capacity=BLOCK), ZONES) == {"nvidia.com/gpu": 8, "vpc.amazonaws.com/efa": 32}
    assert extended_resources(l4(sharing=TimeSlicing(replicas=4)), ZONES) == {"nvidia.com/gpu.shared": 4}
    assert ephemeral_gb(l4()) == 450
    assert ephemeral_gb(l4(local_nvme="none")) == 200


def test_a_pools_zones_are_its_reservations_its_own_or_the_clusters() -> None:
    assert pool_zones(h100(capacity=RESERVED), ZONES) == ("usw2-az2",)
    assert pool_zones(l4(zones=["usw2-az1"]), ZONES) == ("usw2-az1",)
    assert pool_zones(l4(), ZONES) == ZONES


def test_a_plain_pool_is_widened_with_all_it_says() -> None:
    pool = GpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=4), capacity=OnDemand(), labels={"a": "b"})
    wide = eks_pool(pool)
    assert (wide.name, wide.gpu, wide.nodes, wide.labels, wide.devices) == ("p", Gpu.L4, Nodes(max=4), {"a": "b"}, None)
    assert eks_pool(wide) is wide


@pytest.mark.parametrize(
    ("pool", "built_in", "devices"),
    [
        (l4(), False, None),
        (l4(), True, PlatformManaged()),
        (l4(ami="bottlerocket"), False, PlatformManaged()),
        (l4(ami_type="BOTTLEROCKET_x86_64_NVIDIA_FIPS"), False, PlatformManaged()),
        (l4(devices=DevicePlugin()), True, DevicePlugin()),
    ],
)
def test_images_with_a_device_plugin_get_no_second_one(
    pool: EksGpuPool, built_in: bool, devices: PlatformManaged | DevicePlugin | None
) -> None:
    assert eks_pool(pool, devices_built_in=built_in).devices == devices


def node_config(pool: EksGpuPool, cluster: ClusterDetails | None = None) -> dict[str, Any]:
    encoded = user_data(pool, cluster)
    assert encoded is not None
    message = message_from_string(base64.b64decode(encoded).decode())
    assert message.get_content_type() == "multipart/mixed"
    (part,) = message.get_payload()
    assert not isinstance(part, str)
    assert part.get_content_type() == "application/node.eks.aws"
    config: dict[str, Any] = json.loads(str(part.get_payload()))
    assert (config["apiVersion"], config["kind"]) == ("node.eks.aws/v1alpha1", "NodeConfig")
    return config["spec"]


RAID0 = {"localStorage": {"strategy": "RAID0"}}
FAST = {"FastImagePull": True}


@pytest.mark.parametrize(
    ("pool", "spec"),
    [
        (l4(), {"instance": RAID0, "featureGates": FAST}),
        (l4(local_nvme="none"), {"featureGates": FAST}),
        (l4(fast_image_pull=False), {"instance": RAID0}),
        (of(Gpu.T4G), {"featureGates": FAST}),
        (l4(max_pods=50), {"instance": RAID0, "kubelet": {"config": {"maxPods": 50}}, "featureGates": FAST}),
        (
            l4(machines=["g9.xlarge"], ami_type="AL2023_x86_64_NVIDIA"),
            {"instance": RAID0, "featureGates": FAST},
        ),
    ],
)
def test_al2023_nodes_are_told_by_a_node_config(pool: EksGpuPool, spec: dict[str, Any]) -> None:
    assert node_config(pool) == spec


def test_an_image_of_ones_own_is_told_of_its_cluster() -> None:
    cluster = ClusterDetails(name="c", endpoint="https://e", certificate_authority="Y2E=", service_cidr="10.100.0.0/16")
    assert node_config(l4(ami_id="ami-0123456789abcdef0"), cluster)["cluster"] == {
        "name": "c",
        "apiServerEndpoint": "https://e",
        "certificateAuthority": "Y2E=",
        "cidr": "10.100.0.0/16",
    }


def test_a_node_config_has_only_fields_that_nodeadm_knows() -> None:
    """awslabs/amazon-eks-ami, nodeadm/api/v1alpha1/nodeconfig_types.go (2026-07)."""
    cluster = ClusterDetails(name="c", endpoint="e", certificate_authority="a", service_cidr="s")
    spec = node_config_spec(l4(ami_id="ami-0123456789abcdef0", max_pods=9), cluster)
    assert set(spec) == {"cluster", "instance", "kubelet", "featureGates"}


def test_a_pool_without_wishes_gets_no_user_data() -> None:
    assert user_data(l4(local_nvme="none", fast_image_pull=False)) is None
    assert user_data(of(Gpu.T4G, ami="bottlerocket")) is None


def bottlerocket(pool: EksGpuPool) -> dict[str, Any]:
    encoded = user_data(pool)
    assert encoded is not None
    return tomllib.loads(base64.b64decode(encoded).decode())["settings"]


def test_bottlerocket_binds_its_folders_to_local_nvme() -> None:
    assert bottlerocket(l4(ami="bottlerocket")) == {
        "bootstrap-commands": {
            "000-local-nvme": {
                "commands": [
                    ["apiclient", "ephemeral-storage", "init"],
                    ["apiclient", "ephemeral-storage", "bind", "--dirs", "/var/lib/containerd", "/var/lib/kubelet",
                     "/var/log/pods"],
                ],
                "mode": "always",
                "essential": True,
            }
        }
    }  # fmt: skip


def test_bottlerocket_pulls_fast_where_asked() -> None:
    settings = bottlerocket(l4(ami="bottlerocket", fast_image_pull=True, max_pods=40))
    assert settings["container-runtime"] == {"snapshotter": "soci"}
    assert settings["kubernetes"] == {"max-pods": 40}
    assert "/var/lib/soci-snapshotter" in settings["bootstrap-commands"]["000-local-nvme"]["commands"][1]


@pytest.mark.parametrize(
    ("pool", "nvidia"),
    [
        (
            of(Gpu.T4G, ami="bottlerocket", sharing=TimeSlicing(replicas=4)),
            {
                "device-sharing-strategy": "time-slicing",
                "time-slicing": {"replicas": 4, "rename-by-default": True, "fail-requests-greater-than-one": True},
            },
        ),
        (
            of(Gpu.T4G, ami="bottlerocket", sharing=Mps(replicas=3)),
            {"device-sharing-strategy": "mps", "mps": {"replicas": 3, "rename-by-default": True}},
        ),
        (
            h100(ami="bottlerocket", sharing=Mig(profile="1g.10gb")),
            {"device-partitioning-strategy": "mig", "mig": {"profile": {"h100.80gb": "1g.10gb"}}},
        ),
    ],
)
def test_bottlerockets_own_plugin_shares_gpus_as_the_pool_says(pool: EksGpuPool, nvidia: dict[str, Any]) -> None:
    assert bottlerocket(pool)["kubelet-device-plugins"] == {"nvidia": nvidia}
