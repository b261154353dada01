"""What follows from a service's arguments, its model and the cluster's pools.  No Pulumi."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gpu_clusters.errors import ConfigError, ConfigErrors, ProblemId
from gpu_clusters.gpus import mig_profiles
from gpu_clusters.pools import GpuPool, Mig
from gpu_clusters.serving import models
from gpu_clusters.serving.args import LlmServiceArgs

#: Of what vLLM may take, the part that weights may fill when we choose the number of GPUs: the rest is for the KV
#: cache and for the 1 to 5 GiB per GPU that engines take beside it (measured on vLLM 0.19 with H100).
_WEIGHTS_SHARE: Final = 0.75
_SIZES: Final = (1, 2, 4, 8, 16)
#: What a download from a model hub gives at the least, with room to spare.
_DOWNLOAD_MIB_PER_SECOND: Final = 100
#: Start of the engine, compilation and CUDA graphs, beside the download.
_START_SECONDS: Final = 300
_MEMORY_GIB_PER_GPU: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A replica of a service, in numbers.

    Attributes:
        pools: where it may run; all offer the same resource.
        resource: the extended resource that it asks for, `gpus` of it.
        weights_gib: size of the checkpoint, which each replica keeps on local disk.
    """

    pools: tuple[GpuPool, ...]
    resource: str
    gpus: int
    weights_gib: float
    cpus: int
    memory_gib: int
    shared_memory_gib: int
    startup_budget_seconds: int


def plan(args: LlmServiceArgs, pools: Sequence[GpuPool]) -> Plan:
    """Derive a replica.

    Raises:
        ConfigErrors: there is no such pool, the model doesn't fit, or it can't be spread over that many GPUs.
    """
    try:
        chosen = _pools(args, pools)
    except ConfigErrors as error:
        raise ConfigErrors([*error.errors, *_weights_problems(args)]) from None
    weights = _weights(args)
    gpus = _gpus(args, chosen, weights)
    shared = args.shared_memory_gib or (2 if gpus == 1 else 8)
    download = weights * 1024 / _DOWNLOAD_MIB_PER_SECOND
    return Plan(
        pools=chosen,
        resource=chosen[0].resource,
        gpus=gpus,
        weights_gib=weights,
        cpus=args.cpus or 2 + gpus,
        memory_gib=args.memory_gib or shared + _MEMORY_GIB_PER_GPU * gpus,
        shared_memory_gib=shared,
        startup_budget_seconds=args.startup_budget_seconds or math.ceil((_START_SECONDS + download) / 10) * 10,
    )


def _pools(args: LlmServiceArgs, pools: Sequence[GpuPool]) -> tuple[GpuPool, ...]:
    if args.pool is not None and args.pool not in {pool.name for pool in pools}:
        known = ", ".join(pool.name for pool in pools) or "none"
        raise _refusal(
            "pool",
            f"the cluster has no pool {args.pool!r}: it has {known}",
            "name one of them, or leave `pool` out",
            ProblemId.UNKNOWN_REFERENCE,
        )
    fitting = tuple(pool for pool in pools if pool.gpu is args.gpu and args.pool in (None, pool.name))
    if not fitting:
        place = f"pool {args.pool}" if args.pool else "no pool of the cluster"
        raise _refusal(
            "gpu",
            f"{place} has {'no ' if args.pool else ''}{args.gpu.facts.name} GPUs",
            f"use one of {', '.join(sorted({pool.gpu.value for pool in pools})) or 'another cluster'}, or add a pool",
            ProblemId.GPU_UNAVAILABLE,
        )
    if len({pool.resource for pool in fitting}) > 1:
        raise _refusal(
            "pool",
            f"pools {', '.join(pool.name for pool in fitting)} share {args.gpu.facts.name} in different ways",
            "say which one with `pool`",
            ProblemId.CONFLICT,
        )
    return fitting


def _weights(args: LlmServiceArgs) -> float:
    model = models.find(args.model)
    weights = args.weights_gib or (model and model.weights_gib)
    if weights:
        return weights
    near = models.nearest(args.model)
    hint = f" (did you mean {' or '.join(near)}?)" if near and not model else ""
    what = "doesn't know the size of" if model else "doesn't know"
    raise _refusal(
        "model",
        f"the catalogue {what} {args.model}{hint}",
        "give `weights_gib`, the size of its checkpoint in GiB",
        ProblemId.UNKNOWN_MODEL,
    )


def _weights_problems(args: LlmServiceArgs) -> tuple[ConfigError, ...]:
    try:
        _weights(args)
    except ConfigErrors as error:
        return error.errors
    return ()


def _gpus(args: LlmServiceArgs, pools: tuple[GpuPool, ...], weights: float) -> int:
    most = 1 if pools[0].sharing else min(pool.gpus_per_node for pool in pools)
    usable = _memory_gib(pools[0]) * args.gpu_memory_utilization
    model = models.find(args.model)
    heads = model.attention_heads if model else None
    if args.tensor_parallel_size is None:
        for size in _SIZES:
            if size <= most and weights / size <= usable * _WEIGHTS_SHARE and not (heads and heads % size):
                return size
        raise _refusal(
            "gpu",
            f"{args.model} has {weights:.0f} GiB of weights, and a node of pool {pools[0].name} offers "
            f"{most} x {usable:.0f} GiB, of which a quarter is for the KV cache",
            "use a GPU with more memory, a pool with more GPUs per node, or set `tensor_parallel_size` yourself",
            ProblemId.MODEL_TOO_LARGE,
        )
    size = args.tensor_parallel_size
    if size > most:
        raise _refusal(
            "tensor_parallel_size",
            f"{size} is more than the {most} GPUs that a pod can have on a node of pool {pools[0].name}",
            f"use at most {most}",
            ProblemId.TENSOR_PARALLEL,
        )
    if heads and heads % size:
        raise _refusal(
            "tensor_parallel_size",
            f"{size} doesn't divide the {heads} attention heads of {args.model}",
            f"use one of {', '.join(str(n) for n in range(1, most + 1) if heads % n == 0)}",
            ProblemId.TENSOR_PARALLEL,
        )
    if weights / size >= usable:
        raise _refusal(
            "tensor_parallel_size",
            f"{weights:.0f} GiB of weights on {size} GPUs are {weights / size:.0f} GiB each, and vLLM may take "
            f"{usable:.0f} GiB of a {args.gpu.facts.name}",
            "use more GPUs, or one with more memory",
            ProblemId.MODEL_TOO_LARGE,
        )
    return size


def _memory_gib(pool: GpuPool) -> float:
    """Memory of one unit of the pool's resource."""
    whole = pool.gpu.facts.memory_gib
    if isinstance(pool.sharing, Mig):
        instance = mig_profiles(pool.gpu)[pool.sharing.profile].memory_mib
        return instance / 1024 if instance else whole / pool.gpu.facts.max_mig_instances
    return whole / (pool.sharing.replicas if pool.sharing else 1)


def _refusal(path: str, problem: str, remedy: str, problem_id: ProblemId) -> ConfigErrors:
    return ConfigErrors([ConfigError(path, problem, remedy, id=problem_id)])
