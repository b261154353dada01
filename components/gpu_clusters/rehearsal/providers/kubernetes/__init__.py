"""The simulated Kubernetes provider: the engine's `kubernetes` package against a sandbox's real API server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.kubeconfig import Cluster
from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.providers.diffing import differences
from gpu_clusters.rehearsal.providers.interface import Checked, ConfiguredProvider, Difference, PropertyChange
from gpu_clusters.rehearsal.providers.kubernetes.client import Client, Watcher
from gpu_clusters.rehearsal.providers.kubernetes.gone import GoneResources
from gpu_clusters.rehearsal.providers.kubernetes.helm import HelmReleases
from gpu_clusters.rehearsal.providers.kubernetes.kubeconfig import (
    is_deleted_sandbox,
    is_sandbox_kubeconfig,
    meant,
    moved,
    resolve,
)
from gpu_clusters.rehearsal.providers.kubernetes.releases import WithReleases
from gpu_clusters.rehearsal.providers.kubernetes.resources import KubernetesResources, Settings
from gpu_clusters.rehearsal.providers.values import Properties, has_unknown, reveal_all
from gpu_clusters.rehearsal.world import Journal

__all__ = ["SimulatedKubernetes", "is_sandbox_kubeconfig"]

_CLUSTER_FIELDS: Final = ("kubeconfig", "context", "cluster")
_IDENTIFIER: Final = "clusterIdentifier"


class KubernetesWorld(Watcher, Protocol):
    """The clusters of a rehearsal, as this provider uses them."""

    @property
    def journal(self) -> Journal:
        """What is written down for the report."""
        ...

    def connect(self, wanted: Cluster | None) -> Cluster:
        """The sandbox that stands in for the cluster of a kubeconfig; None for a program that names none."""
        ...


class SimulatedKubernetes:
    """Stands in for pulumi-kubernetes, with its names and rules, where the cluster is a sandbox of this machine.

    Args:
        allowed: whether the cluster of a kubeconfig may be touched. It is given the kubeconfig reduced to the one
            cluster that is meant. Default: only this user's sandboxes, by `is_sandbox_kubeconfig`.
        world: the clusters of a rehearsal. Then no kubeconfig is refused, and none is used: its server is never
            contacted, its plugins are never run, and there may be none. None outside a rehearsal, where Helm releases
            are refused.
    """

    name = "kubernetes"
    #: That of the pulumi_kubernetes release whose rules were followed.
    version = "4.34.2"

    def __init__(self, allowed: Callable[[str], bool] | None = None, *, world: KubernetesWorld | None = None) -> None:
        self._allowed = allowed or is_sandbox_kubeconfig
        self._world = world

    def check_config(self, inputs: Properties) -> Checked:
        """Accept what pulumi_kubernetes.Provider accepts; `configure` says what can't be used."""
        return Checked(inputs)

    def diff_config(self, old: Properties, new: Properties) -> Difference:
        """A new cluster replaces the provider and all that it made; anything else is an update.

        The cluster is told by `clusterIdentifier` where it is set before and after, else by the certificate authority
        (a sandbox has one of its own for life), else by the server's URL.
        """
        changes = differences(old, new)
        if not _is_other_cluster(reveal_all(old), reveal_all(new)):
            return Difference(changes)
        marked = (_IDENTIFIER, *_CLUSTER_FIELDS)
        return Difference(
            {
                path: PropertyChange(change.change, replaces=path.partition(".")[0] in marked)
                for path, change in changes.items()
            }
        )

    def configure(self, inputs: Properties) -> ConfiguredProvider:
        """Connect to the sandbox that the kubeconfig names.

        Raises:
            OperationError: there is no kubeconfig, or it isn't that of a sandbox of this user.
        """
        revealed = reveal_all(inputs)
        if self._world is not None:
            cluster = self._world.connect(meant(revealed))
            namespace = text(revealed, "namespace") or cluster.namespace
            client = Client(cluster, self._world)
            releases = HelmReleases(client, namespace, self._world.journal)
            return WithReleases(KubernetesResources(client, namespace, _settings(revealed)), releases)
        cluster = moved(resolve(revealed))
        namespace = text(revealed, "namespace") or cluster.namespace
        if not self._allowed(cluster.content):
            if is_deleted_sandbox(cluster):
                return GoneResources(cluster, namespace)
            raise OperationError(
                f"the simulated kubernetes provider won't touch {cluster.server}: it isn't a sandbox of this machine",
                "give the Provider the kubeconfig of a sandbox (`gpu-clusters sandbox kubeconfig`)",
            )
        return KubernetesResources(Client(cluster), namespace, _settings(revealed))


def _settings(config: Properties) -> Settings:
    return Settings(
        force=_is_set(config, "enablePatchForce"),
        upsert=_is_set(config, "upsertExistingObjects"),
        delete_unreachable=_is_set(config, "deleteUnreachable"),
    )


def _is_set(config: Properties, key: str) -> bool:
    # The engine writes a provider's inputs as JSON text, except those that are text already.
    return config.get(key) in (True, "true")


def _is_other_cluster(old: Properties, new: Properties) -> bool:
    was, comes = old.get(_IDENTIFIER), new.get(_IDENTIFIER)
    if was and comes:
        return was != comes
    if any(has_unknown(new.get(field)) for field in _CLUSTER_FIELDS):
        return True
    try:
        before, after = resolve(old), resolve(new)
    except OperationError:
        # One of the two is of no use: `configure` will say so.
        return False
    if before.authority and after.authority:
        return before.authority != after.authority
    return before.server != after.server
