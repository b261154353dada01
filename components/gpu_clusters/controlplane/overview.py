"""What is on a cluster, at a glance: nodes and their GPUs, tenants and their quota, services and why they wait."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, TypeAlias, cast

from gpu_clusters import labels
from gpu_clusters.errors import OperationError
from gpu_clusters.kube.client import ApiError, Client
from gpu_clusters.kube.kubeconfig import parse
from gpu_clusters.kube.objects import condition, mapping, mappings, number, text, texts

#: The prefix of the names of GPU resources: whole ones, shared ones, MIG profiles.
GPU_PREFIX: Final = "nvidia.com/"

_ENDED: Final = ("Succeeded", "Failed")
# Nobody waits for a picture of a server that is down.
_PATIENCE_SECONDS: Final = 3.0

Json: TypeAlias = Mapping[str, object]


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
    client = Client(parse(kubeconfig))
    pods = _list(client, "/api/v1/pods")
    return Overview(
        nodes=_nodes(_list(client, "/api/v1/nodes"), pods),
        tenants=_tenants(_list(client, "/api/v1/namespaces", labels.TENANT), _list(client, "/api/v1/resourcequotas")),
        services=_services(_list(client, "/apis/apps/v1/deployments", labels.SERVICE), pods),
    )


def _list(client: Client, path: str, label: str = "") -> Sequence[Json]:
    try:
        return client.items(path, {"labelSelector": label} if label else {}, patience=_PATIENCE_SECONDS)
    except ApiError as error:
        raise OperationError(
            f"the API server doesn't list {path}: {error.api_message}", "use a kubeconfig that may"
        ) from error


def _nodes(nodes: Iterable[Json], pods: Iterable[Json]) -> tuple[NodeView, ...]:
    used: Counter[str] = Counter()
    for pod in pods:
        node = text(pod, "spec", "nodeName")
        if node and text(pod, "status", "phase") not in _ENDED:
            used[node] += _gpus_of(pod)
    views = [
        NodeView(
            name=text(node, "metadata", "name"),
            pool=texts(node, "metadata", "labels").get(labels.POOL),
            gpu=texts(node, "metadata", "labels").get(labels.GPU),
            ready=text(condition(node, "Ready"), "status") == "True",
            gpus_allocatable=_gpus(texts(node, "status", "allocatable")),
            gpus_used=used[text(node, "metadata", "name")],
            taints=tuple(_taint(taint) for taint in mappings(node, "spec", "taints")),
        )
        for node in nodes
    ]
    return tuple(sorted(views, key=lambda view: view.name))


def _tenants(namespaces: Iterable[Json], quotas: Iterable[Json]) -> tuple[TenantView, ...]:
    by_namespace: dict[str, list[QuotaView]] = defaultdict(list)
    for quota in quotas:
        hard, used = texts(quota, "status", "hard"), texts(quota, "status", "used")
        by_namespace[text(quota, "metadata", "namespace")] += [
            QuotaView(resource=resource, hard=limit, used=used.get(resource, "0"))
            for resource, limit in sorted(hard.items())
        ]
    views = [
        TenantView(
            namespace=text(namespace, "metadata", "name"),
            tenant=texts(namespace, "metadata", "labels").get(labels.TENANT, ""),
            quota=tuple(by_namespace[text(namespace, "metadata", "name")]),
        )
        for namespace in namespaces
    ]
    return tuple(sorted(views, key=lambda view: view.namespace))


def _services(deployments: Iterable[Json], pods: Sequence[Json]) -> tuple[ServiceView, ...]:
    by_service: dict[tuple[str, str], list[Json]] = defaultdict(list)
    for pod in pods:
        service = texts(pod, "metadata", "labels").get(labels.SERVICE)
        if service:
            by_service[text(pod, "metadata", "namespace"), service].append(pod)
    views: list[ServiceView] = []
    for deployment in deployments:
        namespace = text(deployment, "metadata", "namespace")
        service = texts(deployment, "metadata", "labels").get(labels.SERVICE, "")
        own = by_service[namespace, service]
        views.append(
            ServiceView(
                namespace=namespace,
                name=text(deployment, "metadata", "name"),
                desired=number(deployment, "spec", "replicas") or 0,
                ready=number(deployment, "status", "readyReplicas") or 0,
                nodes=tuple(sorted({text(pod, "spec", "nodeName") for pod in own} - {""})),
                pending=(*_refused(deployment), *_pending(own)),
            )
        )
    return tuple(sorted(views, key=lambda view: (view.namespace, view.name)))


def _refused(deployment: Json) -> tuple[PendingView, ...]:
    """Pods that quota or admission keeps from being made leave no trace but this condition."""
    return tuple(
        PendingView(pod=text(deployment, "metadata", "name"), reason=text(entry, "message"))
        for entry in mappings(deployment, "status", "conditions")
        if text(entry, "type") == "ReplicaFailure" and text(entry, "status") == "True"
    )


def _pending(pods: Iterable[Json]) -> tuple[PendingView, ...]:
    views = [
        PendingView(pod=text(pod, "metadata", "name"), reason=reason)
        for pod in pods
        if "deletionTimestamp" not in mapping(pod, "metadata") and (reason := _reason(pod))
    ]
    return tuple(sorted(views, key=lambda view: view.pod))


def _reason(pod: Json) -> str:
    """Why a pod isn't Ready; empty if it is, or has ended."""
    if text(pod, "status", "phase") in _ENDED or text(condition(pod, "Ready"), "status") == "True":
        return ""
    status = mapping(pod, "status")
    scheduled = condition(pod, "PodScheduled")
    if text(scheduled, "status") == "False":
        return text(scheduled, "message") or text(scheduled, "reason")
    for container in (*mappings(status, "initContainerStatuses"), *mappings(status, "containerStatuses")):
        waiting = mapping(container, "state", "waiting")
        if waiting:
            return ": ".join(part for part in (text(waiting, "reason"), text(waiting, "message")) if part)
    return "not Ready yet" if text(pod, "spec", "nodeName") else "not scheduled yet"


def _gpus_of(pod: Json) -> int:
    containers = mappings(pod, "spec", "containers")
    return sum(_gpus(texts(container, "resources", "requests")) for container in containers)


def _gpus(resources: Mapping[str, str]) -> int:
    return sum(int(amount) for name, amount in resources.items() if name.startswith(GPU_PREFIX) and amount.isdigit())


def _taint(taint: Json) -> str:
    value = text(taint, "value")
    return f"{text(taint, 'key')}{f'={value}' if value else ''}:{text(taint, 'effect')}"


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
