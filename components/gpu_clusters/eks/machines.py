"""EC2 instance types, as EKS nodes: what each has, which AMI runs on it, and where AWS offers it.  No Pulumi.

Every fact is a row of `data/aws_*.csv` with its source. The rows have a date, so AWS may have newer machines and zones:
what isn't in them is unknown, and not refused for that alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Final, Literal, TypeAlias

from gpu_clusters import data
from gpu_clusters.gpus import Gpu

Architecture: TypeAlias = Literal["x86_64", "arm64"]
AmiFamily: TypeAlias = Literal["al2023", "bottlerocket"]

_ARCHITECTURES: Final[dict[str, Architecture]] = {"x86_64": "x86_64", "arm64": "arm64"}
_CAPACITY_BLOCKS: Final[dict[str, Literal["no", "yes", "only"]]] = {"no": "no", "yes": "yes", "yes (only)": "only"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One instance type: a row of `data/aws_gpu_instances.csv` or `data/aws_cpu_instances.csv`.

    Attributes:
        name: e.g. `p5.48xlarge`.
        family: e.g. `p5`.
        gpu: None without GPUs.
        gpus: how many; a part of one (0.125) where AWS splits it, 0 without GPUs.
        vcpus: as AWS counts them; quotas are in these.
        memory_gib: main memory in GiB.
        architecture: of its CPU, as AWS spells it.
        network_cards: None where no source gives it.
        efa_interfaces: the most EFA interfaces that it takes; None where no source gives it.
        efa_on_first_card: whether network card 0 takes one too.
        local_nvme_gb: instance store in GB, all disks together; 0 without, None where no source gives it.
        max_pods: what its interfaces and addresses allow without prefix delegation; None where no source gives it.
        spot: whether AWS sells it as spot; None where no source says.
        capacity_blocks: whether AWS sells it in Capacity Blocks, or in nothing else.
    """

    name: str
    family: str
    gpu: Gpu | None
    gpus: float
    vcpus: int
    memory_gib: int
    architecture: Architecture
    network_cards: int | None
    efa_interfaces: int | None
    efa_on_first_card: bool
    local_nvme_gb: int | None
    max_pods: int | None
    spot: bool | None
    capacity_blocks: Literal["no", "yes", "only"]

    @property
    def feeds_gpus(self) -> bool:
        """Whether its main memory is at least 1.25 times that of its GPUs.

        Models pass through it on their way to the GPU. A machine with less, such as g6.xlarge with 16 GiB for an L4 of
        24 GB, leaves pods of models that fit the GPU Pending.
        """
        return self.gpu is None or self.memory_gib >= 1.25 * self.gpus * self.gpu.facts.memory_gib

    @property
    def is_fractional(self) -> bool:
        """Whether it has a part of a GPU only."""
        return 0 < self.gpus < 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiType:
    """An image of EKS's that runs on a family of machines: a row of `data/aws_ami_types.csv`.

    Attributes:
        family: the machines' family, e.g. `p5`.
        os: `al2023` or `bottlerocket`.
        name: EKS's name, e.g. `AL2023_x86_64_NVIDIA`.
        fips_name: the same with FIPS 140 modules; empty where there is none.
    """

    family: str
    os: AmiFamily
    name: str
    fips_name: str


def machine(name: str) -> Machine | None:
    """The machine of that name; None if the catalogue has none."""
    return _machines().get(name)


def all_machines() -> tuple[Machine, ...]:
    """Every machine of the catalogue."""
    return tuple(_machines().values())


def gpu_machines() -> tuple[Machine, ...]:
    """Every machine with a GPU, or a part of one."""
    return tuple(found for found in _machines().values() if found.gpu is not None)


@cache
def machines_for(gpu: Gpu, gpus: int) -> tuple[Machine, ...]:
    """The machines with exactly that many of that GPU, best default first.

    Those that feed their GPUs first; then fewest vCPUs, then least memory, since those cost; bare metal last, since it
    boots for long; then the one that more zones offer; then by name.
    """
    found = [item for item in gpu_machines() if item.gpu is gpu and item.gpus == gpus]
    return tuple(sorted(found, key=_cost))


def gpu_counts(gpu: Gpu) -> tuple[int, ...]:
    """How many of that GPU machines of AWS's have, in whole GPUs, ascending."""
    return tuple(sorted({int(item.gpus) for item in gpu_machines() if item.gpu is gpu and not item.is_fractional}))


