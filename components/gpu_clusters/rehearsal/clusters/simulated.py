"""SimulatedWorld: the clusters of a rehearsal, each a sandbox of its own."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final

from gpu_clusters._paths import STATE_VARIABLE
from gpu_clusters.controlplane import Sandbox, sandboxes
from gpu_clusters.errors import OperationError
from gpu_clusters.kube.kubeconfig import Cluster, parse
from gpu_clusters.rehearsal.clusters.cluster import Setting, SimulatedCluster, minor
from gpu_clusters.rehearsal.clusters.pool import Patience
from gpu_clusters.rehearsal.world import Journal, PendingPod, SimulatedPool, Unchecked

#: The cluster of programs that name none.
_AMBIENT: Final = ""
#: What stands for the server of a sandbox that the program reaches by its own kubeconfig.
_SANDBOX: Final = "sandbox:"
_AT_ONCE: Final = 4
_NAME_LENGTH: Final = 40


class SimulatedWorld:
    """The clusters of one rehearsal; implements `World`. A context manager: at its end every sandbox is gone.

    Args:
        state_dir: a folder of the rehearsal's own, for its sandboxes. It is the state folder of the whole process
            (`GPU_CLUSTERS_STATE_DIR`) as long as the rehearsal lasts, so that programs with a SandboxCluster find the
            rehearsal's sandboxes and no others.
        say: told in a few words what is being done.
        patience: how long drains and hopeless pods are waited for.
    """

    def __init__(self, state_dir: Path, say: Callable[[str], None], patience: Patience | None = None) -> None:
        self._state_dir = state_dir
        self._setting = Setting(say=say, patience=patience or Patience())
        self._lock = threading.Lock()
        self._clusters: dict[str, Future[SimulatedCluster]] = {}
        self._names: set[str] = set()
        self._deleted: dict[str, str] = {}
        self._before: str | None = None

    def __enter__(self) -> SimulatedWorld:
        self._before = os.environ.get(STATE_VARIABLE)
        os.environ[STATE_VARIABLE] = str(self._state_dir)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stop_all()
        finally:
            os.environ.pop(STATE_VARIABLE)
            if self._before is not None:
                os.environ[STATE_VARIABLE] = self._before

    @property
    def journal(self) -> Journal:
        """What is written down for the report."""
        return self._setting.journal

    def start_sandbox(self, name: str) -> str:
        """Start a sandbox for programs that read its kubeconfig themselves (SandboxCluster); the kubeconfig."""
        self._made(f"{_SANDBOX}{name}", name, sandbox=name)
        return Sandbox(name).kubeconfig()

    def create_cluster(self, server: str, *, name: str, kubernetes_version: str) -> None:
        """See `World.create_cluster`."""
        cluster = self._made(server, name)
        if kubernetes_version and minor(kubernetes_version) != minor(cluster.version):
            self.journal.note(
                Unchecked(
                    resource=name,
                    reason=f"its objects went to an API server of Kubernetes {cluster.version.removeprefix('v')}, "
                    f"since the rehearsal has none of {kubernetes_version}",
                )
            )

    def delete_cluster(self, server: str) -> None:
        """See `World.delete_cluster`."""
        with self._lock:
            found = self._clusters.pop(server, None)
        if found is None:
            return
        cluster = found.result()
        with self._lock:
            self._deleted[server] = cluster.name
        try:
            cluster.note_leftovers()
        finally:
            cluster.stop()

    def authority(self, server: str) -> str:
        """See `World.authority`."""
        return base64.b64encode(self._known(server).connection.authority).decode()

    def set_pool(self, server: str, pool: SimulatedPool) -> SimulatedPool:
        """See `World.set_pool`."""
        return self._known(server).set_pool(pool)

    def delete_pool(self, server: str, name: str) -> None:
        """See `World.delete_pool`."""
        with self._lock:
            is_gone = server not in self._clusters
        if not is_gone:
            self._known(server).delete_pool(name)

    def pools(self, server: str) -> Sequence[SimulatedPool]:
        """See `World.pools`."""
        return self._known(server).pools()

    def connect(self, wanted: Cluster | None) -> Cluster:
        """See `World.connect`."""
        if wanted is None:
            return self._existing(_AMBIENT, "ambient", "the cluster of the ambient kubeconfig").connection
        own = self._own_sandbox(wanted)
        if own is not None:
            return replace(own.connection, namespace=wanted.namespace)
        with self._lock:
            is_known = wanted.server in self._clusters
            deleted = self._deleted.get(wanted.server)
        if deleted:
            raise OperationError(f"the cluster {deleted} was deleted", "create it again before what is in it")
        cluster = self._known(wanted.server) if is_known else self._existing(wanted.server, "existing", wanted.server)
        return replace(cluster.connection, namespace=wanted.namespace)

    def changed(self, server: str) -> None:
        """The program has changed something in the cluster that plays there; `server` is the sandbox's own."""
        for cluster in self._all():
            if cluster.connection.server == server:
                cluster.verdicts.changed()

    def hopeless(self, server: str) -> Mapping[str, str]:
        """What waits in vain in the cluster that plays there: words by uid; `server` is the sandbox's own."""
        for cluster in self._all():
            if cluster.connection.server == server:
                return cluster.verdicts.hopeless
        return {}

    def pending(self) -> list[PendingPod]:
        """Every pod that neither runs nor has ended well, in all clusters, with the reason."""
        return [pod for cluster in self._all() for pod in cluster.pending()]

    def note_leftovers(self) -> None:
        """Write down what the clusters that are still there hold of the cloud's: for the end of a destroy."""
        for cluster in self._all():
            cluster.note_leftovers()

    def _existing(self, server: str, prefix: str, what: str) -> SimulatedCluster:
        cluster = self._made(server, prefix)
        reason = "it exists outside the program, so an empty cluster without nodes stands in for it"
        self.journal.note(Unchecked(resource=what, reason=reason))
        return cluster

    def _made(self, server: str, name: str, *, sandbox: str = "") -> SimulatedCluster:
        """The cluster of a server, which is made if it isn't there; whoever comes meanwhile waits for the same."""
        mine: Future[SimulatedCluster] = Future()
        with self._lock:
            there = self._clusters.setdefault(server, mine)
            if there is mine:
                self._deleted.pop(server, None)
                sandbox = sandbox or self._free_name(name)
                self._names.add(sandbox)
        if there is not mine:
            return there.result()
        try:
            mine.set_result(SimulatedCluster(name, sandbox, server, self._setting))
        except BaseException as error:
            with self._lock:
                self._clusters.pop(server, None)
            mine.set_exception(error)
            raise
        return mine.result()

    def _known(self, server: str) -> SimulatedCluster:
        with self._lock:
            found = self._clusters.get(server)
        if found is None:
            raise OperationError(f"there is no cluster at {server}", "create it first")
        return found.result()

    def _all(self) -> list[SimulatedCluster]:
        with self._lock:
            futures = list(self._clusters.values())
        return [future.result() for future in futures if future.done() and future.exception() is None]

    def _free_name(self, name: str) -> str:
        stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_NAME_LENGTH].strip("-") or "cluster"
        return next(name for name in _numbered(stem) if name not in self._names)

    def _own_sandbox(self, wanted: Cluster) -> SimulatedCluster | None:
        """The sandbox of this rehearsal that a kubeconfig names; both URL and authority must be its own."""
        for cluster in self._all():
            if _is_same(cluster.connection, wanted):
                return cluster
        for name in sandboxes():
            with contextlib.suppress(OperationError):
                if _is_same(parse(Sandbox(name).kubeconfig()), wanted):
                    return self._made(f"{_SANDBOX}{name}", name, sandbox=name)
        return None

    def _stop_all(self) -> None:
        with self._lock:
            futures = list(self._clusters.values())
            self._clusters.clear()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(_stop, futures))
        # One whose start was cut off has no cluster.
        for name in sandboxes():
            Sandbox(name).stop(delete_data=True)


def _is_same(one: Cluster, other: Cluster) -> bool:
    return (one.server, one.authority) == (other.server, other.authority)


def _stop(future: Future[SimulatedCluster]) -> None:
    # A start that failed has cleaned up after itself.
    if future.exception() is None:
        future.result().stop()


def _numbered(stem: str) -> Generator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1
