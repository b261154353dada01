"""When an object of a kind is ready, by the rules that pulumi-kubernetes documents for its await logic.

Two kinds differ: an Ingress isn't waited for, since a sandbox has no ingress controller, and a suspended Job is taken
as ready, since it waits for a queue and not for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gpu_clusters.kube.objects import number, text
from gpu_clusters.rehearsal.providers.kubernetes.client import Client
from gpu_clusters.rehearsal.providers.kubernetes.objects import (
    Kind,
    condition,
    mapping,
    mappings,
    name_of,
    namespace_of,
)
from gpu_clusters.rehearsal.providers.values import Properties


@dataclass(frozen=True)
class Pending:
    """Why an object isn't ready.

    Attributes:
        reason: in Kubernetes's own words where it says any.
        final: waiting won't help.
    """

    reason: str
    final: bool = False


_Check = Callable[[Client, Properties], "Pending | None"]


def pending(client: Client, kind: Kind, live: Properties) -> Pending | None:
    """What a live object still waits for; None if it is ready, or of a kind that isn't waited for."""
    check = _CHECKS.get((kind.group, kind.name))
    return check(client, live) if check else None


def _namespace(_client: Client, live: Properties) -> Pending | None:
    phase = text(live, "status", "phase")
    return None if phase == "Active" else Pending(f"the namespace is {phase or 'not active yet'}")


