"""The arguments of an LlmService.  No Pulumi."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final

from gpu_clusters._spec import name_problems, range_problems, spec
from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.gpus import Gpu
from gpu_clusters.priorities import Priority

_MODEL_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")


@spec
class Replicas:
    """How many replicas of a service run.

    Args:
        min: from the start, and never fewer. Default 1.
        max: the most that an autoscaler may make. Default `min`: the number is fixed.
    """

    min: int = 1
    max: int | None = None

    @property
    def most(self) -> int:
        """`max`, or `min` where the number is fixed."""
        return self.min if self.max is None else self.max

    def _problems(self) -> Iterator[ConfigError]:
        yield from range_problems("min", self.min, 1)
        if self.max is not None and self.max < self.min:
            yield ConfigError(
                "max", f"{self.max} is below min {self.min}", "raise max or lower min", id=ProblemId.OUT_OF_RANGE
            )


@spec
class LlmServiceArgs:
    """A model, served by vLLM.

    Args:
        model: its id on Hugging Face, e.g. `meta-llama/Llama-3.1-8B-Instruct`.
        gpu: the GPU that it runs on.
        revision: commit of the model's repository. Default none: whatever the repository holds at each start, with a
            finding.
        pool: the pool to run on. Default none: any pool with that GPU.
        replicas: how many. Default one.
        tensor_parallel_size: GPUs per replica, as vLLM calls it. Default: the smallest power of two that leaves a
            quarter of the GPUs' memory free beside the weights, for a model that the catalogue knows.
        weights_gib: size of the checkpoint in GiB. Default: the catalogue's; required for a model that it doesn't know.
        max_model_len: the longest sequence in tokens. Default none: vLLM takes the model's own.
        gpu_memory_utilization: the part of a GPU's memory that vLLM may take. Default 0.92, its own in 0.33.
        served_model_name: the name that clients use. Default: the service's name.
        image: a vLLM image. Default: the catalogue's `vllm/vllm-openai`, at the cluster's registry.
        cpus: CPUs of a replica. Default 2 and 1 per GPU.
        memory_gib: memory of a replica in GiB, shared memory included. Default 16 per GPU, and the shared memory.
        shared_memory_gib: size of /dev/shm in GiB. Default 2 on one GPU and 8 on several, which NCCL needs.
        startup_budget_seconds: the longest that a replica may take from its start to its first answer. Default 300
            and what the weights take to come at 100 MiB/s.
        priority: the PriorityClass. Default `serving-prod`.
        pod_annotations: further annotations of the pods.
    """

    model: str
    gpu: Gpu
    revision: str | None = None
    pool: str | None = None
    replicas: Replicas = field(default_factory=Replicas)
    tensor_parallel_size: int | None = None
    weights_gib: float | None = None
    max_model_len: int | None = None
    gpu_memory_utilization: float = 0.92
    served_model_name: str | None = None
    image: str | None = None
    cpus: int | None = None
    memory_gib: int | None = None
    shared_memory_gib: int | None = None
    startup_budget_seconds: int | None = None
    priority: Priority = "serving-prod"
    pod_annotations: Mapping[str, str] = field(default_factory=dict[str, str])

    def _problems(self) -> Iterator[ConfigError]:
        if not _MODEL_ID.fullmatch(self.model):
            yield ConfigError(
                "model", f"{self.model!r} is not a model id", "write it as on Hugging Face, `organisation/model`"
            )
        yield from range_problems("gpu_memory_utilization", self.gpu_memory_utilization, 0.1, 1)
        if self.weights_gib is not None and self.weights_gib <= 0:
            yield ConfigError("weights_gib", f"{self.weights_gib} is not a size", "give the checkpoint's size in GiB")
        for name in (
            "tensor_parallel_size",
            "max_model_len",
            "cpus",
            "memory_gib",
            "shared_memory_gib",
            "startup_budget_seconds",
        ):
            value: int | None = getattr(self, name)
            if value is not None:
                yield from range_problems(name, value, 1)
        if self.pool is not None:
            yield from name_problems(self.pool, "pool")
