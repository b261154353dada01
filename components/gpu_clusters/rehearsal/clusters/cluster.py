"""One cluster of a rehearsal: a sandbox, its pools, and the controllers that play the cloud in it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gpu_clusters.controlplane import Sandbox
from gpu_clusters.errors import OperationError
from gpu_clusters.kube.client import Client
from gpu_clusters.kube.kubeconfig import parse
from gpu_clusters.rehearsal.clusters.admission import not_admitted
from gpu_clusters.rehearsal.clusters.autoscaler import Autoscaler
from gpu_clusters.rehearsal.clusters.controllers import CloudControllers
from gpu_clusters.rehearsal.clusters.leftovers import leftovers
from gpu_clusters.rehearsal.clusters.planning import Plan
from gpu_clusters.rehearsal.clusters.pool import Patience, Pool
from gpu_clusters.rehearsal.clusters.verdicts import Verdicts, is_waiting, pending
from gpu_clusters.rehearsal.world import Journal, PendingPod, SimulatedPool

_PAUSE_SECONDS: Final = 0.5
_STOP_SECONDS: Final = 10.0
_NOT_RUNNING: Final = {"fieldSelector": "status.phase=Pending", "resourceVersion": "0"}
_MINOR: Final = re.compile(r"v?(\d+\.\d+)")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all clusters of a rehearsal share."""

    journal: Journal = field(default_factory=Journal)
    patience: Patience = field(default_factory=Patience)
    say: Callable[[str], None]


class SimulatedCluster:
    """A cluster of a rehearsal. Safe to use from many threads.

    Args:
        name: as the report calls it.
        sandbox: the name of the sandbox that plays it.
        server: the API server's URL as the cloud gave it.
        setting: what all clusters share.

    Raises:
        OperationError: the sandbox doesn't start.
    """

    def __init__(self, name: str, sandbox: str, server: str, setting: Setting) -> None:
        self.name = name
        self._setting = setting
        self._sandbox = Sandbox(sandbox)
        setting.say(f"starting the cluster {name}")
        self.version = self._sandbox.start().version or ""
        self.connection = parse(self._sandbox.kubeconfig())
        self._client = Client(self.connection)
        self._pools: dict[str, Pool] = {}
        self._pools_lock = threading.Lock()
        self.verdicts = Verdicts(setting.patience.hopeless)
        self._autoscaler = Autoscaler(name, self._client, self._pools, self._make_pool, setting.journal)
        self._controllers = CloudControllers(self._client, server)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"cluster {name}", daemon=True)
        self._thread.start()

    def set_pool(self, wanted: SimulatedPool) -> SimulatedPool:
        """See `World.set_pool`."""
        with self._pools_lock:
            pool = self._pools.get(wanted.name) or self._make_pool(wanted)
            self._pools[wanted.name] = pool
        with self.verdicts.working():
            return pool.set(wanted)

    def delete_pool(self, name: str) -> None:
        """See `World.delete_pool`."""
        with self._pools_lock:
            pool = self._pools.pop(name, None)
        if pool is not None:
            with self.verdicts.working():
                pool.empty()

    def pools(self) -> list[SimulatedPool]:
        """See `World.pools`."""
        with self._pools_lock:
            return [pool.shown for pool in self._pools.values()]

    def pending(self) -> list[PendingPod]:
        """Every pod that neither runs nor has ended well, and every pod that wasn't admitted."""
        return pending(self._client, self.name)

    def note_leftovers(self) -> None:
        """Write down what of the cloud's its objects hold."""
        self._autoscaler.follow_node_pools()
        for leftover in leftovers(self._client, self.name, self._autoscaler.node_pools):
            self._setting.journal.note(leftover)

    def stop(self) -> None:
        """End it, and delete its sandbox."""
        self._over.set()
        self._client.cancel()
        self._thread.join(_STOP_SECONDS)
        self._sandbox.stop(delete_data=True)

    def _make_pool(self, wanted: SimulatedPool) -> Pool:
        return Pool(wanted, self.name, self._client, self._setting.journal, self._setting.patience.drain)

    def _run(self) -> None:
        while not self._over.wait(_PAUSE_SECONDS):
            try:
                self._round()
            except OperationError as error:
                # What failed is tried again; somebody may have deleted an object in between.
                if not self._over.is_set():
                    self._setting.say(f"the cluster {self.name}: {error}")

    def _round(self) -> None:
        self._controllers.act()
        self._autoscaler.follow_node_pools()
        waiting = [pod for pod in self._client.items("/api/v1/pods", _NOT_RUNNING) if is_waiting(pod)]
        decided = self._autoscaler.scale(waiting) if waiting else Plan()
        self.verdicts.judge(waiting, decided, not_admitted(self._client))


def minor(version: str) -> str:
    """`1.36` of `v1.36.3`."""
    found = _MINOR.match(version)
    return found[1] if found else ""
