"""The nodes of one cluster: what kwok needs to play them, made and removed in bulk."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from gpu_clusters import labels
from gpu_clusters.errors import OperationError
from gpu_clusters.kube.client import ApiError, Client
from gpu_clusters.kube.objects import condition, mapping, mappings, text
from gpu_clusters.rehearsal.world import NodeTemplate

_AT_ONCE: Final = 8
_POLL_SECONDS: Final = 0.1
_READY_SECONDS: Final = 120.0
_PATH: Final = "/api/v1/nodes"
_ZONE: Final = "topology.kubernetes.io/zone"
_MERGE: Final = "application/merge-patch+json"
# The node lifecycle controller keeps pods away by it until it has seen that the node is Ready.
_NOT_READY: Final = "node.kubernetes.io/not-ready"


class Nodes:
    """The nodes of one cluster. Safe to use from many threads."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def add(self, wanted: Mapping[str, tuple[NodeTemplate, int]]) -> None:
        """Make nodes by name, each of a template and with its number in the pool, and wait until all are Ready.

        Raises:
            OperationError: the API server refuses one, or one doesn't get Ready.
        """
        manifests = [manifest(name, template, number) for name, (template, number) in wanted.items()]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._create, manifests))
        self._await_ready(set(wanted))

    def cordon(self, name: str, *, unschedulable: bool = True) -> None:
        """Keep new pods off a node, or let them onto it again."""
        body = {"spec": {"unschedulable": unschedulable}}
        try:
            self._client.request("PATCH", f"{_PATH}/{name}", body=body, content_type=_MERGE)
        except ApiError as error:
            # The program may have deleted it.
            if error.code != 404:
                raise

    def relabel(self, name: str, old: NodeTemplate, new: NodeTemplate) -> None:
        """Change a node's labels and taints from those of one template to those of another."""
        gone = dict.fromkeys(old.labels.keys() - new.labels.keys())
        body = {"metadata": {"labels": {**gone, **new.labels}}, "spec": {"taints": _taints(new)}}
        self._client.request("PATCH", f"{_PATH}/{name}", body=body, content_type=_MERGE)

    def remove(self, names: Collection[str]) -> None:
        """Remove nodes with what still runs on them, as a cloud that ends machines does."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._remove, names))

    def ready(self) -> frozenset[str]:
        """The names of all nodes that are Ready and take pods."""
        items = self._client.items(_PATH, {"resourceVersion": "0"})
        return frozenset(text(item, "metadata", "name") for item in items if _takes_pods(item))

    def _create(self, node: Mapping[str, object]) -> None:
        try:
            self._client.request("POST", _PATH, body=node)
        except ApiError as error:
            # The request may have been made twice, and the name is ours.
            if error.reason != "AlreadyExists":
                raise

    def _await_ready(self, names: set[str]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while missing := names - self.ready():
            if time.monotonic() > deadline:
                raise OperationError(
                    f"{len(missing)} simulated nodes don't get Ready: {', '.join(sorted(missing)[:5])}",
                    "see `gpu-clusters sandbox logs kwok`",
                )
            self._client.sleep(_POLL_SECONDS)

    def _remove(self, name: str) -> None:
        self._delete(f"{_PATH}/{name}")
        # Garbage collection of pods without a node would take a minute.
        for pod in self._client.items("/api/v1/pods", {"fieldSelector": f"spec.nodeName={name}"}):
            place = mapping(pod, "metadata")
            self._delete(f"/api/v1/namespaces/{text(place, 'namespace')}/pods/{text(place, 'name')}", seconds=0)

    def _delete(self, path: str, *, seconds: int | None = None) -> None:
        try:
            self._client.request("DELETE", path, body=None if seconds is None else {"gracePeriodSeconds": seconds})
        except ApiError as error:
            if error.code != 404:
                raise


def manifest(name: str, template: NodeTemplate, number: int) -> dict[str, object]:
    """A node of a template; `number` chooses among its topologies, in turn."""
    topologies = template.topologies
    own = node_labels(template, topologies[number % len(topologies)] if topologies else {})
    marks = {
        labels.KWOK_NODE: labels.KWOK_NODE_VALUE,
        labels.SANDBOX_CAPACITY: json.dumps(dict(template.capacity), sort_keys=True),
    }
    if template.kubernetes_version:
        marks[labels.SANDBOX_KUBELET_VERSION] = f"v{template.kubernetes_version.removeprefix('v')}"
    machine = hashlib.sha256(name.encode()).hexdigest()[:17]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**own, "kubernetes.io/hostname": name},
            "annotations": marks,
        },
        "spec": {
            "providerID": f"simulated:///{own.get(_ZONE, 'zone')}/i-{machine}",
            "taints": _taints(template),
        },
    }


def _taints(template: NodeTemplate) -> list[dict[str, str]]:
    return [
        {"key": taint.key, "effect": taint.effect, **({"value": taint.value} if taint.value else {})}
        for taint in template.taints
    ]


def node_labels(template: NodeTemplate, topology: Mapping[str, str]) -> dict[str, str]:
    """The labels of a node of a template, save its name; a kubelet sets the first two by itself."""
    return {"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", **template.labels, **topology}


def _takes_pods(node: Mapping[str, object]) -> bool:
    spec = mapping(node, "spec")
    held = any(taint.get("key") == _NOT_READY for taint in mappings(spec, "taints"))
    return condition(node, "Ready").get("status") == "True" and spec.get("unschedulable") is not True and not held
