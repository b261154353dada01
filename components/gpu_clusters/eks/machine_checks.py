"""Whether AWS has the machines that a pool asks for, and EKS an image for them.  No Pulumi."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gpu_clusters.eks.machines import (
    Machine,
    ami_type,
    families,
    family_of,
    gpu_counts,
    gpu_machines,
    machine,
    machines_for,
    nearest,
    refusal,
)
from gpu_clusters.eks.pool_facts import ami_family, machine_names, runs
from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.gpus import Gpu

if TYPE_CHECKING:
    from gpu_clusters.eks.pools import EksGpuPool, EksSystemPool


def machine_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    """What is wrong with a pool's machines, named or derived."""
    if not pool.machines:
        yield from _derived_problems(pool)
        return
    yield from _name_problems(pool.machines)
    for index, name in enumerate(pool.machines):
        found = machine(name)
        if found is not None:
            yield from _fit_problems(f"machines[{index}]", found, pool)
        elif name in _newer(pool.machines) and pool.ami_type is None and pool.ami_id is None:
            yield ConfigError(
                f"machines[{index}]",
                f"the library's catalogue doesn't know {name}, so not which image it needs",
                "set `ami_type` or `ami_id`",
                id=ProblemId.NOT_IN_CATALOGUE,
            )


def system_machine_problems(pool: EksSystemPool) -> Iterator[ConfigError]:
    """What is wrong with a system pool's machines."""
    if not pool.machines:
        yield ConfigError("machines", "there is none", "name at least one", id=ProblemId.MISSING_FIELD)
    yield from _name_problems(pool.machines)
    for index, name in enumerate(pool.machines):
        found = machine(name)
        if found is not None and found.gpu is not None:
            yield ConfigError(
                f"machines[{index}]",
                f"{name} has GPUs, and pods that need none would fill it",
                "name a machine without GPUs",
                id=ProblemId.CONFLICT,
            )
        elif found is None and name in _newer(pool.machines):
            known = ", ".join(sorted(family for family in families() if ami_type(family, "al2023")))
            yield ConfigError(
                f"machines[{index}]",
                f"the library's catalogue doesn't know {name}, so not which image it needs",
                f"use a machine of {known}",
                id=ProblemId.NOT_IN_CATALOGUE,
            )
    architectures = {found.architecture for name in pool.machines if (found := machine(name))}
    if len(architectures) > 1:
        yield ConfigError(
            "machines",
            f"these are of several architectures ({', '.join(sorted(architectures))}), and a node group has one image",
            "use one architecture only",
            id=ProblemId.CONFLICT,
        )


def newer_machines(pool: EksGpuPool) -> tuple[str, ...]:
    """The pool's machines of families that the catalogue doesn't know: newer than its date, or no GPU machines."""
    return _newer(machine_names(pool))


def _newer(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        name for name in names if _is_type_name(name) and family_of(name) not in families() and refusal(name) is None
    )


def _derived_problems(pool: EksGpuPool) -> Iterator[ConfigError]:
    exact = machines_for(pool.gpu, pool.gpus_per_node)
    if any(runs(pool, item) for item in exact):
        return
    gpu = pool.gpu.facts.name
    if exact:
        yield _no_image("gpu", exact[0], pool)
    elif counts := gpu_counts(pool.gpu):
        choices = " or ".join(f"{count} ({machines_for(pool.gpu, count)[0].name})" for count in counts)
        yield ConfigError(
            "gpus_per_node",
            f"AWS has no machine with {pool.gpus_per_node} x {gpu}",
            f"use {choices}",
            id=ProblemId.GPU_UNAVAILABLE,
        )
    else:
        at_aws = {item.gpu for item in gpu_machines()}
        known = ", ".join(gpu.value for gpu in Gpu if gpu in at_aws)
        yield ConfigError(
            "gpu",
            f"AWS has no machine with {gpu} that the library's catalogue knows",
            f"use one of {known}, or name a newer machine in `machines`",
            id=ProblemId.GPU_UNAVAILABLE,
        )


def _name_problems(names: Sequence[str]) -> Iterator[ConfigError]:
    for index, name in enumerate(names):
        path = f"machines[{index}]"
        if refused := refusal(name):
            yield ConfigError(path, f"{name}: {refused[0]}", refused[1], id=ProblemId.MACHINE_UNAVAILABLE)
        elif machine(name) is None and (family_of(name) in families() or not _is_type_name(name)):
            meant = nearest(name)
            yield ConfigError(
                path,
                f"AWS has no machine {name!r}",
                f"did you mean {' or '.join(meant)}" if meant else "use EC2's name, e.g. `p5.48xlarge`",
                id=ProblemId.MACHINE_UNAVAILABLE,
            )
        if name in names[:index]:
            yield ConfigError(path, f"{name} is named twice", "leave one out", id=ProblemId.DUPLICATE_NAME)


def _fit_problems(path: str, found: Machine, pool: EksGpuPool) -> Iterator[ConfigError]:
    fitting = [item.name for item in machines_for(pool.gpu, pool.gpus_per_node) if runs(pool, item)]
    remedy = f"use one of {', '.join(fitting)}" if fitting else "change `gpu` or `gpus_per_node`"
    if found.is_fractional:
        yield ConfigError(
            path,
            f"{found.name} has {found.gpus:g} of a GPU, with that much of its memory, and pools are of whole GPUs",
            remedy + ", and share it with `sharing`" if fitting else remedy,
            id=ProblemId.MACHINE_UNAVAILABLE,
        )
    elif found.gpu is not pool.gpu or found.gpus != pool.gpus_per_node:
        has = f"{found.gpus:g} x {found.gpu.facts.name}" if found.gpu else "no GPU"
        yield ConfigError(
            path,
            f"{found.name} has {has}, and the pool {pool.gpus_per_node} x {pool.gpu.facts.name}",
            remedy,
            id=ProblemId.CONFLICT,
        )
    elif not runs(pool, found):
        yield _no_image(path, found, pool)


def _no_image(path: str, item: Machine, pool: EksGpuPool) -> ConfigError:
    wanted = pool.ami_type or ami_family(pool)
    other = ami_type(item.family, "al2023") or ami_type(item.family, "bottlerocket")
    return ConfigError(
        path,
        f"EKS has no image {wanted} for {item.family}"
        if other
        else f"EKS has no image with a driver for {item.family}",
        f"use {other}" if other else "build one as awslabs/amazon-eks-ami's doc/usage says, and set `ami_id`",
        id=ProblemId.AMI_MISMATCH,
    )


def _is_type_name(name: str) -> bool:
    return re.fullmatch(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", name) is not None
