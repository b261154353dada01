"""Pools refuse what can't be, all of it at once, and know what a pod must ask for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gpu_clusters import (
    ConfigErrors,
    CpuPool,
    FlexStart,
    Gpu,
    GpuPool,
    Mig,
    Mps,
    Nodes,
    Sharing,
    TimeSlicing,
)

TWO = Nodes(max=2)


def pool(
    *,
    name: str = "p",
    gpu: Gpu = Gpu.H100,
    gpus_per_node: int = 8,
    sharing: Sharing | None = None,
    labels: dict[str, str] | None = None,
) -> GpuPool:
    return GpuPool(name=name, gpu=gpu, nodes=TWO, gpus_per_node=gpus_per_node, sharing=sharing, labels=labels or {})


@pytest.mark.parametrize(
    ("make", "errors"),
    [
        (lambda: Nodes(min=1, max=0), ["max: 0 is below min 1; raise max or lower min"]),
        (lambda: Nodes(max=-1), ["max: -1 is out of range; use a number at least 0", "max: -1 is below min 0;"]),
        (lambda: FlexStart(max_days=8), ["max_days: 8 is out of range; use a number from 1 to 7"]),
        (lambda: TimeSlicing(replicas=1), ["replicas: 1 is out of range; use a number at least 2"]),
        (lambda: Mps(replicas=49), ["replicas: 49 is out of range; use a number from 2 to 48"]),
        (lambda: CpuPool(name="System"), ["name: 'System' is not a name that Kubernetes takes;"]),
        (
            lambda: pool(
                name="a_b", gpus_per_node=0, sharing=Mig(profile="1g.5gb"), labels={"gpu-clusters.dev/x": "y"}
            ),
            [
                "name: 'a_b' is not a name that Kubernetes takes;",
                "gpus_per_node: 0 is out of range; use a number from 1 to 16",
                "sharing.profile: H100-SXM5 has no MIG profile '1g.5gb'; use one of 1g.10gb",
                "labels.gpu-clusters.dev/x: labels of gpu-clusters.dev are set by the library;",
            ],
        ),
        (lambda: pool(gpu=Gpu.L4, sharing=Mig(profile="1g.5gb")), ["sharing.profile: L4 has no MIG profile '1g.5gb';"]),
        (lambda: pool(gpu=Gpu.MI300X, sharing=Mps(replicas=2)), ["sharing: sharing by mps is NVIDIA's, and MI300X"]),
    ],
)
def test_what_cannot_be_is_refused_with_every_reason(make: Callable[[], object], errors: list[str]) -> None:
    with pytest.raises(ConfigErrors) as refused:
        make()
    found = [str(error) for error in refused.value.errors]
    assert len(found) == len(errors)
    assert all(line.startswith(start) for line, start in zip(found, errors, strict=True)), found


@pytest.mark.parametrize(
    ("sharing", "resource", "per_node"),
    [
        (None, "nvidia.com/gpu", 8),
        (Mig(profile="1g.10gb"), "nvidia.com/gpu", 56),
        (Mig(profile="3g.40gb", strategy="mixed"), "nvidia.com/mig-3g.40gb", 16),
        (TimeSlicing(replicas=4), "nvidia.com/gpu.shared", 32),
        (Mps(replicas=2), "nvidia.com/gpu.shared", 16),
    ],
)
def test_the_resource_follows_from_how_the_gpus_are_shared(
    sharing: Sharing | None, resource: str, per_node: int
) -> None:
    made = pool(sharing=sharing)
    assert (made.resource, made.units_per_node, made.max_units) == (resource, per_node, 2 * per_node)


def test_wrong_types_are_errors_of_the_configuration() -> None:
    with pytest.raises(ConfigErrors) as refused:
        GpuPool(name="p", gpu="h100", nodes=TWO, gpus_per_node=True, labels={"a": 1})  # pyright: ignore[reportArgumentType]
    assert [str(error) for error in refused.value.errors] == [
        "gpu: 'h100' is not a Gpu such as Gpu.P4; give Gpu.H100",
        "gpus_per_node: True is not a whole number; give a whole number",
        "labels.a: 1 is not a text; give a text",
    ]


def test_a_spec_keeps_nothing_of_the_callers_that_can_change() -> None:
    marks = {"team": "search"}
    made = pool(labels=marks)
    marks["team"] = "other"
    assert made.labels == {"team": "search"}
    with pytest.raises(AttributeError):
        made.name = "q"  # pyright: ignore[reportAttributeAccessIssue]
