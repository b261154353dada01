"""One pool of one cluster: its nodes now, and how their number and template change."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.client import Client
from gpu_clusters.rehearsal.clusters.draining import drain
from gpu_clusters.rehearsal.clusters.nodes import Nodes
from gpu_clusters.rehearsal.world import Journal, NodeTemplate, Rollout, SimulatedPool

_DRAINS_AT_ONCE: Final = 8
# What a label value takes (Kubernetes documentation, "Labels and Selectors"), less a number.
_PREFIX_LENGTH: Final = 55
# The cloud ends a machine that it takes away whether or not the drain has succeeded, and nobody waits for it here.
_REMOVAL_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the rehearsal waits where a cloud waits for many minutes, in seconds.

    Attributes:
        drain: without progress, until a drain is given up. EKS gives up after 15 minutes (EKS user guide, "Understand
            each phase of node updates").
        hopeless: with no change anywhere in the cluster, until a pod that can't be scheduled is given up.
    """

    drain: float = 10.0
    hopeless: float = 8.0


class Pool:
    """A pool and its nodes. Safe to use from many threads: what changes it has its lock."""

    def __init__(self, wanted: SimulatedPool, cluster: str, client: Client, journal: Journal, patience: float) -> None:
        self.lock = threading.RLock()
        self._asked = replace(wanted, desired=0)
        self._cluster, self._client, self._journal, self._patience = cluster, client, journal, patience
        self._nodes = Nodes(client)
        self._members: dict[str, NodeTemplate] = {}
        self._made = 0

    @property
    def shown(self) -> SimulatedPool:
        """The pool as it was asked for last, with the number of nodes that it has now."""
        return replace(self._asked, desired=len(self._members))

    @property
    def members(self) -> frozenset[str]:
        """The names of its nodes."""
        return frozenset(self._members)

    @property
    def templates(self) -> list[NodeTemplate]:
        """What its nodes are like, one entry for each."""
        return list(self._members.values())

    def set(self, wanted: SimulatedPool) -> SimulatedPool:
        """Make it so; see `World.set_pool`. The number of nodes stays, unless another one is asked for."""
        with self.lock:
            is_new = self._made == 0 and not self._members
            count = wanted.desired if is_new or wanted.desired != self._asked.desired else len(self._members)
            count = max(wanted.minimum, min(wanted.maximum, count))
            self._asked = wanted
            self._shrink(count)
            self._relabel()
            self._roll()
            self.grow(count)
            return self.shown

    def grow(self, count: int, template: NodeTemplate | None = None) -> None:
        """Add nodes until there are so many, of the pool's template or another one."""
        with self.lock:
            wanted: dict[str, tuple[NodeTemplate, int]] = {}
            for _ in range(count - len(self._members)):
                prefix = self._asked.node_prefix[:_PREFIX_LENGTH].rstrip("-.")
                wanted[f"{prefix}-{self._made}"] = (template or self._asked.template, self._made)
                self._made += 1
            # They count from here on, also where one of them fails to come up.
            self._members.update({name: own for name, (own, _) in wanted.items()})
            if wanted:
                self._nodes.add(wanted)

    def empty(self) -> None:
        """Drain and remove all nodes."""
        with self.lock:
            self._shrink(0)

    def _shrink(self, count: int) -> None:
        surplus = len(self._members) - count
        if surplus > 0:
            # Those of an old template first, then the newest.
            old = [name for name in self._members if self._is_old(name)]
            new = [name for name in self._members if name not in old]
            leaving = [*old, *reversed(new)][:surplus]
            self._drain(leaving, min(self._patience, _REMOVAL_SECONDS))
            self._remove(leaving)

    def _is_old(self, name: str) -> bool:
        return self._members[name] != self._asked.template

    def _relabel(self) -> None:
        """Give nodes new labels and taints where nothing else differs: no machine is replaced for that.

        Source: EKS API reference, UpdateNodegroupConfig.
        """
        wanted = self._asked.template
        for name, old in self._members.items():
            if old != wanted and replace(old, labels=wanted.labels, taints=wanted.taints) == wanted:
                self._nodes.relabel(name, old, wanted)
                self._members[name] = wanted

    def _roll(self) -> None:
        """Replace nodes of another template, with at most `surge` nodes more than there are."""
        count = len(self._members)
        if not any(self._is_old(name) for name in self._members):
            return
        surge = self._asked.surge
        peak = lowest = count
        blocked: tuple[str, ...] = ()
        while old := [name for name in self._members if self._is_old(name)]:
            new = len(self._members) - len(old)
            self.grow(len(self._members) + min(count - new, count + surge - len(self._members)))
            peak = max(peak, len(self._members))
            leaving = old[: max(1, self._asked.max_unavailable)]
            blocked = self._drain(leaving, self._patience)
            if blocked:
                break
            self._remove(leaving)
            lowest = min(lowest, len(self._nodes.ready() & self._members.keys()))
        self._journal.note(
            Rollout(
                cluster=self._cluster,
                pool=self._asked.name,
                nodes=count,
                maximum=self._asked.maximum,
                peak=peak,
                lowest=lowest,
                blocked=blocked,
            )
        )
        if blocked:
            raise OperationError(
                f"PodEvictionFailure: {self._asked.name} can't be updated, since a node can't be drained",
                "give the workload's PodDisruptionBudget room for one pod less, or the workload one replica more",
                blocked,
            )
        self.grow(count)

    def _drain(self, names: Sequence[str], patience: float) -> tuple[str, ...]:
        """Drain nodes; those that can't be are given back to the scheduler. What blocked them."""
        for name in names:
            self._nodes.cordon(name)
        with ThreadPoolExecutor(_DRAINS_AT_ONCE) as pool:
            results = list(pool.map(partial(drain, self._client, patience=patience), names))
        for name, words in zip(names, results, strict=True):
            if words:
                self._nodes.cordon(name, unschedulable=False)
        return tuple(dict.fromkeys(line for words in results for line in words))

    def _remove(self, names: Collection[str]) -> None:
        self._nodes.remove(names)
        for name in names:
            del self._members[name]
