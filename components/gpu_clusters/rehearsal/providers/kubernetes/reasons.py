"""Why an object isn't ready, in the cluster's own words: its pods' states, the scheduler's verdict, its warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.objects import number, text
from gpu_clusters.rehearsal.providers.kubernetes.client import Client
from gpu_clusters.rehearsal.providers.kubernetes.objects import condition, mapping, mappings, name_of, namespace_of
from gpu_clusters.rehearsal.providers.values import Properties

# A pod that is merely on its way says these; they explain nothing.
_UNDER_WAY: Final = frozenset({"ContainerCreating", "PodInitializing"})
_PATIENCE: Final = 2
_MOST: Final = 8


def reasons(client: Client, live: Properties) -> tuple[str, ...]:
    """Lines that say why, the most frequent first; none if the cluster says nothing, or isn't there."""
    try:
        lines = Counter(_pod_lines(client, live))
        return tuple(
            f"{line} ({count} pods)" if count > 1 else line for line, count in lines.most_common(_MOST)
        ) + tuple(_warnings(client, live))
    except OperationError:
        return ()


def _pod_lines(client: Client, live: Properties) -> Iterator[str]:
    for pod in [live] if live.get("kind") == "Pod" else pods_of(client, live):
        if condition(pod, "Ready").get("status") != "True" and text(pod, "status", "phase") != "Succeeded":
            yield from _pod_reasons(pod)


def pods_of(client: Client, live: Properties) -> list[Properties]:
    """The pods that an object selects."""
    selector = mapping(live, "spec", "selector")
    labels = mapping(selector, "matchLabels") or (selector if live.get("kind") == "Service" else {})
    if not labels or not namespace_of(live):
        return []
    query = ",".join(f"{key}={value}" for key, value in labels.items())
    return client.items(f"/api/v1/namespaces/{namespace_of(live)}/pods", {"labelSelector": query})


def _pod_reasons(pod: Properties) -> Iterator[str]:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        yield f"{text(scheduled, 'reason')}: {text(scheduled, 'message')}"
        return
    status = mapping(pod, "status")
    if text(status, "message"):
        yield f"{text(status, 'reason') or text(status, 'phase')}: {text(status, 'message')}"
    for container in mappings(status, "initContainerStatuses") + mappings(status, "containerStatuses"):
        yield from _container_reasons(container)


def _container_reasons(container: Properties) -> Iterator[str]:
    name = text(container, "name")
    waiting = mapping(container, "state", "waiting")
    ended = mapping(container, "state", "terminated") or mapping(container, "lastState", "terminated")
    if waiting and text(waiting, "reason") not in _UNDER_WAY:
        message = text(waiting, "message")
        yield f"container {name}: {text(waiting, 'reason')}" + (f": {message}" if message else "")
    code = number(ended, "exitCode")
    if code:
        restarts = number(container, "restartCount") or 0
        yield f"container {name} ended with exit code {code}, {restarts} restarts"


def _warnings(client: Client, live: Properties) -> list[str]:
    """The newest warning events about the object itself, which tell what admission refused of its pods."""
    namespace = namespace_of(live) or "default"
    events = client.items(
        f"/api/v1/namespaces/{namespace}/events",
        {"fieldSelector": f"involvedObject.uid={text(live, 'metadata', 'uid')},type=Warning"},
    )
    events.sort(key=lambda event: text(event, "lastTimestamp") or text(event, "eventTime"))
    lines = [f"{text(event, 'reason')}: {text(event, 'message')}" for event in events]
    return list(dict.fromkeys(reversed(lines)))[:3]


def why_not_gone(live: Properties) -> tuple[str, ...]:
    """What keeps an object that is being deleted: finalizers, and for a namespace what is left in it."""
    finalizers = mapping(live, "metadata").get("finalizers")
    named = [item for item in finalizers if isinstance(item, str)] if isinstance(finalizers, list) else []
    lines = [f"{name_of(live)} has the finalizers {', '.join(named)}"] if named else []
    lines += [
        f"{text(item, 'reason')}: {text(item, 'message')}"
        for item in mappings(live, "status", "conditions")
        if text(item, "type").startswith("Namespace") and item.get("status") == "True"
    ]
    return tuple(lines)
