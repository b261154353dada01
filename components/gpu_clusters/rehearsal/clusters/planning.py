"""Which pools to scale for pods that wait for nodes: what a cluster autoscaler decides, without its clock.

Pods are packed on the nodes that there are first, as the scheduler may only not have got round to them, then on new
ones. Among pools that can serve a pod, the one that wastes the fewest GPUs is taken.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from gpu_clusters.kube.objects import mapping, text
from gpu_clusters.rehearsal.clusters.fitting import Place, admits, has_room, requests, without
from gpu_clusters.rehearsal.clusters.nodes import node_labels
from gpu_clusters.rehearsal.clusters.quantities import amounts, total
from gpu_clusters.rehearsal.world import NodeTemplate

Pod = Mapping[str, object]

#: Resources of these domains come with a machine's GPUs and don't count as such.
_NO_GPU: Final = ("vpc.amazonaws.com/",)
_PODS: Final = Decimal(110)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Nodes of a kind that a pool could still get.

    Attributes:
        pool: its name.
        template: what they would be like.
        room: how many at most.
        limits: what all of them together may have by resource name; a resource that isn't named has no limit.
        weight: an offer of a greater weight is taken first.
    """

    pool: str
    template: NodeTemplate
    room: int
    limits: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    weight: int = 0


@dataclass(slots=True)
class Plan:
    """What to do for the pods that wait.

    Attributes:
        nodes: how many new ones of each offer, by its index.
        served: the uids of pods for which nodes are added.
        placed: of those that fit on nodes that there are.
        homeless: of those that no node fits, nor one that there could be.
    """

    nodes: dict[int, int] = field(default_factory=dict[int, int])
    served: set[str] = field(default_factory=set[str])
    placed: set[str] = field(default_factory=set[str])
    homeless: set[str] = field(default_factory=set[str])


def plan(
    pods: Sequence[Pod],
    places: Sequence[Place],
    offers: Sequence[Offer],
    daemons: Sequence[Mapping[str, object]] = (),
    alone: Collection[str] = (),
) -> Plan:
    """Decide how many nodes each offer gets.

    Args:
        pods: those that wait.
        places: the nodes that there are, with what is free on them.
        offers: what there could be.
        daemons: the pod specs of all DaemonSets, which take their share of every new node.
        alone: the uids of pods that the scheduler keeps off others' nodes: each gets a new one.
    """
    return _Packing(places, offers, daemons, alone).of(pods)


class _Packing:
    def __init__(
        self,
        places: Sequence[Place],
        offers: Sequence[Offer],
        daemons: Sequence[Mapping[str, object]],
        alone: Collection[str],
    ) -> None:
        self._there, self._new = list(places), list[Place]()
        self._offers, self._alone = offers, alone
        self._rooms = [offer.room for offer in offers]
        self._limits = [dict(offer.limits) for offer in offers]
        self._fresh = [tuple(_places(offer.template, daemons)) for offer in offers]
        self._plan = Plan()

    def of(self, pods: Sequence[Pod]) -> Plan:
        for pod in sorted(pods, key=_size, reverse=True):
            self._place(text(pod, "metadata", "uid"), mapping(pod, "spec"))
        return self._plan

    def _place(self, uid: str, spec: Mapping[str, object]) -> None:
        wanted = requests(spec)
        shared = uid not in self._alone
        if shared and _take(self._there, spec, wanted):
            self._plan.placed.add(uid)
        elif (shared and _take(self._new, spec, wanted)) or self._open(spec, wanted):
            self._plan.served.add(uid)
        else:
            self._plan.homeless.add(uid)

    def _open(self, spec: Mapping[str, object], wanted: Mapping[str, Decimal]) -> bool:
        """Add a node of the best offer that can serve a pod, if there is one."""
        choices = [
            (self._rank(index, wanted), index, place)
            for index, fresh in enumerate(self._fresh)
            if self._rooms[index] > 0
            for place in fresh
            if admits(spec, place) and has_room(wanted, place.free) and self._is_within_limits(index)
        ]
        if not choices:
            return False
        _, index, place = min(choices, key=lambda choice: choice[:2])
        self._rooms[index] -= 1
        self._limits[index] = without(self._limits[index], amounts(self._offers[index].template.capacity))
        self._plan.nodes[index] = self._plan.nodes.get(index, 0) + 1
        self._new.append(Place(place.labels, place.taints, without(place.free, wanted)))
        return True

    def _is_within_limits(self, index: int) -> bool:
        capacity = amounts(self._offers[index].template.capacity)
        return all(capacity.get(name, Decimal(0)) <= left for name, left in self._limits[index].items())

    def _rank(self, index: int, wanted: Mapping[str, Decimal]) -> tuple[int, Decimal, Decimal, str]:
        capacity = amounts(self._offers[index].template.capacity)
        wasted = _gpus(capacity) - _gpus(wanted)
        return (-self._offers[index].weight, wasted, capacity.get("cpu", Decimal(0)), self._offers[index].pool)


def _places(template: NodeTemplate, daemons: Sequence[Mapping[str, object]]) -> list[Place]:
    """What a new node would offer, once for each of the template's topologies."""
    free = {"pods": _PODS, **amounts(template.capacity)}
    places: list[Place] = []
    for topology in template.topologies or ({},):
        bare = Place(node_labels(template, topology), template.taints, free)
        overhead = total(requests(spec) for spec in daemons if admits(spec, bare))
        places.append(Place(bare.labels, bare.taints, without(free, overhead)))
    return places


def _take(places: list[Place], spec: Mapping[str, object], wanted: Mapping[str, Decimal]) -> bool:
    for index, place in enumerate(places):
        if has_room(wanted, place.free) and admits(spec, place):
            places[index] = Place(place.labels, place.taints, without(place.free, wanted), place.name)
            return True
    return False


def _size(pod: Pod) -> tuple[Decimal, Decimal]:
    wanted = requests(mapping(pod, "spec"))
    return _gpus(wanted), wanted.get("cpu", Decimal(0))


def _gpus(resources: Mapping[str, Decimal]) -> Decimal:
    """How many devices: extended resources have a domain, Kubernetes's own have none."""
    counted = (number for name, number in resources.items() if "/" in name and not name.startswith(_NO_GPU))
    return sum(counted, Decimal(0))
