"""The cluster autoscaler of one simulated cluster: node groups and Karpenter's NodePools, only ever upwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from gpu_clusters.kube.client import Client
from gpu_clusters.kube.objects import condition, mapping, mappings, text, texts
from gpu_clusters.rehearsal.clusters import karpenter
from gpu_clusters.rehearsal.clusters.fitting import Place, requests, without
from gpu_clusters.rehearsal.clusters.planning import Offer, Plan, Pod, plan
from gpu_clusters.rehearsal.clusters.pool import Pool
from gpu_clusters.rehearsal.clusters.quantities import amounts, total
from gpu_clusters.rehearsal.world import Journal, NodeTaint, NodeTemplate, Scaled, SimulatedPool

# The scheduler tries a pod that it has refused again after 10 s at the latest (kube-scheduler, `podMaxBackoffSeconds`).
_BACKOFF_SECONDS: Final = 12.0
_APART: Final = ("anti-affinity", "topology spread")
_FROM_CACHE: Final = {"resourceVersion": "0"}


class Autoscaler:
    """Scales the pools of one cluster.

    Args:
        cluster: as the report calls it.
        client: the cluster's.
        pools: all of them by name; NodePools are added to them.
        make: makes a pool.
        journal: where it is written down.
    """

    def __init__(
        self,
        cluster: str,
        client: Client,
        pools: dict[str, Pool],
        make: Callable[[SimulatedPool], Pool],
        journal: Journal,
    ) -> None:
        self._cluster, self._client, self._pools, self._make, self._journal = cluster, client, pools, make, journal
        self._served: dict[str, float] = {}
        self._node_pools: dict[str, Pool] = {}

    def scale(self, waiting: Sequence[Pod]) -> Plan:
        """Add the nodes that pods wait for, and return when they are Ready.

        Returns:
            What was decided, and so which pods no node will ever fit as things are.
        """
        with ExitStack() as locks:
            offers = [*self._group_offers(locks), *self._node_pool_offers(locks)]
            alone = {text(pod, "metadata", "uid") for pod in waiting if _is_kept_apart(pod)}
            now = time.monotonic()
            recently = {uid for uid in alone if now - self._served.get(uid, -_BACKOFF_SECONDS) < _BACKOFF_SECONDS}
            asking = [pod for pod in waiting if text(pod, "metadata", "uid") not in recently]
            decided = plan(asking, self._places(), offers, self._daemons(), alone)
            self._served.update(dict.fromkeys(decided.served, now))
            decided.placed |= recently
            self._carry_out(decided, offers)
        return decided

    def follow_node_pools(self) -> None:
        """Take up NodePools that are new, and drain and remove the nodes of those that are gone."""
        names = {karpenter.pool_name(text(item, "metadata", "name")) for item in karpenter.node_pools(self._client)}
        for name in names - self._node_pools.keys():
            prefix = name.rpartition(" ")[2]
            wanted = SimulatedPool(
                name=name,
                node_prefix=prefix,
                minimum=0,
                maximum=0,
                desired=0,
                template=NodeTemplate(labels={}, capacity={}),
                autoscaled=False,
            )
            self._pools[name] = self._node_pools[name] = self._make(wanted)
        for name in self._node_pools.keys() - names:
            self._node_pools.pop(name).empty()
            self._pools.pop(name, None)

    @property
    def node_pools(self) -> Mapping[str, Pool]:
        """The pools that stand for NodePools, by name."""
        return dict(self._node_pools)

    def _group_offers(self, locks: ExitStack) -> list[Offer]:
        offers: list[Offer] = []
        for pool in list(self._pools.values()):
            if pool.shown.autoscaled and _is_free(pool, locks):
                shown = pool.shown
                room = shown.maximum - shown.desired
                offers.append(Offer(pool=shown.name, template=shown.template, room=room))
        return offers

    def _node_pool_offers(self, locks: ExitStack) -> list[Offer]:
        offers: list[Offer] = []
        for item in karpenter.node_pools(self._client):
            pool = self._node_pools.get(karpenter.pool_name(text(item, "metadata", "name")))
            if pool is not None and _is_free(pool, locks):
                offers += karpenter.offers(self._client, item, pool.templates)
        return offers

    def _carry_out(self, decided: Plan, offers: Sequence[Offer]) -> None:
        for index, count in decided.nodes.items():
            offer = offers[index]
            pool = self._pools[offer.pool]
            before = pool.shown.desired
            pool.grow(before + count, offer.template)
            self._journal.note(
                Scaled(
                    cluster=self._cluster,
                    pool=offer.pool,
                    before=before,
                    after=before + count,
                    reason="pods were Pending for want of nodes",
                )
            )

    def _places(self) -> list[Place]:
        """The nodes that take pods, with what is free on them."""
        used: dict[str, list[Mapping[str, object]]] = {}
        for pod in self._client.items("/api/v1/pods", _FROM_CACHE):
            if text(pod, "status", "phase") not in ("Succeeded", "Failed"):
                used.setdefault(text(pod, "spec", "nodeName"), []).append(mapping(pod, "spec"))
        return [
            Place(
                texts(node, "metadata", "labels"),
                _taints(node),
                without(
                    amounts(mapping(node, "status", "allocatable")),
                    total(requests(spec) for spec in used.get(text(node, "metadata", "name"), ())),
                ),
                text(node, "metadata", "name"),
            )
            for node in self._client.items("/api/v1/nodes", _FROM_CACHE)
            if mapping(node, "spec").get("unschedulable") is not True
            and condition(node, "Ready").get("status") == "True"
        ]

    def _daemons(self) -> list[Mapping[str, object]]:
        found = self._client.items("/apis/apps/v1/daemonsets", _FROM_CACHE)
        return [mapping(item, "spec", "template", "spec") for item in found]


def _is_free(pool: Pool, locks: ExitStack) -> bool:
    """Whether nobody else changes a pool now; if so, nobody does until the locks are given back."""
    if not pool.lock.acquire(blocking=False):
        return False
    locks.callback(pool.lock.release)
    return True


def _is_kept_apart(pod: Pod) -> bool:
    """Whether the scheduler keeps a pod off nodes with room, so that only another node helps."""
    message = text(condition(pod, "PodScheduled"), "message")
    return any(words in message for words in _APART)


def _taints(node: Mapping[str, object]) -> list[NodeTaint]:
    return [
        NodeTaint(key=text(taint, "key"), value=text(taint, "value"), effect=text(taint, "effect"))
        for taint in mappings(node, "spec", "taints")
    ]
