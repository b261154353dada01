"""Which cluster a provider's configuration means, and whether it is one of our sandboxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from gpu_clusters import _paths
from gpu_clusters.errors import OperationError
from gpu_clusters.kube.kubeconfig import Cluster, parse
from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.providers.values import Properties, reveal_all


def resolve(config: Properties) -> Cluster:
    """The cluster that a Provider's inputs mean, contexts and overrides applied.

    Raises:
        OperationError: no kubeconfig is given, or it can't be used.
    """
    config = reveal_all(config)
    kubeconfig = config.get("kubeconfig")
    if not isinstance(kubeconfig, str | dict) or not kubeconfig:
        raise OperationError(
            "the simulated kubernetes provider was given no kubeconfig; it never uses the ambient one",
            "give the Provider the kubeconfig of a sandbox (`gpu-clusters sandbox kubeconfig`)",
        )
    return parse(kubeconfig, context=text(config, "context"), cluster=text(config, "cluster"))


def meant(config: Properties) -> Cluster | None:
    """The cluster that a Provider's inputs mean, where a sandbox will stand in for it; None if they name none.

    It only has to be known by its server, so credentials don't matter, and neither does the check of its identity.

    Raises:
        OperationError: the kubeconfig can't be used.
    """
    config = reveal_all(config)
    kubeconfig = config.get("kubeconfig")
    if not isinstance(kubeconfig, str | dict) or not kubeconfig:
        return None
    return parse(kubeconfig, context=text(config, "context"), cluster=text(config, "cluster"), will_be_contacted=False)


def is_sandbox_kubeconfig(content: str) -> bool:
    """Whether a kubeconfig's current context is a cluster of one of this user's sandboxes.

    The sandbox's own kubeconfig on this machine is the proof: both the server's URL and the certificate authority have
    to be the same, so that neither a name nor a port can pass for one.
    """
    try:
        cluster = parse(content)
    except OperationError:
        return False
    return any(own.server == cluster.server and own.authority == cluster.authority for own in _sandboxes())


def moved(cluster: Cluster) -> Cluster:
    """The same sandbox at the address that it has now: it may have been given another port since."""
    for own in _sandboxes() if _is_on_loopback(cluster) else ():
        if own.authority and own.authority == cluster.authority and own.server != cluster.server:
            content = cluster.content.replace(cluster.server, own.server)
            return replace(cluster, server=own.server, content=content)
    return cluster


def is_deleted_sandbox(cluster: Cluster) -> bool:
    """Whether this was a sandbox whose data is gone: none on this machine has its authority any more."""
    named = bool(cluster.sandbox) and _is_on_loopback(cluster)
    return named and all(own.authority != cluster.authority for own in _sandboxes())


def _is_on_loopback(cluster: Cluster) -> bool:
    return urlsplit(cluster.server).hostname in {"127.0.0.1", "localhost", "::1"}


def _sandboxes() -> Iterator[Cluster]:
    # A sandbox that is being made or deleted has a folder whose name starts with a dot.
    for path in sorted((_paths.state_dir() / "sandboxes").glob("[!.]*/kubeconfig")):
        try:
            yield parse(path.read_text("utf-8"))
        except (OperationError, OSError, ValueError):
            # One that is being written, or was damaged, proves nothing.
            continue
