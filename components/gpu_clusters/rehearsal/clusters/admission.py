"""Pods that a quota or an admission policy keeps from being made: there is nothing but what wants to make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gpu_clusters.kube.client import Client
from gpu_clusters.kube.objects import mappings, number, text

_EVENTS: Final = {"fieldSelector": "reason=FailedCreate,type=Warning"}
_FROM_CACHE: Final = {"resourceVersion": "0"}


@dataclass(frozen=True, slots=True)
class _Maker:
    """A kind that makes pods: where its objects live, and the fields that say how many it wants and has."""

    path: str
    wanted: tuple[str, ...]
    made: tuple[tuple[str, ...], ...]


_MAKERS: Final[Mapping[str, _Maker]] = {
    "DaemonSet": _Maker(
        "/apis/apps/v1/daemonsets", ("status", "desiredNumberScheduled"), (("status", "currentNumberScheduled"),)
    ),
    "Job": _Maker(
        "/apis/batch/v1/jobs",
        ("spec", "parallelism"),
        (("status", "active"), ("status", "succeeded"), ("status", "failed")),
    ),
    "ReplicaSet": _Maker("/apis/apps/v1/replicasets", ("spec", "replicas"), (("status", "replicas"),)),
    "StatefulSet": _Maker("/apis/apps/v1/statefulsets", ("spec", "replicas"), (("status", "replicas"),)),
}


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """Something that lacks pods since they are refused.

    Attributes:
        uids: its own and its owners', such as the Deployment's of a ReplicaSet.
        name: with its kind.
        words: the API server's.
    """

    uids: frozenset[str]
    namespace: str
    name: str
    words: str


def not_admitted(client: Client) -> list[NotAdmitted]:
    """What lacks pods at this moment since they were refused."""
    said: dict[str, str] = {}
    kinds: set[str] = set()
    for event in sorted(client.items("/api/v1/events", _EVENTS), key=_time):
        said[text(event, "involvedObject", "uid")] = f"{text(event, 'reason')}: {text(event, 'message')}"
        kinds.add(text(event, "involvedObject", "kind"))
    return [
        NotAdmitted(
            uids=frozenset([uid, *(text(owner, "uid") for owner in mappings(item, "metadata", "ownerReferences"))]),
            namespace=text(item, "metadata", "namespace"),
            name=f"{kind} {text(item, 'metadata', 'name')}",
            words=said[uid],
        )
        for kind in sorted(kinds & _MAKERS.keys())
        for item in client.items(_MAKERS[kind].path, _FROM_CACHE)
        if (uid := text(item, "metadata", "uid")) in said and _lacks_pods(item, _MAKERS[kind])
    ]


def _lacks_pods(item: Mapping[str, object], maker: _Maker) -> bool:
    return sum(number(item, *path) or 0 for path in maker.made) < (number(item, *maker.wanted) or 0)


def _time(event: Mapping[str, object]) -> str:
    return text(event, "lastTimestamp") or text(event, "eventTime")
