"""The catalogue of GPUs: every row is whole, and every row of every catalogue joins."""

from __future__ import annotations

import pytest
from gpu_clusters import Gpu, data, mig_profiles
from gpu_clusters.gpus import nearest, spelled

CATALOGUES = ("gpus", "gpu_spellings", "mig_profiles", "aws_gpu_instances", "gcp_gpu_machines")
ROWS = [(name, row) for name in CATALOGUES for row in data.rows(name)]


@pytest.mark.parametrize(("catalogue", "row"), ROWS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_row_of_every_catalogue_names_a_gpu_by_its_key(catalogue: str, row: data.Row) -> None:
    assert row["gpu"] in {gpu.value for gpu in Gpu}, catalogue


def test_every_gpu_has_exactly_one_row_of_facts() -> None:
    assert sorted(row["gpu"] for row in data.rows("gpus")) == sorted(gpu.value for gpu in Gpu)


@pytest.mark.parametrize("gpu", Gpu)
def test_the_facts_of_a_gpu_are_plausible_and_have_their_source(gpu: Gpu) -> None:
    facts = gpu.facts
    row = next(row for row in data.rows("gpus") if row["gpu"] == gpu.value)
    assert row["memory_source"]
    assert row["retrieved"]
    assert 0.85 * facts.memory_gb < facts.memory_gib * 2**30 / 1e9 < 1.08 * facts.memory_gb
    assert facts.mig_capable == (facts.max_mig_instances > 0) == bool(mig_profiles(gpu))
    assert facts.resource in {"nvidia.com/gpu", "amd.com/gpu"}
    assert facts.bf16_dense_tflops is None or "bf16" in facts.dtypes
    assert gpu.value == gpu.value.lower()
    assert Gpu(gpu.value) is gpu
    assert Gpu(gpu.name) is gpu


@pytest.mark.parametrize("gpu", [gpu for gpu in Gpu if gpu.facts.mig_capable])
def test_mig_profiles_fit_their_gpu(gpu: Gpu) -> None:
    for profile in mig_profiles(gpu).values():
        assert profile.gpu_slices * profile.max_instances <= gpu.facts.max_mig_instances
        assert profile.memory_mib is None or profile.memory_mib * profile.max_instances <= gpu.facts.memory_gib * 1024
        assert profile.resource == f"nvidia.com/mig-{profile.profile.replace('+', '.')}"


@pytest.mark.parametrize(
    "row", [row for row in data.rows("gpu_spellings") if row["source"] != "mig"], ids=lambda row: row["spelling"]
)
def test_every_source_spelling_means_its_gpu(row: data.Row) -> None:
    memory = float(row["memory_gb"]) if row["memory_gb"] else None
    assert spelled(row["spelling"], memory_gb=memory) == {Gpu(row["gpu"])}


@pytest.mark.parametrize(
    ("name", "gpu"),
    [
        ("h100", Gpu.H100),
        ("H100 80GB", Gpu.H100),
        ("NVIDIA H100 80GB HBM3", Gpu.H100),
        ("NVIDIA-H100-80GB-HBM3", Gpu.H100),
        ("H100_PCIE", Gpu.H100_PCIE),
        ("NVIDIA-H100-NVL", Gpu.H100_NVL),
        ("nvidia-h100-mega-80gb", Gpu.H100),
        ("NVIDIA-A100-SXM4-40GB", Gpu.A100_40GB),
        ("nvidia-tesla-a100", Gpu.A100_40GB),
        ("nvidia-a100-80gb", Gpu.A100_80GB),
        ("Tesla-T4", Gpu.T4),
        ("AMD_Instinct_MI300X_OAM", Gpu.MI300X),
    ],
)
def test_a_gpu_is_understood_as_it_is_written_elsewhere(name: str, gpu: Gpu) -> None:
    assert Gpu(name) is gpu


@pytest.mark.parametrize("name", ["A100", "NVIDIA V100", "H1000", ""])
def test_a_name_that_means_several_gpus_or_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid Gpu"):
        Gpu(name)


@pytest.mark.parametrize(("name", "first"), [("A100", "a100-40gb"), ("l5", "l4"), ("H10O", "h100")])
def test_the_nearest_names_are_offered(name: str, first: str) -> None:
    assert nearest(name)[0] == first


@pytest.mark.parametrize("name", ["images", "models"])
def test_every_image_and_model_has_its_source(name: str) -> None:
    assert all(row["source"] for row in data.rows(name))
