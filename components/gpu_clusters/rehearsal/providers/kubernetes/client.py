"""The API server as the provider uses it: where objects of a kind live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast
from urllib.parse import quote

from gpu_clusters.errors import OperationError
from gpu_clusters.kube import client
from gpu_clusters.kube.client import AWAY_SECONDS
from gpu_clusters.kube.kubeconfig import Cluster
from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.providers.kubernetes.objects import Kind, mappings
from gpu_clusters.rehearsal.providers.values import Properties


class UnknownKindError(OperationError):
    """The API server serves no such kind."""


@dataclass(frozen=True)
class Endpoint:
    """Where objects of a kind live on the server."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        """The URL's path of an object, or of all in a namespace."""
        scope = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        return f"{self.prefix}{scope}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")


class Watcher(Protocol):
    """Whoever plays the cloud around a cluster, and so knows which waiting is in vain. `server`: the API server's."""

    def changed(self, server: str) -> None:
        """Something may have been changed in the cluster."""
        ...

    def hopeless(self, server: str) -> Mapping[str, str]:
        """Why, by the uids of what will never be ready."""
        ...


class Client(client.Client):
    """One API server, its answers as property values. Safe to use from many threads.

    Args:
        cluster: which, and how to speak to it.
        watcher: who plays the cloud; default: nobody, so that all waiting goes on to its limit.
    """

    def __init__(self, cluster: Cluster, watcher: Watcher | None = None) -> None:
        super().__init__(cluster)
        self._watcher = watcher
        self._endpoints: dict[Kind, Endpoint] = {}

    def endpoint(self, kind: Kind, *, patience: float = AWAY_SECONDS) -> Endpoint:
        """Where a kind lives; asked of the server once, and again while it isn't known.

        Raises:
            UnknownKindError: the server doesn't serve it.
        """
        key = Kind(kind.group, kind.version, kind.name)
        if key not in self._endpoints:
            self._discover(kind.group, kind.version, patience)
        if key not in self._endpoints:
            raise UnknownKindError(
                f"the API server serves no {kind}",
                "create its CustomResourceDefinition first (`depends_on`), or correct the apiVersion",
            )
        return self._endpoints[key]

    def get(self, path: str, *, patience: float = AWAY_SECONDS) -> Properties | None:
        return cast("Properties | None", super().get(path, patience=patience))

    def items(self, path: str, query: Mapping[str, str], *, patience: float = AWAY_SECONDS) -> list[Properties]:
        return cast("list[Properties]", super().items(path, query, patience=patience))

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        *,
        content_type: str = "application/json",
        patience: float = AWAY_SECONDS,
    ) -> Properties:
        answer = super().request(method, path, query, body, content_type=content_type, patience=patience)
        if self._watcher is not None and method != "GET":
            self._watcher.changed(self.server)
        return cast("Properties", answer)

    def hopeless(self) -> Mapping[str, str]:
        """Why, by the uids of what will never be ready as things are; nothing where nobody can know."""
        return self._watcher.hopeless(self.server) if self._watcher is not None else {}

    def _discover(self, group: str, version: str, patience: float) -> None:
        prefix = f"/apis/{group}/{version}" if group else f"/api/{version}"
        for resource in mappings(self.get(prefix, patience=patience) or {}, "resources"):
            plural, name = text(resource, "name"), text(resource, "kind")
            if "/" not in plural:
                endpoint = Endpoint(prefix, plural, resource.get("namespaced") is True)
                self._endpoints[Kind(group, version, name)] = endpoint
