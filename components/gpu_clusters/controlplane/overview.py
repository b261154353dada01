"""What is on a cluster, at a glance: nodes and their GPUs, tenants and their quota, services and why they wait."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, cast

from gpu_clusters import labels
from gpu_clusters.controlplane.cluster import Cluster, Json, objects

#: The prefix of the names of GPU resources: whole ones, shared ones, MIG profiles.
GPU_PREFIX: Final = "nvidia.com/"

_ENDED: Final = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node; GPUs are counts of any resource of NVIDIA's."""

    name: str
    pool: str | None
    gpu: str | None
    ready: bool
    gpus_allocatable: int
    gpus_used: int
    taints: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaView:
    """One resource of a tenant's ResourceQuotas, in Kubernetes's quantities."""

    resource: str
    hard: str
    used: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantView:
    """A tenant's namespace."""

    namespace: str
    tenant: str
    quota: tuple[QuotaView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingView:
    """A pod that waits, and why: the scheduler's words, or the container's reason."""

    pod: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """An LLM service's Deployment.

    Args:
        desired: the replicas that it should have.
        ready: those that it has.
        nodes: where its pods are.
        pending: its pods that wait; for pods that were refused, the reason stands with the name of the Deployment.
    """

    namespace: str
    name: str
    desired: int
    ready: int
    nodes: tuple[str, ...]
    pending: tuple[PendingView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything, sorted by name."""

    nodes: tuple[NodeView, ...]
    tenants: tuple[TenantView, ...]
    services: tuple[ServiceView, ...]

    def to_json(self) -> dict[str, object]:
        """The same as a document with camelCase keys."""
        return cast("dict[str, object]", _camel(asdict(self)))


def overview(kubeconfig: str) -> Overview:
    """Read a cluster through its API server.

    Args:
        kubeconfig: the content of a kubeconfig.

    Raises:
        OperationError: the API server can't be reached, or refuses.
    """
    cluster = Cluster(kubeconfig)
    pods = cluster.pods()
    return Overview(
        nodes=_nodes(cluster.nodes(), pods),
        tenants=_tenants(cluster.namespaces(labels.TENANT), cluster.quotas()),
        services=_services(cluster.deployments(labels.SERVICE), pods),
    )


def _nodes(nodes: Iterable[Json], pods: Iterable[Json]) -> tuple[NodeView, ...]:
    used: Counter[str] = Counter()
    for pod in pods:
        node = _text(pod, "spec", "nodeName")
        if node and _text(pod, "status", "phase") not in _ENDED:
            used[node] += _gpus_of(pod)
    views = [
        NodeView(
            name=_text(node, "metadata", "name"),
            pool=_texts(node, "metadata", "labels").get(labels.POOL),
            gpu=_texts(node, "metadata", "labels").get(labels.GPU),
            ready=_condition(node, "Ready") == "True",
            gpus_allocatable=_gpus(_texts(node, "status", "allocatable")),
            gpus_used=used[_text(node, "metadata", "name")],
            taints=tuple(_taint(taint) for taint in objects(_inner(node, "spec"), "taints")),
        )
        for node in nodes
    ]
    return tuple(sorted(views, key=lambda view: view.name))


def _tenants(namespaces: Iterable[Json], quotas: Iterable[Json]) -> tuple[TenantView, ...]:
    by_namespace: dict[str, list[QuotaView]] = defaultdict(list)
    for quota in quotas:
        hard, used = _texts(quota, "status", "hard"), _texts(quota, "status", "used")
        by_namespace[_text(quota, "metadata", "namespace")] += [
            QuotaView(resource=resource, hard=limit, used=used.get(resource, "0"))
            for resource, limit in sorted(hard.items())
        ]
    views = [
        TenantView(
            namespace=_text(namespace, "metadata", "name"),
            tenant=_texts(namespace, "metadata", "labels").get(labels.TENANT, ""),
            quota=tuple(by_namespace[_text(namespace, "metadata", "name")]),
        )
        for namespace in namespaces
    ]
    return tuple(sorted(views, key=lambda view: view.namespace))


def _services(deployments: Iterable[Json], pods: Sequence[Json]) -> tuple[ServiceView, ...]:
    by_service: dict[tuple[str, str], list[Json]] = defaultdict(list)
    for pod in pods:
        service = _texts(pod, "metadata", "labels").get(labels.SERVICE)
        if service:
            by_service[_text(pod, "metadata", "namespace"), service].append(pod)
    views: list[ServiceView] = []
    for deployment in deployments:
        namespace = _text(deployment, "metadata", "namespace")
        service = _texts(deployment, "metadata", "labels").get(labels.SERVICE, "")
        own = by_service[namespace, service]
        views.append(
            ServiceView(
                namespace=namespace,
                name=_text(deployment, "metadata", "name"),
                desired=_number(deployment, "spec", "replicas"),
                ready=_number(deployment, "status", "readyReplicas"),
                nodes=tuple(sorted({_text(pod, "spec", "nodeName") for pod in own} - {""})),
                pending=(*_refused(deployment), *_pending(own)),
            )
        )
    return tuple(sorted(views, key=lambda view: (view.namespace, view.name)))


def _refused(deployment: Json) -> tuple[PendingView, ...]:
    """Pods that quota or admission keeps from being made leave no trace but this condition."""
    return tuple(
        PendingView(pod=_text(deployment, "metadata", "name"), reason=_text(condition, "message"))
        for condition in objects(_inner(deployment, "status"), "conditions")
        if _text(condition, "type") == "ReplicaFailure" and _text(condition, "status") == "True"
    )


def _pending(pods: Iterable[Json]) -> tuple[PendingView, ...]:
    views = [
        PendingView(pod=_text(pod, "metadata", "name"), reason=reason)
        for pod in pods
        if "deletionTimestamp" not in _inner(pod, "metadata") and (reason := _reason(pod))
    ]
    return tuple(sorted(views, key=lambda view: view.pod))


def _reason(pod: Json) -> str:
    """Why a pod isn't Ready; empty if it is, or has ended."""
    if _text(pod, "status", "phase") in _ENDED or _condition(pod, "Ready") == "True":
        return ""
    status = _inner(pod, "status")
    for condition in objects(status, "conditions"):
        if _text(condition, "type") == "PodScheduled" and _text(condition, "status") == "False":
            return _text(condition, "message") or _text(condition, "reason")
    for container in (*objects(status, "initContainerStatuses"), *objects(status, "containerStatuses")):
        waiting = _inner(_inner(container, "state"), "waiting")
        if waiting:
            return ": ".join(text for text in (_text(waiting, "reason"), _text(waiting, "message")) if text)
    return "not Ready yet" if _text(pod, "spec", "nodeName") else "not scheduled yet"


def _gpus_of(pod: Json) -> int:
    containers = objects(_inner(pod, "spec"), "containers")
    return sum(_gpus(_texts(container, "resources", "requests")) for container in containers)


def _gpus(resources: Mapping[str, str]) -> int:
    return sum(int(amount) for name, amount in resources.items() if name.startswith(GPU_PREFIX) and amount.isdigit())


def _taint(taint: Json) -> str:
    value = _text(taint, "value")
    return f"{_text(taint, 'key')}{f'={value}' if value else ''}:{_text(taint, 'effect')}"


def _condition(item: Json, kind: str) -> str:
    conditions = objects(_inner(item, "status"), "conditions")
    return next((_text(entry, "status") for entry in conditions if _text(entry, "type") == kind), "")


def _inner(item: Json, key: str) -> Json:
    return cast("Json", item.get(key) or {})


def _text(item: Json, *keys: str) -> str:
    for key in keys[:-1]:
        item = _inner(item, key)
    return str(item.get(keys[-1]) or "")


def _texts(item: Json, *keys: str) -> Mapping[str, str]:
    for key in keys:
        item = _inner(item, key)
    return cast("Mapping[str, str]", item)


def _number(item: Json, first: str, second: str) -> int:
    return int(cast("int", _inner(item, first).get(second) or 0))


def _camel(value: object) -> object:
    if isinstance(value, dict):
        items = cast("dict[str, object]", value).items()
        return {_camel_key(key): _camel(item) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [_camel(item) for item in cast("Sequence[object]", value)]
    return value


def _camel_key(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)
