"""GPUs: one name for each, and the facts of each model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from typing import Final, TypeVar

from gpu_clusters import data

_N = TypeVar("_N", int, float)

_NOISE: Final = re.compile(r"nvidia|amd|tesla|geforce|instinct|[^a-z0-9]")


class Gpu(StrEnum):
    """A GPU model. The value is its key in every catalogue, and in lower case the value of our node label.

    `Gpu.H100` is the SXM5 board with 80 GB, as clouds offer it; PCIe and NVL are members of their own, and so are
    both sizes of the A100. YAML takes the value, the member's name, and the spellings of AWS, Google, NVIDIA and
    people (`data/gpu_spellings.csv`) as long as they mean one GPU: `Gpu("NVIDIA-H100-80GB-HBM3") is Gpu.H100`.
    """

    P4 = "p4"
    P100 = "p100"
    V100_16GB = "v100-16gb"
    V100_32GB = "v100-32gb"
    T4 = "t4"
    T4G = "t4g"
    A10 = "a10"
    A10G = "a10g"
    A30 = "a30"
    A40 = "a40"
    A100_40GB = "a100-40gb"
    A100_80GB = "a100-80gb"
    L4 = "l4"
    L40 = "l40"
    L40S = "l40s"
    H20 = "h20"
    H100 = "h100"
    H100_PCIE = "h100-pcie"
    H100_NVL = "h100-nvl"
    H200 = "h200"
    GH200 = "gh200"
    GH200_144GB = "gh200-144gb"
    B200 = "b200"
    B300 = "b300"
    GB200 = "gb200"
    GB300 = "gb300"
    RTX_4090 = "rtx-4090"
    RTX_PRO_4500 = "rtx-pro-4500"
    RTX_PRO_6000 = "rtx-pro-6000"
    MI250X = "mi250x"
    MI300X = "mi300x"
    MI325X = "mi325x"
    MI355X = "mi355x"

    @classmethod
    def _missing_(cls, value: object) -> Gpu | None:
        found = spelled(value) if isinstance(value, str) else frozenset[Gpu]()
        return next(iter(found)) if len(found) == 1 else None

    @property
    def facts(self) -> GpuFacts:
        """What is known of this model."""
        return _facts()[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFacts:
    """The facts of one GPU model: a row of `data/gpus.csv`, where each has its source.

    Attributes:
        name: the vendor's name of the board.
        vendor: `nvidia` or `amd`.
        architecture: e.g. `hopper`.
        compute_capability: NVIDIA's number (`9.0`) or AMD's target (`gfx942`).
        memory_gb: memory as marketed, in GB.
        memory_mib: memory as nvidia-smi or amd-smi shows it, in MiB; None where no source shows it.
        memory_bandwidth_gb_s: None where unknown.
        bf16_dense_tflops: without sparsity; None where the GPU has no BF16 or no source gives it.
        nvlink_gb_s: GPU to GPU, both directions; 0 without NVLink; None where unknown.
        mig_capable: whether it can be split into MIG instances.
        max_mig_instances: 0 where it can't.
        dtypes: the number formats that its tensor cores or ALUs compute in.
        product_label: the value of GPU Feature Discovery's label `nvidia.com/gpu.product`, empty where unknown.
    """

    name: str
    vendor: str
    architecture: str
    compute_capability: str
    memory_gb: float
    memory_mib: int | None
    memory_bandwidth_gb_s: float | None
    bf16_dense_tflops: float | None
    nvlink_gb_s: float | None
    mig_capable: bool
    max_mig_instances: int
    dtypes: tuple[str, ...]
    product_label: str

    @property
    def memory_gib(self) -> float:
        """Memory in GiB as the driver shows it; where no source shows it, the marketed GB read as decimal: less."""
        return self.memory_mib / 1024 if self.memory_mib else self.memory_gb * 1e9 / 2**30

    @property
    def resource(self) -> str:
        """The extended resource by which the vendor's device plugin offers whole GPUs."""
        return f"{self.vendor}.com/gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigProfile:
    """One way to cut a MIG instance from a GPU: a row of `data/mig_profiles.csv`.

    Attributes:
        profile: NVIDIA's name, e.g. `1g.10gb`.
        resource: the extended resource under the device plugin's strategy `mixed`, e.g. `nvidia.com/mig-1g.10gb`.
        gpu_slices: compute slices that one instance takes; a GPU has `GpuFacts.max_mig_instances`.
        memory_mib: memory of one instance; None where no source gives it.
        max_instances: how many of this profile one GPU holds.
    """

    gpu: Gpu
    profile: str
    resource: str
    gpu_slices: int
    memory_mib: int | None
    max_instances: int


