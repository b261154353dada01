"""Node pools, in terms that every platform shares: which GPUs, how many, how they are bought and how shared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Annotated, Literal

from gpu_clusters import labels
from gpu_clusters._spec import ByKind, name_problems, range_problems, spec
from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.gpus import Gpu, MigProfile, mig_profiles

#: No machine in any catalogue has more GPUs than this in one node.
MAX_GPUS_PER_NODE = 16


@spec
class Nodes:
    """How many nodes a pool has.

    Args:
        max: never more than this.
        min: never fewer; they are there from the start. Default 0: nothing is paid for until a pod needs it, where
            the platform scales from zero. The sandbox has no autoscaler and makes exactly `min` nodes.
    """

    max: int
    min: int = 0

    def _problems(self) -> Iterator[ConfigError]:
        yield from range_problems("min", self.min, 0)
        yield from range_problems("max", self.max, 0)
        if self.max < self.min:
            yield ConfigError(
                "max", f"{self.max} is below min {self.min}", "raise max or lower min", id=ProblemId.OUT_OF_RANGE
            )


@spec
class Taint:
    """A taint on every node of a pool, as Kubernetes spells it.

    Args:
        key: e.g. `example.com/team`.
        value: empty by default, as in Kubernetes.
        effect: what happens to pods that don't tolerate it. Default `NoSchedule`: they go elsewhere.
    """

    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


@spec
class OnDemand:
    """Capacity at list price, if there is any when it is asked for."""

    kind: Literal["onDemand"] = "onDemand"


@spec
class Spot:
    """Capacity that the cloud may take back at short notice, for less."""

    kind: Literal["spot"] = "spot"


@spec
class Reservation:
    """Capacity that was reserved beforehand.

    Args:
        id: the reservation's id at the cloud.
        zone: the zone it is in; the pool's nodes are all there.
    """

    id: str
    zone: str
    kind: Literal["reservation"] = "reservation"


@spec
class CapacityBlock:
    """An EC2 Capacity Block for ML: a reservation with a start and an end.

    Args:
        id: the capacity reservation's id (`cr-...`).
        zone: the zone id it is in.
    """

    id: str
    zone: str
    kind: Literal["capacityBlock"] = "capacityBlock"


@spec
class FlexStart:
    """Google's Dynamic Workload Scheduler: nodes come when there is capacity, for at most `max_days`.

    Args:
        max_days: 1 to 7, the longest that Google runs such nodes.
    """

    max_days: int = 7
    kind: Literal["flexStart"] = "flexStart"

    def _problems(self) -> Iterator[ConfigError]:
        yield from range_problems("max_days", self.max_days, 1, 7)


Capacity = Annotated[OnDemand | Spot | Reservation | CapacityBlock | FlexStart, ByKind()]


@spec
class Mig:
    """Every GPU of the pool cut into MIG instances of one profile: memory and compute are isolated by hardware.

    Args:
        profile: NVIDIA's name, e.g. `1g.10gb`; it must be one that the pool's GPU has.
        strategy: how the device plugin offers instances: `single` as `nvidia.com/gpu` (the default, since all are
            alike), `mixed` as `nvidia.com/mig-<profile>`.
    """

    profile: str
    strategy: Literal["single", "mixed"] = "single"
    kind: Literal["mig"] = "mig"


@spec
class TimeSlicing:
    """Pods take turns on a GPU. Nothing isolates them: one pod can use all memory, and sees others' faults.

    Args:
        replicas: pods per GPU, at least 2.
    """

    replicas: int
    kind: Literal["timeSlicing"] = "timeSlicing"

    def _problems(self) -> Iterator[ConfigError]:
        yield from range_problems("replicas", self.replicas, 2)


@spec
class Mps:
    """Pods share a GPU through NVIDIA's Multi-Process Service: memory is limited, faults are shared.

    Args:
        replicas: pods per GPU, at least 2 and at most 48, the limit of MPS clients from Volta on.
    """

    replicas: int
    kind: Literal["mps"] = "mps"

    def _problems(self) -> Iterator[ConfigError]:
        yield from range_problems("replicas", self.replicas, 2, 48)


Sharing = Annotated[Mig | TimeSlicing | Mps, ByKind()]


@spec
class DevicePlugin:
    """The library installs the vendor's device plugin; driver and container toolkit are on the node already."""

    kind: Literal["devicePlugin"] = "devicePlugin"


