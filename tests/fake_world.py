"""The clusters of a rehearsal, as lists: what a simulated cloud asked for, and nothing that runs."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.kubeconfig import Cluster
from gpu_clusters.rehearsal.world import Journal, SimulatedPool


class FakeWorld:
    """A `World` that keeps what it is told."""

    def __init__(self) -> None:
        self._journal = Journal()
        self.clusters: dict[str, str] = {}
        self.versions: list[str] = []
        self.kept: dict[str, dict[str, SimulatedPool]] = {}
        self.said: list[SimulatedPool] = []

    @property
    def journal(self) -> Journal:
        return self._journal

    @property
    def unchecked(self) -> set[str]:
        return {entry.resource for entry in self._journal.unchecked}

    def create_cluster(self, server: str, *, name: str, kubernetes_version: str) -> None:
        self.clusters[server] = name
        self.versions.append(kubernetes_version)
        self.kept.setdefault(server, {})

    def delete_cluster(self, server: str) -> None:
        self.clusters.pop(server, None)
        self.kept.pop(server, None)

    def authority(self, server: str) -> str:
        return base64.b64encode(f"authority of {self.clusters[server]}".encode()).decode()

    def set_pool(self, server: str, pool: SimulatedPool) -> SimulatedPool:
        self.said.append(pool)
        self.kept[server][pool.name] = pool
        return pool

    def delete_pool(self, server: str, name: str) -> None:
        self.kept[server].pop(name, None)

    def pools(self, server: str) -> Sequence[SimulatedPool]:
        return tuple(self.kept.get(server, {}).values())

    def connect(self, wanted: Cluster | None) -> Cluster:
        raise OperationError(f"nothing connects to {wanted}", "")
