"""EC2 machines as EKS nodes: every row of the catalogue, the default machine, fabric, images and quotas."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import botocore.session
import pytest
from gpu_clusters import Gpu, GpuPool, Nodes, data
from gpu_clusters.eks import machines
from gpu_clusters.eks.fabric import Interface, efa_count, interfaces
from gpu_clusters.eks.machines import Machine
from gpu_clusters.eks.pools import EksGpuPool, EksSystemPool
from gpu_clusters.eks.quotas import QuotaNeed, quotas
from gpu_clusters.pools import Capacity, CapacityBlock, OnDemand, Reservation, Spot

GPU_MACHINES = {item.name: item for item in machines.gpu_machines()}
WITH_EFA = {name: item for name, item in GPU_MACHINES.items() if item.efa_interfaces}

#: Network cards and EFA interfaces of every machine that takes EFA, as AWS's tables have them.
EFA: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("g4dn.8xlarge", "g4dn.12xlarge", "g4dn.16xlarge", "g4dn.metal"), (1, 1)),
    **dict.fromkeys(("g5.8xlarge", "g5.12xlarge", "g5.16xlarge", "g5.24xlarge", "g5.48xlarge"), (1, 1)),
    **dict.fromkeys(("g6.8xlarge", "g6.12xlarge", "g6.16xlarge", "g6.24xlarge", "g6.48xlarge", "gr6.8xlarge"), (1, 1)),
    **dict.fromkeys(("g6e.8xlarge", "g6e.12xlarge", "g6e.16xlarge"), (1, 1)),
    **dict.fromkeys(("g7.8xlarge", "g7.12xlarge", "g7.24xlarge", "g7e.8xlarge", "g7e.12xlarge"), (1, 1)),
    **dict.fromkeys(("p3dn.24xlarge", "p5.4xlarge"), (1, 1)),
    **dict.fromkeys(("g6e.24xlarge", "g7.48xlarge", "g7e.24xlarge"), (2, 2)),
    **dict.fromkeys(("g6e.48xlarge", "g7e.48xlarge", "p4d.24xlarge", "p4de.24xlarge"), (4, 4)),
    "p6-b200.48xlarge": (8, 8),
    "p5en.48xlarge": (16, 16),
    "p5.48xlarge": (32, 32),
    "p5e.48xlarge": (32, 32),
    "p6-b300.48xlarge": (17, 16),
}


@cache
def aws_enum(service: str, shape: str) -> frozenset[str]:
    model = cast("Any", botocore.session.get_session()).get_service_model(service)  # pyright: ignore[reportUnknownMemberType]
    return frozenset(model.shape_for(shape).enum)


@pytest.mark.parametrize("item", GPU_MACHINES.values(), ids=lambda item: item.name)
def test_every_row_is_a_machine_of_awss_with_a_gpu_of_ours(item: Machine) -> None:
    assert item.name in aws_enum("ec2", "InstanceType")
    assert item.family == item.name.partition(".")[0]
    assert isinstance(item.gpu, Gpu)
    assert item.gpus > 0
    assert item.is_fractional or item.gpus == int(item.gpus)
    assert item.vcpus > 0
    assert item.memory_gib > 0
    assert item.is_fractional == item.family.endswith("6f")


@pytest.mark.parametrize("item", GPU_MACHINES.values(), ids=lambda item: item.name)
def test_efa_counts_fit_the_cards(item: Machine) -> None:
    if item.network_cards is None or item.efa_interfaces is None:
        assert interfaces(item) == ()
        assert item.name == "p6e-gb200.36xlarge"
    else:
        without_first = 0 if item.efa_on_first_card else 1
        assert item.efa_interfaces in (0, item.network_cards - without_first)
        assert efa_count(item) == item.efa_interfaces


@pytest.mark.parametrize("row", data.rows("aws_gpu_zone_offerings"), ids=lambda row: row["machine"])
def test_every_row_of_offerings_is_of_a_known_machine_and_of_zone_ids(row: data.Row) -> None:
    assert row["machine"] in GPU_MACHINES
    zones = row["zones"].split()
    assert zones == sorted(set(zones))
    assert all(zone.partition("-")[2][:2] == "az" and zone.partition("-")[0].isalnum() for zone in zones)


@pytest.mark.parametrize("row", data.rows("aws_ami_types"), ids=lambda row: f"{row['family']}-{row['os']}")
def test_every_image_is_one_of_ekss_and_fits_its_familys_architecture(row: data.Row) -> None:
    names = {row["ami_type"], row["fips_ami_type"]} - {""}
    assert names <= aws_enum("eks", "AMITypes")
    of_family = [item for item in machines.all_machines() if item.family == row["family"]]
    assert of_family
    assert {item.architecture for item in of_family} == {row["architecture"]}
    # A GPU node always has an image with GPU parts, another never.
    assert all(("NVIDIA" in name) == (of_family[0].gpu is not None) for name in names)
    assert all(("x86_64" in name) == (row["architecture"] == "x86_64") for name in names)


@pytest.mark.parametrize(
    "table",
    ["aws_ami_types", "aws_cpu_instances", "aws_gpu_instances", "aws_gpu_zone_offerings", "aws_quotas",
     "aws_refused_families"],
)  # fmt: skip
def test_every_row_has_its_source(table: str) -> None:
    assert all(row["source"] for row in data.rows(table))


def test_only_g7_has_no_image_of_ekss() -> None:
    assert {item.family for item in machines.all_machines() if not machines.ami_types(item.family)} == {"g7"}


@pytest.mark.parametrize("family", ["p3", "p3dn", "p6-b300", "g6f", "g5g", "p6e-gb200"])
def test_bottlerocket_on_arm_is_for_g5g_only(family: str) -> None:
    arm = {"g5g": "BOTTLEROCKET_ARM_64_NVIDIA", "p6e-gb200": None}
    assert machines.ami_type(family, "bottlerocket") == arm.get(family, "BOTTLEROCKET_x86_64_NVIDIA")


def test_the_efa_table_names_every_machine_with_efa() -> None:
    assert set(EFA) == set(WITH_EFA)


@pytest.mark.parametrize("name", WITH_EFA)
def test_the_fabric_of_every_machine_with_efa(name: str) -> None:
    """Card 0: IP at device 0, and an EFA at device 1 where it takes one; each further card: an EFA at device 0."""
    cards, efa = EFA[name]
    first = [Interface(card=0, device=1, kind="efa-only")] if cards == efa else []
    further = [Interface(card=card, device=0, kind="efa-only") for card in range(1, cards)]
    assert interfaces(WITH_EFA[name]) == (Interface(card=0, device=0, kind="interface"), *first, *further)


def test_card_0_of_p6_b300_has_no_efa() -> None:
    layout = interfaces(GPU_MACHINES["p6-b300.48xlarge"])
    assert [(item.device, item.kind) for item in layout if item.card == 0] == [(0, "interface")]
    assert [item.card for item in layout if item.kind == "efa-only"] == list(range(1, 17))


@pytest.mark.parametrize(
    ("gpu", "count", "default"),
    [
        (Gpu.T4, 1, "g4dn.2xlarge"),
        (Gpu.T4, 8, "g4dn.metal"),
        (Gpu.T4G, 2, "g5g.16xlarge"),
        (Gpu.A10G, 4, "g5.12xlarge"),
        (Gpu.L4, 1, "g6.2xlarge"),
        (Gpu.L4, 8, "g6.48xlarge"),
        (Gpu.L40S, 1, "g6e.2xlarge"),
        (Gpu.A100_40GB, 8, "p4d.24xlarge"),
        (Gpu.A100_80GB, 8, "p4de.24xlarge"),
        (Gpu.H100, 1, "p5.4xlarge"),
        (Gpu.H100, 8, "p5.48xlarge"),
        (Gpu.H200, 8, "p5en.48xlarge"),
        (Gpu.B200, 8, "p6-b200.48xlarge"),
        (Gpu.B300, 8, "p6-b300.48xlarge"),
        (Gpu.RTX_PRO_6000, 2, "g7e.12xlarge"),
        (Gpu.V100_16GB, 4, "p3.8xlarge"),
        (Gpu.V100_32GB, 8, "p3dn.24xlarge"),
    ],
)
def test_the_default_machine_is_the_smallest_with_exactly_that_and_memory_to_feed_it(
    gpu: Gpu, count: int, default: str
) -> None:
    assert machines.machines_for(gpu, count)[0].name == default


def test_machines_with_part_of_a_gpu_are_never_a_default() -> None:
    for gpu in {item.gpu for item in GPU_MACHINES.values() if item.gpu}:
        for count in machines.gpu_counts(gpu):
            assert not any(item.is_fractional for item in machines.machines_for(gpu, count))


BLOCK = CapacityBlock(id="cr-0123456789abcdef0", zone="usw2-az1")
RESERVATION = Reservation(id="cr-0123456789abcdef0", zone="usw2-az1")


@pytest.mark.parametrize(
    ("gpu", "count", "capacity", "code", "vcpus"),
    [
        (Gpu.L4, 1, OnDemand(), "L-DB2E81BA", 8),
        (Gpu.L4, 1, Spot(), "L-3819A6DF", 32),
        (Gpu.H100, 8, OnDemand(), "L-417A185B", 192),
        (Gpu.H100, 8, RESERVATION, "L-417A185B", 192),
        (Gpu.H100, 8, Spot(), "L-C4BD4855", 192),
        (Gpu.A100_40GB, 8, Spot(), "L-7212CCBC", 96),
        (Gpu.B200, 8, OnDemand(), "L-417A185B", 192),
        (Gpu.B200, 8, Spot(), None, 192),
    ],
)
def test_the_quota_that_a_pool_needs(gpu: Gpu, count: int, capacity: Capacity, code: str | None, vcpus: int) -> None:
    pool = GpuPool(name="p", gpu=gpu, gpus_per_node=count, nodes=Nodes(max=3), capacity=capacity)
    (need,) = quotas([pool])
    assert (need.code, need.vcpus, need.pools) == (code, 3 * vcpus, ("p",))


def test_pools_of_one_quota_add_up_and_a_capacity_block_needs_none() -> None:
    pools = [
        GpuPool(name="a", gpu=Gpu.L4, nodes=Nodes(max=2)),
        EksGpuPool(name="b", gpu=Gpu.L40S, nodes=Nodes(max=1), machines=["g6e.xlarge", "g6e.4xlarge"]),
        GpuPool(name="c", gpu=Gpu.H100, gpus_per_node=8, nodes=Nodes(max=9), capacity=BLOCK),
    ]
    standard = "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"
    assert quotas(pools, EksSystemPool()) == (
        QuotaNeed(
            code="L-DB2E81BA",
            name="Running On-Demand G and VT instances",
            market="on-demand",
            vcpus=2 * 8 + 16,
            pools=("a", "b"),
        ),
        QuotaNeed(code="L-1216C47A", name=standard, market="on-demand", vcpus=16, pools=("system",)),
    )


@pytest.mark.parametrize(
    ("name", "word"),
    [("trn1.32xlarge", "Neuron"), ("inf2.xlarge", "Neuron"), ("g4ad.xlarge", "AMD"), ("dl1.24xlarge", "Gaudi")],
)
def test_machines_without_usable_gpus_are_refused_by_name(name: str, word: str) -> None:
    refused = machines.refusal(name)
    assert refused is not None
    assert word in refused[0]


def test_machine_and_zones_of_an_unknown_name_are_none() -> None:
    assert machines.machine("p9.48xlarge") is None
    assert machines.zones_of("p9.48xlarge") is None
    assert machines.refusal("p9.48xlarge") is None
