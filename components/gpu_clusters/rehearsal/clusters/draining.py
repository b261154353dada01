"""Draining a node by the Eviction API, which PodDisruptionBudgets may block.

As clouds and `kubectl drain` do it: pods of DaemonSets and of the node itself stay, all others are evicted, those that
no controller would make anew as well (EKS user guide, "Understand each phase of node updates").
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from gpu_clusters.kube.client import ApiError, Client
from gpu_clusters.kube.objects import mapping, mappings, text

_POLL_SECONDS: Final = 0.25
# Pods that start elsewhere can start for ever.
_LONGEST: Final = 6
_MIRROR: Final = "kubernetes.io/config.mirror"


def drain(client: Client, node: str, patience: float) -> tuple[str, ...]:
    """Evict what runs on a cordoned node, and wait until it is gone.

    Args:
        client: the cluster's.
        node: its name.
        patience: seconds without any progress after which it is given up. Another set of pods on the node, pods that
            are starting elsewhere and another state of a budget are progress.

    Returns:
        What blocked it, in the API server's words; nothing if the node is empty.
    """
    last: object = None
    deadline = time.monotonic() + patience
    end = time.monotonic() + patience * _LONGEST
    while pods := [pod for pod in _on(client, node) if _is_evicted(pod)]:
        refusals = [words for pod in pods if (words := _evict(client, pod))]
        seen = (sorted(text(pod, "metadata", "uid") for pod in pods), _budgets(client), _starting(client))
        if seen != last and time.monotonic() < end:
            last, deadline = seen, time.monotonic() + patience
        elif time.monotonic() > deadline:
            return tuple(dict.fromkeys(refusals)) or tuple(f"{_name(pod)} doesn't end" for pod in pods)
        client.sleep(_POLL_SECONDS)
    return ()


def _on(client: Client, node: str) -> list[Mapping[str, object]]:
    return list(client.items("/api/v1/pods", {"fieldSelector": f"spec.nodeName={node}"}))


def _is_evicted(pod: Mapping[str, object]) -> bool:
    owners = mappings(pod, "metadata", "ownerReferences")
    stays = any(owner.get("kind") in ("DaemonSet", "Node") for owner in owners)
    return not stays and _MIRROR not in mapping(pod, "metadata", "annotations")


def _evict(client: Client, pod: Mapping[str, object]) -> str:
    """Ask for an eviction; the refusal's words, empty if there is none."""
    if text(pod, "metadata", "deletionTimestamp"):
        return ""
    namespace, name = text(pod, "metadata", "namespace"), text(pod, "metadata", "name")
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"namespace": namespace, "name": name},
    }
    try:
        # A budget's refusal looks like a busy server (429): the client mustn't ask again by itself.
        client.request("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body=body, patience=0)
    except ApiError as error:
        if error.code == 404:
            return ""
        causes = [text(cause, "message") for cause in error.causes]
        return f"{_name(pod)}: {' '.join([error.api_message, *filter(None, causes)])}"
    return ""


def _budgets(client: Client) -> list[tuple[str, str]]:
    budgets = client.items("/apis/policy/v1/poddisruptionbudgets", {"resourceVersion": "0"})
    counted = ("currentHealthy", "disruptionsAllowed")
    return sorted(
        (text(item, "metadata", "uid"), str([mapping(item, "status").get(key) for key in counted])) for item in budgets
    )


def _starting(client: Client) -> float:
    """Something else each time while pods are on their way to Ready on a node."""
    pods = client.items("/api/v1/pods", {"fieldSelector": "status.phase=Pending,spec.nodeName!="})
    return time.monotonic() if pods else 0.0


def _name(pod: Mapping[str, object]) -> str:
    return f"{text(pod, 'metadata', 'namespace')}/{text(pod, 'metadata', 'name')}"
