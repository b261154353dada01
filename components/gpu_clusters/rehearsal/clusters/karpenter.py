"""Karpenter's NodePools as pools: which machines each of them could start.

By the objects that the program has made (`karpenter.sh/v1` NodePool with an EC2NodeClass, or Auto Mode's NodeClass) and
the catalogue of machines. Source: Karpenter documentation, "NodePools" and "Scheduling, well-known labels"; EKS user
guide, "Create a Node Pool for EKS Auto Mode".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, takewhile
from typing import Final, cast

from gpu_clusters.eks.machines import Machine, families, gpu_machines, machine
from gpu_clusters.kube.client import Client
from gpu_clusters.kube.objects import mapping, mappings, number, text, texts
from gpu_clusters.rehearsal.clusters.fitting import matches
from gpu_clusters.rehearsal.clusters.planning import Offer
from gpu_clusters.rehearsal.clusters.quantities import amounts, total
from gpu_clusters.rehearsal.world import NodeTaint, NodeTemplate

NodePool = Mapping[str, object]

_PATH: Final = "/apis/karpenter.sh/v1/nodepools"
_TYPE: Final = "node.kubernetes.io/instance-type"
_ZONE: Final = "topology.kubernetes.io/zone"
_CAPACITY: Final = "karpenter.sh/capacity-type"
#: In the order in which Karpenter tries them.
_CAPACITY_TYPES: Final = ("reserved", "spot", "on-demand")
#: By the kind of the node class: where its objects live, and what the labels of its machines begin with.
_CLASSES: Final[Mapping[str, tuple[str, str]]] = {
    "EC2NodeClass": ("/apis/karpenter.k8s.aws/v1/ec2nodeclasses", "karpenter.k8s.aws"),
    "NodeClass": ("/apis/eks.amazonaws.com/v1/nodeclasses", "eks.amazonaws.com"),
}
_SIZES: Final = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge", "48xlarge")
_RESOURCES: Final[Mapping[str, str]] = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu"}
#: A quota of the account would stop it earlier.
_MOST: Final = 1_000


def pool_name(name: str) -> str:
    """What the report calls a NodePool."""
    return f"NodePool {name}"


def node_pools(client: Client) -> list[NodePool]:
    """The NodePools of a cluster; none if it doesn't know the kind."""
    found = client.get(_PATH, patience=0)
    return [item for item in mappings(found, "items") if not text(item, "metadata", "deletionTimestamp")]


def offers(client: Client, node_pool: NodePool, there: Sequence[NodeTemplate]) -> list[Offer]:
    """The machines that a NodePool could still start; none if its node class isn't there.

    Args:
        client: the cluster's.
        node_pool: the object.
        there: the nodes that it has.
    """
    reference = mapping(node_pool, "spec", "template", "spec", "nodeClassRef")
    path, prefix = _CLASSES.get(text(reference, "kind"), ("", ""))
    if not path or client.get(f"{path}/{text(reference, 'name')}", patience=0) is None:
        return []
    used = total(amounts(template.capacity) for template in there)
    limits = amounts(mapping(node_pool, "spec", "limits"))
    return [
        Offer(
            pool=pool_name(text(node_pool, "metadata", "name")),
            template=template,
            room=_MOST - len(there),
            limits={name: most - used.get(name, 0) for name, most in limits.items()},
            weight=number(node_pool, "spec", "weight") or 0,
        )
        for template in templates(node_pool, prefix)
    ]