def _deployment(_client: Client, live: Properties) -> Pending | None:
    if mapping(live, "spec").get("paused") is True:
        return None
    if not _observed(live):
        return Pending("the Deployment controller hasn't seen it yet")
    progressing = condition(live, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Pending(_said(progressing), final=True)
    wanted = _count(live, "spec", "replicas", default=1)
    updated = _count(live, "status", "updatedReplicas")
    if updated < wanted:
        failure = condition(live, "ReplicaFailure")
        told = f": {_said(failure)}" if failure.get("status") == "True" else ""
        return Pending(f"{updated} of {wanted} replicas are made{told}")
    old = _count(live, "status", "replicas") - updated
    if old > 0:
        return Pending(f"{old} replicas of the old version are still there")
    available = _count(live, "status", "availableReplicas")
    return None if available >= updated else Pending(f"{available} of {wanted} replicas are available")


def _stateful_set(_client: Client, live: Properties) -> Pending | None:
    if not _observed(live):
        return Pending("the StatefulSet controller hasn't seen it yet")
    wanted = _count(live, "spec", "replicas", default=1)
    ready = _count(live, "status", "readyReplicas")
    if ready < wanted:
        return Pending(f"{ready} of {wanted} replicas are ready")
    if text(live, "spec", "updateStrategy", "type") == "OnDelete":
        return None
    first = _count(live, "spec", "updateStrategy", "rollingUpdate", "partition")
    updated, due = _count(live, "status", "updatedReplicas"), max(wanted - first, 0)
    return None if updated >= due else Pending(f"{updated} of {due} replicas are of the new version")


def _daemon_set(_client: Client, live: Properties) -> Pending | None:
    if not _observed(live):
        return Pending("the DaemonSet controller hasn't seen it yet")
    wanted = _count(live, "status", "desiredNumberScheduled")
    updated = _count(live, "status", "updatedNumberScheduled")
    if text(live, "spec", "updateStrategy", "type") != "OnDelete" and updated < wanted:
        return Pending(f"{updated} of {wanted} pods are of the new version")
    available = _count(live, "status", "numberAvailable")
    return None if available >= wanted else Pending(f"{available} of {wanted} pods are available")


def _job(_client: Client, live: Properties) -> Pending | None:
    if mapping(live, "spec").get("suspend") is True or condition(live, "Complete").get("status") == "True":
        return None
    failed = condition(live, "Failed")
    if failed.get("status") == "True":
        return Pending(_said(failed), final=True)
    wanted = _count(live, "spec", "completions", default=1)
    return Pending(f"{_count(live, 'status', 'succeeded')} of {wanted} pods have succeeded")


def _pod(_client: Client, live: Properties) -> Pending | None:
    phase = text(live, "status", "phase")
    if phase == "Succeeded" or condition(live, "Ready").get("status") == "True":
        return None
    return Pending(f"the pod is {phase or 'not scheduled yet'}", final=phase == "Failed")


def _claim(client: Client, live: Properties) -> Pending | None:
    if text(live, "status", "phase") == "Bound":
        return None
    name = text(live, "spec", "storageClassName")
    storage_class = client.get(f"/apis/storage.k8s.io/v1/storageclasses/{name}") if name else None
    if text(storage_class, "volumeBindingMode") == "WaitForFirstConsumer":
        return None
    return Pending("the claim isn't bound to a volume")


def _volume(_client: Client, live: Properties) -> Pending | None:
    phase = text(live, "status", "phase")
    return None if phase in {"Available", "Bound"} else Pending(f"the volume is {phase or 'not available yet'}")


def _quota(_client: Client, live: Properties) -> Pending | None:
    counted = mapping(live, "status", "hard").keys() == mapping(live, "spec", "hard").keys()
    return None if counted else Pending("the quota isn't counted yet")


def _secret(_client: Client, live: Properties) -> Pending | None:
    if text(live, "type") != "kubernetes.io/service-account-token" or mapping(live, "data"):
        return None
    return Pending("the token isn't made yet")


def _service(client: Client, live: Properties) -> Pending | None:
    balanced = text(live, "spec", "type") == "LoadBalancer"
    if balanced and not mappings(live, "status", "loadBalancer", "ingress"):
        return Pending("the load balancer has no address; a sandbox has no load balancers")
    external = text(live, "spec", "type") == "ExternalName"
    headless = text(live, "spec", "clusterIP") == "None"
    if external or headless or not mapping(live, "spec", "selector"):
        return None
    slices = client.items(
        f"/apis/discovery.k8s.io/v1/namespaces/{namespace_of(live)}/endpointslices",
        {"labelSelector": f"kubernetes.io/service-name={name_of(live)}"},
    )
    if not slices:
        return Pending("its endpoints aren't made yet")
    states = [mapping(endpoint, "conditions") for item in slices for endpoint in mappings(item, "endpoints")]
    # Endpoints that aren't there yet aren't waited for: a Deployment may come after its Service.
    unready = sum(state.get("ready") is False and state.get("terminating") is not True for state in states)
    return Pending(f"{unready} of its {len(states)} pods aren't ready") if unready else None


def _definition(_client: Client, live: Properties) -> Pending | None:
    if condition(live, "Established").get("status") == "True":
        return None
    names = condition(live, "NamesAccepted")
    refused = names.get("status") == "False"
    return Pending(_said(names) if refused else "the definition isn't established yet", final=refused)


def _api_service(_client: Client, live: Properties) -> Pending | None:
    available = condition(live, "Available")
    return None if available.get("status") == "True" else Pending(_said(available) or "it isn't available yet")


_CHECKS: Final[dict[tuple[str, str], _Check]] = {
    ("", "Namespace"): _namespace,
    ("", "PersistentVolume"): _volume,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Pod"): _pod,
    ("", "ResourceQuota"): _quota,
    ("", "Secret"): _secret,
    ("", "Service"): _service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apiregistration.k8s.io", "APIService"): _api_service,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
}


def _observed(live: Properties) -> bool:
    return _count(live, "status", "observedGeneration") >= _count(live, "metadata", "generation")


def _count(live: Properties, *path: str, default: int = 0) -> int:
    found = number(live, *path)
    return default if found is None else found


def _said(entry: Properties) -> str:
    reason, message = text(entry, "reason"), text(entry, "message")
    return f"{reason}: {message}" if reason and message else reason or message
