"""Whether a pod fits a node, by the scheduler's filters that decide about the size of a pool.

Node selector and required node affinity, taints, and resources (Kubernetes documentation, "Assigning Pods to Nodes",
"Taints and Tolerations", "Init Containers: Resource sharing within containers"). Spreading and affinity between pods
are left to the scheduler.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, cast

from gpu_clusters.kube.objects import mapping, mappings, text, texts
from gpu_clusters.rehearsal.clusters.quantities import amounts, most, total
from gpu_clusters.rehearsal.world import NodeTaint

_KEEPING_AWAY: Final = frozenset({"NoSchedule", "NoExecute"})


@dataclass(frozen=True, slots=True)
class Place:
    """What a node, or one that there could be, offers.

    Attributes:
        labels: the node's.
        taints: the node's.
        free: what is left by resource name.
        name: the node's; empty for one that there could be.
    """

    labels: Mapping[str, str]
    taints: Sequence[NodeTaint]
    free: Mapping[str, Decimal]
    name: str = ""


def requests(spec: Mapping[str, object]) -> dict[str, Decimal]:
    """What a pod asks for by resource name, itself as one of `pods`."""
    starting = mappings(spec, "initContainers")
    sidecars = [_requested(item) for item in starting if item.get("restartPolicy") == "Always"]
    running = total([*(_requested(item) for item in mappings(spec, "containers")), *sidecars])
    before = [total([*sidecars, _requested(item)]) for item in starting if item.get("restartPolicy") != "Always"]
    whole = most([running, *before, amounts(mapping(spec, "resources", "requests"))])
    return total([whole, amounts(mapping(spec, "overhead")), {"pods": Decimal(1)}])


def admits(spec: Mapping[str, object], place: Place) -> bool:
    """Whether labels and taints let a pod onto a node."""
    selected = all(place.labels.get(key) == value for key, value in texts(spec, "nodeSelector").items())
    return selected and _is_near(spec, place) and tolerates(spec, place.taints)


def tolerates(spec: Mapping[str, object], taints: Sequence[NodeTaint]) -> bool:
    """Whether a pod tolerates all taints that would keep it away."""
    tolerations = mappings(spec, "tolerations")
    return all(
        any(_tolerates(toleration, taint) for toleration in tolerations)
        for taint in taints
        if taint.effect in _KEEPING_AWAY
    )


def has_room(wanted: Mapping[str, Decimal], free: Mapping[str, Decimal]) -> bool:
    """Whether what is wanted is there; a resource that a node doesn't have counts as none of it."""
    return all(free.get(name, Decimal(0)) >= number for name, number in wanted.items() if number)


def without(free: Mapping[str, Decimal], used: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What is left."""
    return {name: number - used.get(name, Decimal(0)) for name, number in free.items()}


def _requested(container: Mapping[str, object]) -> dict[str, Decimal]:
    return amounts(mapping(container, "resources", "requests"))


def _is_near(spec: Mapping[str, object], place: Place) -> bool:
    required = mapping(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    terms = mappings(required, "nodeSelectorTerms")
    return not required or any(_matches_term(term, place) for term in terms)


def _matches_term(term: Mapping[str, object], place: Place) -> bool:
    expressions, fields = mappings(term, "matchExpressions"), mappings(term, "matchFields")
    if not expressions and not fields:
        return False
    # A DaemonSet's pods name their node by its field: no other one will do.
    own = {"metadata.name": place.name}
    return all(matches(item, place.labels) for item in expressions) and all(matches(item, own) for item in fields)


def matches(expression: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    """Whether labels meet a requirement: `{key, operator, values}` of a node selector."""
    key, operator = text(expression, "key"), text(expression, "operator")
    values = [str(value) for value in cast("Sequence[object]", expression.get("values") or ())]
    found = labels.get(key)
    match operator:
        case "In":
            return found in values
        case "NotIn":
            return found not in values
        case "Exists":
            return found is not None
        case "DoesNotExist":
            return found is None
        case "Gt" | "Lt" if found is not None and found.isdigit() and len(values) == 1 and values[0].isdigit():
            return int(found) > int(values[0]) if operator == "Gt" else int(found) < int(values[0])
        case _:
            return False


def _tolerates(toleration: Mapping[str, object], taint: NodeTaint) -> bool:
    key, effect = text(toleration, "key"), text(toleration, "effect")
    if effect not in ("", taint.effect):
        return False
    if text(toleration, "operator") == "Exists":
        return key in ("", taint.key)
    return key == taint.key and text(toleration, "value") == taint.value