def templates(node_pool: NodePool, prefix: str) -> Iterator[NodeTemplate]:
    """The nodes that a NodePool could start: one template for each machine that meets its requirements."""
    name, inner = text(node_pool, "metadata", "name"), mapping(node_pool, "spec", "template")
    requirements = mappings(inner, "spec", "requirements")
    chosen = {"karpenter.sh/nodepool": name, _CAPACITY: _capacity_type(requirements), **_fixed(requirements)}
    taints = [
        NodeTaint(key=text(taint, "key"), value=text(taint, "value"), effect=text(taint, "effect"))
        for taint in mappings(inner, "spec", "taints")
    ]
    for candidate in _machines(requirements):
        own = machine_labels(candidate, prefix)
        if all(matches(item, own) for item in requirements if _is_known(text(item, "key"), own, prefix)):
            yield NodeTemplate(
                labels={**chosen, **own, **texts(inner, "metadata", "labels")},
                taints=taints,
                capacity=capacity(candidate),
                topologies=[{_ZONE: zone} for zone in _values(requirements, _ZONE)],
            )


def machine_labels(candidate: Machine, prefix: str) -> dict[str, str]:
    """The labels by which NodePools choose machines, as far as the catalogue knows them."""
    family = candidate.family
    category = "".join(takewhile(str.isalpha, family))
    named = {
        "instance-family": family,
        "instance-category": category,
        "instance-generation": "".join(takewhile(str.isdigit, family.removeprefix(category))),
        "instance-size": candidate.name.partition(".")[2],
        "instance-cpu": str(candidate.vcpus),
        "instance-memory": str(candidate.memory_gib * 1024),
    }
    if candidate.gpu is not None:
        named |= {
            "instance-gpu-name": candidate.gpu.value,
            "instance-gpu-manufacturer": candidate.gpu.facts.vendor,
            "instance-gpu-count": str(int(candidate.gpus)),
        }
    return {
        _TYPE: candidate.name,
        "kubernetes.io/arch": "arm64" if candidate.architecture == "arm64" else "amd64",
        "kubernetes.io/os": "linux",
        **{f"{prefix}/{key}": value for key, value in named.items()},
    }


def capacity(candidate: Machine) -> dict[str, str]:
    """What a machine has by resource name."""
    found = {
        "cpu": str(candidate.vcpus),
        "memory": f"{candidate.memory_gib}Gi",
        "ephemeral-storage": "200Gi",
        "pods": str(candidate.max_pods or 110),
    }
    resource = _RESOURCES.get(candidate.gpu.facts.vendor) if candidate.gpu else None
    if resource and candidate.gpus >= 1:
        found[resource] = str(int(candidate.gpus))
    if candidate.efa_interfaces:
        found["vpc.amazonaws.com/efa"] = str(candidate.efa_interfaces)
    return found


def _is_known(key: str, own: Mapping[str, str], prefix: str) -> bool:
    """Whether the catalogue can say if a machine has a label; one without GPUs has none about GPUs."""
    return key in own or key.startswith(f"{prefix}/instance-gpu-")


def _machines(requirements: Sequence[Mapping[str, object]]) -> tuple[Machine, ...]:
    named = _values(requirements, _TYPE)
    found = (machine(name) for name in named)
    return tuple(item for item in found if item is not None) if named else _catalogue()


@cache
def _catalogue() -> tuple[Machine, ...]:
    guesses = (machine(f"{family}.{size}") for family in sorted(families()) for size in _SIZES)
    every = {item.name: item for item in chain(gpu_machines(), guesses) if item is not None}
    return tuple(every.values())


def _capacity_type(requirements: Sequence[Mapping[str, object]]) -> str:
    allowed = _values(requirements, _CAPACITY) or ["on-demand"]
    return next((kind for kind in _CAPACITY_TYPES if kind in allowed), "on-demand")


def _fixed(requirements: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """The labels that a node gets as only one value is allowed."""
    single = {text(item, "key"): _values(requirements, text(item, "key")) for item in requirements}
    return {key: values[0] for key, values in single.items() if len(values) == 1 and key != _CAPACITY}


def _values(requirements: Sequence[Mapping[str, object]], key: str) -> list[str]:
    for item in requirements:
        values = item.get("values")
        if item.get("key") == key and item.get("operator") == "In" and isinstance(values, list):
            return [str(value) for value in cast("list[object]", values)]
    return []