@cache
def mig_profiles(gpu: Gpu) -> dict[str, MigProfile]:
    """The MIG profiles of a GPU by name; none where it can't be split."""
    return {
        row["profile"]: MigProfile(
            gpu=gpu,
            profile=row["profile"],
            resource=row["resource"],
            gpu_slices=int(row["gpu_slices"]),
            memory_mib=_number(row["memory_mib"], int),
            max_instances=int(row["max_instances"]),
        )
        for row in data.rows("mig_profiles")
        if row["gpu"] == gpu.value
    }


def spelled(name: str, *, memory_gb: float | None = None) -> frozenset[Gpu]:
    """The GPUs that a spelling may mean: none, one, or several where it is ambiguous.

    Args:
        memory_gb: memory of one GPU where the source's name leaves it open, as AWS does for A100 and V100.
    """
    table = _spellings()
    candidates = table.get(name.lower()) or table.get(_key(name), frozenset())
    exact = frozenset(gpu for gpu, size in candidates if memory_gb is not None and size == memory_gb)
    return exact or frozenset(gpu for gpu, _ in candidates)


def nearest(name: str) -> tuple[str, ...]:
    """The values of `Gpu` that somebody who wrote `name` may have meant, best first."""
    meant = sorted(gpu.value for gpu in spelled(name))
    return tuple(meant or get_close_matches(name.lower(), [gpu.value for gpu in Gpu], n=3, cutoff=0.4))


def _key(name: str) -> str:
    return _NOISE.sub("", name.lower())


@cache
def _spellings() -> dict[str, frozenset[tuple[Gpu, float | None]]]:
    table: dict[str, set[tuple[Gpu, float | None]]] = {}
    for row in data.rows("gpu_spellings"):
        gpu = next(member for member in Gpu if member.value == row["gpu"])
        meaning = (gpu, float(row["memory_gb"]) if row["memory_gb"] else None)
        # As the source writes it, and loosely: the first may be plain where the second is ambiguous.
        table.setdefault(row["spelling"].lower(), set()).add(meaning)
        table.setdefault(_key(row["spelling"]), set()).add(meaning)
    for gpu in Gpu:
        # Our own key is never ambiguous, whatever a source means by the same letters.
        table[_key(gpu.value)] = {(gpu, None)}
    return {key: frozenset(found) for key, found in table.items()}


@cache
def _facts() -> dict[Gpu, GpuFacts]:
    return {
        Gpu(row["gpu"]): GpuFacts(
            name=row["name"],
            vendor=row["vendor"],
            architecture=row["architecture"],
            compute_capability=row["compute_capability"],
            memory_gb=float(row["memory_gb"]),
            memory_mib=_number(row["memory_mib"], int),
            memory_bandwidth_gb_s=_number(row["memory_bandwidth_gb_s"], float),
            bf16_dense_tflops=_number(row["bf16_dense_tflops"], float),
            nvlink_gb_s=_number(row["nvlink_gb_s"], float),
            mig_capable=row["mig_capable"] == "true",
            max_mig_instances=int(row["max_mig_instances"]),
            dtypes=tuple(row["dtypes"].split(",")),
            product_label=row["product_label"],
        )
        for row in data.rows("gpus")
    }


def _number(cell: str, kind: type[_N]) -> _N | None:
    return kind(cell) if cell else None
