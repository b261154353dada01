"""The device layer: one plugin at most on a pool, and metrics of every NVIDIA GPU."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal, cast

import pytest
from gpu_clusters import (
    DevicePlugin,
    Gpu,
    GpuOperator,
    GpuPool,
    Images,
    Mig,
    Mps,
    Nodes,
    PlatformManaged,
    ProblemId,
    Taint,
    TimeSlicing,
)
from gpu_clusters.cluster import Platform
from gpu_clusters.devices.choice import choice_problems, measured_pools, needs_plugin
from gpu_clusters.devices.layer import DeviceLayer
from gpu_clusters.pools import DeviceChoice, Sharing
from gpu_clusters.preview.recorder import Json, Recording, record

CHOICES: tuple[DeviceChoice, ...] = (DevicePlugin(), GpuOperator(), PlatformManaged())
SHARINGS: tuple[Sharing | None, ...] = (None, Mig(profile="1g.10gb"), TimeSlicing(replicas=2), Mps(replicas=2))
DAEMON_SET = "kubernetes:apps/v1:DaemonSet"


def platform(
    default: DeviceChoice, supported: tuple[type, ...], dcgm: Literal["library", "platform"] = "library"
) -> Platform:
    return Platform(name="p", devices=default, supported_devices=supported, dcgm=dcgm)


def pool(name: str = "p", devices: DeviceChoice | None = None, sharing: Sharing | None = None) -> GpuPool:
    return GpuPool(name=name, gpu=Gpu.H100, nodes=Nodes(max=1), devices=devices, sharing=sharing)


def layer(pools: Sequence[GpuPool], on: Platform) -> Recording:
    return record(lambda: DeviceLayer("d", pools, platform=on, images=Images()) and None)


def daemon_sets(recording: Recording) -> list[str]:
    return sorted(resource.name for resource in recording.of_type(DAEMON_SET))


@pytest.mark.parametrize("sharing", SHARINGS, ids=str)
@pytest.mark.parametrize("chosen", [None, *CHOICES], ids=str)
@pytest.mark.parametrize("default", CHOICES, ids=str)
def test_a_pool_never_has_two_plugins(
    default: DeviceChoice, chosen: DeviceChoice | None, sharing: Sharing | None
) -> None:
    """Over all platforms, choices and ways to share: a plugin of ours only where nobody else brings one."""
    kinds = (DevicePlugin, GpuOperator, PlatformManaged)
    for supported in itertools.chain.from_iterable(itertools.combinations(kinds, size) for size in (1, 2, 3)):
        on = platform(default, supported)
        item = pool(devices=chosen, sharing=sharing)
        effective = chosen or default
        if list(choice_problems([item], on)):
            assert not isinstance(effective, supported) or (
                isinstance(effective, DevicePlugin) and isinstance(sharing, Mps)
            )
            continue
        assert needs_plugin(item, on) == isinstance(effective, DevicePlugin)
        assert daemon_sets(layer([item], on)).count("d-p") == isinstance(effective, DevicePlugin)


@pytest.mark.parametrize(
    ("dcgm", "devices", "measured"),
    [
        ("library", DevicePlugin(), True),
        ("library", PlatformManaged(), True),
        ("library", GpuOperator(), False),
        ("platform", DevicePlugin(), False),
    ],
)
def test_gpus_are_measured_once(dcgm: Literal["library", "platform"], devices: DeviceChoice, measured: bool) -> None:
    on = platform(devices, (type(devices),), dcgm)
    assert bool(measured_pools([pool()], on)) == measured
    recording = layer([pool()], on)
    assert ("d-dcgm" in daemon_sets(recording)) == measured
    assert bool(recording.of_type("kubernetes:core/v1:Service")) == measured


def test_the_exporter_goes_to_nvidia_pools_whatever_their_taints() -> None:
    pools = [
        GpuPool(name="a", gpu=Gpu.L4, nodes=Nodes(max=1), taints=[Taint(key="team", effect="NoExecute")]),
        GpuPool(name="b", gpu=Gpu.H100, nodes=Nodes(max=1), taints=[Taint(key="team", effect="NoExecute")]),
        GpuPool(name="amd", gpu=Gpu.MI300X, nodes=Nodes(max=1), devices=PlatformManaged()),
    ]
    recording = layer(pools, platform(DevicePlugin(), (DevicePlugin, PlatformManaged)))
    inputs = next(item for item in recording.of_type(DAEMON_SET) if item.name == "d-dcgm").inputs
    pod = cast("dict[str, dict[str, dict[str, Json]]]", inputs)["spec"]["template"]["spec"]
    assert isinstance(pod, dict)
    assert pod["tolerations"] == [
        {"key": "CriticalAddonsOnly", "operator": "Exists"},
        {"key": "nvidia.com/gpu", "operator": "Exists"},
        {"key": "team", "operator": "Exists", "effect": "NoExecute"},
    ]
    assert "'values': ['a', 'b']" in str(pod["affinity"])
    assert "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless" in str(pod["containers"])


def test_a_plugin_that_shares_by_mps_needs_a_daemon_that_nobody_installs() -> None:
    found = list(choice_problems([pool(sharing=Mps(replicas=2))], platform(DevicePlugin(), (DevicePlugin,))))
    assert [(problem.path, problem.id) for problem in found] == [("gpu_pools[0].sharing", ProblemId.CONFLICT)]
    brought = platform(PlatformManaged(), (PlatformManaged,))
    assert not list(choice_problems([pool(sharing=Mps(replicas=2))], brought))


def test_nothing_is_made_where_the_platform_does_it_all() -> None:
    on = platform(PlatformManaged(), (PlatformManaged,), "platform")
    assert not [item for item in layer([pool()], on).resources if item.custom]
