"""What follows from a model, a GPU and a pool; and what is refused before anything is paid for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gpu_clusters import ConfigErrors, Gpu, GpuPool, LlmServiceArgs, Mig, Nodes, ProblemId, Replicas, TimeSlicing
from gpu_clusters.namespaces.claims import Claim, Claims
from gpu_clusters.serving.plan import plan

LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.3-70B-Instruct"
L4 = GpuPool(name="l4", gpu=Gpu.L4, nodes=Nodes(max=4))
L4_BY_4 = GpuPool(name="l4-by-4", gpu=Gpu.L4, gpus_per_node=4, nodes=Nodes(max=1))
H100 = GpuPool(name="h100", gpu=Gpu.H100, gpus_per_node=8, nodes=Nodes(max=1))
MIG = GpuPool(name="mig", gpu=Gpu.H100, gpus_per_node=8, nodes=Nodes(max=1), sharing=Mig(profile="1g.10gb"))
SLICED = GpuPool(name="sliced", gpu=Gpu.L4, nodes=Nodes(max=1), sharing=TimeSlicing(replicas=2))


@pytest.mark.parametrize(
    ("args", "pools", "gpus", "cpus", "memory_gib", "shared_memory_gib", "startup_seconds"),
    [
        (LlmServiceArgs(model=LLAMA_8B, gpu=Gpu.L4), [L4], 1, 3, 18, 2, 460),
        (LlmServiceArgs(model=LLAMA_70B, gpu=Gpu.H100), [H100], 4, 6, 72, 8, 1650),
        (LlmServiceArgs(model=LLAMA_70B, gpu=Gpu.H100, tensor_parallel_size=2), [H100], 2, 4, 40, 8, 1650),
        (LlmServiceArgs(model="own/model", gpu=Gpu.L4, weights_gib=1), [L4], 1, 3, 18, 2, 320),
        (
            LlmServiceArgs(model=LLAMA_8B, gpu=Gpu.L4, cpus=8, memory_gib=64, shared_memory_gib=4),
            [L4, L4_BY_4],
            1,
            8,
            64,
            4,
            460,
        ),
    ],
)
def test_a_replica_is_derived_and_every_figure_can_be_overridden(
    args: LlmServiceArgs,
    pools: list[GpuPool],
    gpus: int,
    cpus: int,
    memory_gib: int,
    shared_memory_gib: int,
    startup_seconds: int,
) -> None:
    made = plan(args, pools)
    assert (made.gpus, made.cpus, made.memory_gib) == (gpus, cpus, memory_gib)
    assert (made.shared_memory_gib, made.startup_budget_seconds) == (shared_memory_gib, startup_seconds)
    assert made.resource == "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("args", "pools", "problems"),
    [
        (LlmServiceArgs(model=LLAMA_8B, gpu=Gpu.H200), [L4, H100], [ProblemId.GPU_UNAVAILABLE]),
        (LlmServiceArgs(model=LLAMA_8B, gpu=Gpu.L4, pool="h100"), [L4, H100], [ProblemId.GPU_UNAVAILABLE]),
        (LlmServiceArgs(model=LLAMA_8B, gpu=Gpu.L4, pool="nope"), [L4], [ProblemId.UNKNOWN_REFERENCE]),
        (LlmServiceArgs(model=LLAMA_8B, gpu=Gpu.L4), [L4, SLICED], [ProblemId.CONFLICT]),
        (
            LlmServiceArgs(model="own/model", gpu=Gpu.H200),
            [L4],
            [ProblemId.GPU_UNAVAILABLE, ProblemId.UNKNOWN_MODEL],
        ),
        (LlmServiceArgs(model=LLAMA_70B, gpu=Gpu.L4), [L4, L4_BY_4], [ProblemId.MODEL_TOO_LARGE]),
        (LlmServiceArgs(model=LLAMA_8B, gpu=Gpu.H100), [MIG], [ProblemId.MODEL_TOO_LARGE]),
        (LlmServiceArgs(model=LLAMA_8B, gpu=Gpu.L4), [SLICED], [ProblemId.MODEL_TOO_LARGE]),
        (
            LlmServiceArgs(model=LLAMA_70B, gpu=Gpu.H100, tensor_parallel_size=1),
            [H100],
            [ProblemId.MODEL_TOO_LARGE],
        ),
        (LlmServiceArgs(model=LLAMA_8B, gpu=Gpu.L4, tensor_parallel_size=2), [L4], [ProblemId.TENSOR_PARALLEL]),
        (LlmServiceArgs(model=LLAMA_8B, gpu=Gpu.H100, tensor_parallel_size=3), [H100], [ProblemId.TENSOR_PARALLEL]),
    ],
)
def test_what_cannot_run_is_refused_with_its_reason(
    args: LlmServiceArgs, pools: list[GpuPool], problems: list[ProblemId]
) -> None:
    with pytest.raises(ConfigErrors) as refused:
        plan(args, pools)
    assert [error.id for error in refused.value.errors] == problems
    assert all(error.problem and error.remedy for error in refused.value.errors)


@pytest.mark.parametrize(
    ("make", "paths"),
    [
        (lambda: Replicas(min=0), ["min"]),
        (lambda: Replicas(min=2, max=1), ["max"]),
        (
            lambda: LlmServiceArgs(model="no-slash", gpu=Gpu.L4, gpu_memory_utilization=1.5, max_model_len=0, cpus=-1),
            ["model", "gpu_memory_utilization", "max_model_len", "cpus"],
        ),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(make: Callable[[], object], paths: list[str]) -> None:
    with pytest.raises(ConfigErrors) as refused:
        make()
    assert [error.path for error in refused.value.errors] == paths


def test_a_tenants_services_share_its_quota() -> None:
    claims = Claims({Gpu.L4: 8})
    claims.add(Claim("a", Gpu.L4, 2, 3))
    assert (claims.claimed(Gpu.L4), claims.spare(Gpu.L4), claims.spare(Gpu.H100)) == (6, 2, 0)
    assert not list(claims.problems(Claim("b", Gpu.L4, 2, 1)))
    assert [str(error) for error in claims.problems(Claim("b", Gpu.L4, 2, 2))] == [
        "replicas: 2 x 2 L4, beside 6 of the tenant's other services, exceed the tenant's quota of 8; "
        "raise the tenant's `gpus` for l4 to 10, or lower the replicas"
    ]