@spec
class GpuOperator:
    """NVIDIA's GPU operator manages the pool's nodes.

    Args:
        driver: whether it installs the driver too. Default false: machine images for GPUs bring it, and two drivers
            on one node break each other (NVIDIA/gpu-operator issues 666 and 686).
    """

    driver: bool = False
    kind: Literal["gpuOperator"] = "gpuOperator"


@spec
class PlatformManaged:
    """The platform brings driver and device plugin; the library installs nothing beside them."""

    kind: Literal["platformManaged"] = "platformManaged"


DeviceChoice = Annotated[DevicePlugin | GpuOperator | PlatformManaged, ByKind()]


@spec
class GpuPool:
    """Nodes with GPUs of one model.

    Args:
        name: the pool's name, unique in its cluster; nodes carry it in the label `gpu-clusters.dev/pool`.
        gpu: the GPU. The platform derives the machine from it.
        nodes: how many nodes.
        gpus_per_node: whole GPUs in each node. Default 1.
        capacity: how the nodes are bought. Default `OnDemand()`.
        sharing: how pods share a GPU. Default none: a GPU belongs to one pod.
        devices: who installs driver and device plugin. Default none: as is right for the platform.
        labels: further labels of the nodes.
        taints: further taints; `nvidia.com/gpu=present:NoSchedule` is always there, so that only pods that ask for
            GPUs run on these nodes.
    """

    name: str
    gpu: Gpu
    nodes: Nodes
    gpus_per_node: int = 1
    capacity: Capacity = OnDemand()
    sharing: Sharing | None = None
    devices: DeviceChoice | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    taints: Sequence[Taint] = ()

    @property
    def resource(self) -> str:
        """The extended resource that a pod asks for to get a share of this pool's GPUs."""
        mig = self._mig_profile()
        if mig and isinstance(self.sharing, Mig) and self.sharing.strategy == "mixed":
            return mig.resource
        if isinstance(self.sharing, (TimeSlicing, Mps)):
            # The plugin's renameByDefault: a shared GPU can't be mistaken for a whole one.
            return f"{self.gpu.facts.resource}.shared"
        return self.gpu.facts.resource

    @property
    def units_per_node(self) -> int:
        """How many of `resource` one node offers."""
        if isinstance(self.sharing, (TimeSlicing, Mps)):
            return self.gpus_per_node * self.sharing.replicas
        mig = self._mig_profile()
        return self.gpus_per_node * (mig.max_instances if mig else 1)

    @property
    def max_units(self) -> int:
        """How many of `resource` the pool offers with all its nodes."""
        return self.nodes.max * self.units_per_node

    def _mig_profile(self) -> MigProfile | None:
        return mig_profiles(self.gpu).get(self.sharing.profile) if isinstance(self.sharing, Mig) else None

    def _problems(self) -> Iterator[ConfigError]:
        yield from name_problems(self.name)
        yield from range_problems("gpus_per_node", self.gpus_per_node, 1, MAX_GPUS_PER_NODE)
        yield from self._sharing_problems()
        for key in self.labels:
            if key.startswith(f"{labels.DOMAIN}/"):
                yield ConfigError(
                    f"labels.{key}",
                    f"labels of {labels.DOMAIN} are set by the library",
                    "leave it out, or use a prefix of your own",
                    id=ProblemId.CONFLICT,
                )

    def _sharing_problems(self) -> Iterator[ConfigError]:
        if self.sharing is not None and self.gpu.facts.vendor != "nvidia":
            yield ConfigError(
                "sharing",
                f"sharing by {self.sharing.kind} is NVIDIA's, and {self.gpu.facts.name} is not",
                "leave `sharing` out",
                id=ProblemId.CONFLICT,
            )
        elif isinstance(self.sharing, Mig) and self._mig_profile() is None:
            known = ", ".join(mig_profiles(self.gpu))
            yield ConfigError(
                "sharing.profile",
                f"{self.gpu.facts.name} has no MIG profile {self.sharing.profile!r}",
                f"use one of {known}" if known else "use a GPU that MIG can split, or time-slicing",
            )


@spec
class CpuPool:
    """Nodes without GPUs and without taints, for everything that isn't a model.

    Args:
        name: the pool's name. Default `system`.
        nodes: how many. Default 1 to 1, since add-ons such as DNS need a node without taints.
        labels: further labels of the nodes.
    """

    name: str = "system"
    nodes: Nodes = Nodes(min=1, max=1)
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def _problems(self) -> Iterator[ConfigError]:
        yield from name_problems(self.name)