@cache
def ami_types(family: str) -> tuple[AmiType, ...]:
    """The images of EKS's that run on a family of machines; none where it needs an image of the user's own."""
    return tuple(found for found in _ami_types() if found.family == family)


@cache
def ami_type(family: str, os: AmiFamily) -> str | None:
    """EKS's image of an operating system for a family of machines; None where there is none."""
    return next((found.name for found in ami_types(family) if found.os == os), None)


@cache
def known_ami_types() -> frozenset[str]:
    """Every AMI type that the catalogue knows, those with FIPS modules too."""
    return frozenset(name for found in _ami_types() for name in (found.name, found.fips_name) if name)


def zones_of(name: str) -> frozenset[str] | None:
    """The zone ids in which AWS offers a machine (no promise of capacity); None where the catalogue can't say."""
    return _offerings().get(name)


@cache
def known_zones() -> frozenset[str]:
    """The zone ids in which the catalogue knows any machine with GPUs."""
    return frozenset(zone for zones in _offerings().values() for zone in zones)


def family_of(name: str) -> str:
    """`p5` of `p5.48xlarge`."""
    return name.partition(".")[0]


@cache
def families() -> frozenset[str]:
    """The families that the catalogue has machines of."""
    return frozenset(found.family for found in _machines().values())


def refusal(name: str) -> tuple[str, str] | None:
    """Why a machine of a family without usable GPUs can't be in a GPU pool, and what to do; None for all others."""
    for row in data.rows("aws_refused_families"):
        if family_of(name) in row["families"].split():
            return row["problem"], row["remedy"]
    return None


def nearest(name: str, among: Sequence[str] = ()) -> tuple[str, ...]:
    """The machines that somebody who wrote `name` may have meant, best first."""
    candidates = among or [item for item in _machines() if family_of(item) == family_of(name)] or list(_machines())
    return tuple(get_close_matches(name, candidates, n=4, cutoff=0.3))


def _cost(item: Machine) -> tuple[bool, int, int, bool, int, str]:
    offered_in = len(zones_of(item.name) or ())
    return not item.feeds_gpus, item.vcpus, item.memory_gib, item.name.endswith(".metal"), -offered_in, item.name


@cache
def _machines() -> dict[str, Machine]:
    return {found.name: found for found in (*_gpu_rows(), *_cpu_rows())}


def _gpu_rows() -> Iterator[Machine]:
    for row in data.rows("aws_gpu_instances"):
        yield Machine(
            name=row["name"],
            family=row["family"],
            gpu=Gpu(row["gpu"]),
            gpus=float(row["gpu_count"]),
            vcpus=int(row["vcpu"]),
            memory_gib=int(float(row["ram_gib"])),
            architecture=_ARCHITECTURES[row["cpu_arch"]],
            network_cards=_count(row["network_cards"]),
            efa_interfaces=_count(row["efa_interfaces"]),
            efa_on_first_card=row["default_card_supports_efa"] == "yes",
            local_nvme_gb=_count(row["local_nvme_gb"]),
            max_pods=_count(row["eni_max_pods"]),
            spot={"yes": True, "no": False}.get(row["spot"]),
            capacity_blocks=_CAPACITY_BLOCKS[row["capacity_block"]],
        )


def _cpu_rows() -> Iterator[Machine]:
    for row in data.rows("aws_cpu_instances"):
        yield Machine(
            name=row["name"],
            family=row["family"],
            gpu=None,
            gpus=0,
            vcpus=int(row["vcpu"]),
            memory_gib=int(row["ram_gib"]),
            architecture=_ARCHITECTURES[row["cpu_arch"]],
            network_cards=1,
            efa_interfaces=0,
            efa_on_first_card=False,
            local_nvme_gb=0,
            max_pods=_count(row["eni_max_pods"]),
            spot=True,
            capacity_blocks="no",
        )


@cache
def _ami_types() -> tuple[AmiType, ...]:
    return tuple(
        AmiType(
            family=row["family"],
            os="bottlerocket" if row["os"] == "bottlerocket" else "al2023",
            name=row["ami_type"],
            fips_name=row["fips_ami_type"],
        )
        for row in data.rows("aws_ami_types")
    )


@cache
def _offerings() -> dict[str, frozenset[str]]:
    return {row["machine"]: frozenset(row["zones"].split()) for row in data.rows("aws_gpu_zone_offerings")}


def _count(cell: str) -> int | None:
    return int(float(cell)) if cell else None
