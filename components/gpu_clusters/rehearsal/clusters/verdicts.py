"""Which pods wait in vain, so that a rehearsal needn't wait for them as long as a deployment would."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from gpu_clusters.kube.client import Client
from gpu_clusters.kube.objects import condition, mappings, text
from gpu_clusters.rehearsal.clusters.admission import NotAdmitted, not_admitted
from gpu_clusters.rehearsal.clusters.planning import Plan, Pod
from gpu_clusters.rehearsal.world import PendingPod

# Where the scheduler may only not have got round to it: it lets refused pods rest for up to 10 s.
_LONGER: Final = 3
_DONE: Final = frozenset({"Running", "Succeeded"})


class Verdicts:
    """What is known about the pods of one cluster that wait.

    A pod is hopeless when the scheduler refuses it, no pool can serve it, and nothing has changed in the cluster for a
    while: other steps of the same deployment may still bring pools.

    Args:
        patience: that while, in seconds.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._changed = time.monotonic()
        self._busy = 0
        self._lock = threading.Lock()
        self._first_seen: dict[str, float] = {}
        self._hopeless: dict[str, str] = {}

    @property
    def hopeless(self) -> Mapping[str, str]:
        """The cluster's words by the uids of pods that wait in vain, and of what can't make its pods."""
        return self._hopeless

    def changed(self) -> None:
        """Something happened that may help a pod."""
        self._changed = time.monotonic()

    @contextmanager
    def working(self) -> Generator[None]:
        """Nothing is hopeless meanwhile."""
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
            self.changed()

    def judge(self, waiting: Sequence[Pod], decided: Plan, refused: Sequence[NotAdmitted]) -> None:
        """Take in which pods wait, what the autoscaler could do for them, and which weren't admitted."""
        now = time.monotonic()
        words = {text(pod, "metadata", "uid"): refusal(pod) for pod in waiting}
        words |= {uid: item.words for item in refused for uid in item.uids}
        self._first_seen = {uid: self._first_seen.get(uid, now) for uid in words}
        if decided.nodes:
            self.changed()
        quiet = 0.0 if self._busy else now - self._changed
        slow = words.keys() & (decided.placed | decided.served)
        self._hopeless = {
            uid: said
            for uid, said in words.items()
            if min(quiet, now - self._first_seen[uid]) > self._patience * (_LONGER if uid in slow else 1)
        }


def refusal(pod: Pod) -> str:
    """What the scheduler says of a pod; empty if it doesn't refuse it."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False":
        return ""
    return f"{text(scheduled, 'reason')}: {text(scheduled, 'message')}"


def is_waiting(pod: Pod) -> bool:
    """Whether the scheduler refuses a pod, or is told not to look at it."""
    return bool(refusal(pod)) and not text(pod, "metadata", "deletionTimestamp")


def pending(client: Client, cluster: str) -> list[PendingPod]:
    """Every pod that neither runs nor has ended well, and every pod that wasn't admitted, with the reason."""
    found = [
        PendingPod(
            cluster=cluster,
            namespace=text(pod, "metadata", "namespace"),
            name=text(pod, "metadata", "name"),
            reason=refusal(pod) or _state(pod),
        )
        for pod in client.items("/api/v1/pods", {})
        if text(pod, "status", "phase") not in _DONE
    ]
    refused = [
        PendingPod(cluster=cluster, namespace=item.namespace, name=item.name, reason=item.words)
        for item in not_admitted(client)
    ]
    return [*found, *refused]


def _state(pod: Pod) -> str:
    for container in mappings(pod, "status", "initContainerStatuses") + mappings(pod, "status", "containerStatuses"):
        waiting = text(container, "state", "waiting", "reason")
        if waiting:
            message = text(container, "state", "waiting", "message")
            return f"container {text(container, 'name')}: {waiting}" + (f": {message}" if message else "")
    status = [text(pod, "status", key) for key in ("phase", "reason", "message")]
    return ": ".join(filter(None, status)) or "not scheduled yet"
