"""What simulated clouds and the rehearsal tell each other: clusters, pools of nodes, and what is worth a report.

A simulated cloud provider says which clusters and pools there are (`World`); the rehearsal plays them, each cluster as
a sandbox of its own, and writes down what happens (`Journal`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from gpu_clusters.kube.kubeconfig import Cluster

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTaint:
    """A taint as Kubernetes spells it."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTemplate:
    """What every node of a pool is like.

    Attributes:
        labels: all of them, save those that every kubelet sets (hostname, os) and `topologies`.
        taints: all of them.
        capacity: by resource name, with Kubernetes's quantities: `cpu`, `memory`, `nvidia.com/gpu`, ...
        topologies: labels that differ from node to node, e.g. its zone; nodes take them in turn. May be empty.
        kubernetes_version: of the kubelet, e.g. `1.35`.
        image: what the machine image is called, e.g. the AMI release; a change of it rolls the pool.
    """

    labels: Mapping[str, str]
    capacity: Mapping[str, str]
    taints: Sequence[NodeTaint] = ()
    topologies: Sequence[Mapping[str, str]] = ()
    kubernetes_version: str = ""
    image: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPool:
    """A pool of nodes as a cloud keeps it.

    Attributes:
        name: unique in its cluster, as the report calls it, e.g. `node group inference-train`.
        node_prefix: what its nodes' names begin with.
        minimum, maximum, desired: numbers of nodes.
        autoscaled: whether an autoscaler may change `desired` between the two others.
        max_unavailable: how many nodes an update takes down at once.
        surge: how many nodes beyond `desired` an update adds before it takes old ones away, also above `maximum` where
            the cloud lifts that meanwhile; 0 where it gets by with what is there.
    """

    name: str
    node_prefix: str
    minimum: int
    maximum: int
    desired: int
    template: NodeTemplate
    autoscaled: bool = True
    max_unavailable: int = 1
    surge: int = 1


class World(Protocol):
    """The clusters of a rehearsal. A cluster is known by its API server's URL, as the cloud would give it.

    Safe to use from many threads. Every method raises OperationError for what can't be done.
    """

    @property
    def journal(self) -> Journal:
        """What is written down for the report."""
        ...

    def create_cluster(self, server: str, *, name: str, kubernetes_version: str) -> None:
        """Bring a cluster up and wait until its API server answers. `name`: as the report calls it."""
        ...

    def delete_cluster(self, server: str) -> None:
        """Take it down; what of the cloud's its objects still hold is a leftover. Gone already is a success."""
        ...

    def authority(self, server: str) -> str:
        """The cluster's certificate authority as a kubeconfig has it: PEM, base64."""
        ...

    def set_pool(self, server: str, pool: SimulatedPool) -> SimulatedPool:
        """Make the pool so and wait until its nodes are Ready.

        A pool that is there keeps its number of nodes where that is within bounds and `desired` was not changed. New
        labels and taints go to the nodes that there are. Any other new template rolls the pool: node by node
        (`max_unavailable`), each drained by evictions, which PodDisruptionBudgets may block; that, the peak and the
        gap go to the journal.

        Raises:
            OperationError: a budget blocks a drain for longer than the cloud would wait.
        """
        ...

    def delete_pool(self, server: str, name: str) -> None:
        """Drain and remove its nodes. Gone already is a success."""
        ...

    def pools(self, server: str) -> Sequence[SimulatedPool]:
        """The pools of a cluster, `desired` as it is now."""
        ...

    def connect(self, wanted: Cluster | None) -> Cluster:
        """The sandbox that stands in for the cluster of a kubeconfig; None for a program that names none.

        A server that nobody has made is one that exists outside the program: it gets an empty sandbox of its own.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingPod:
    """A pod that isn't scheduled, or doesn't run. `reason`: the scheduler's own words."""

    cluster: str
    namespace: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """A pool that was scaled because pods were Pending."""

    cluster: str
    pool: str
    before: int
    after: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How a pool was changed to another machine image, version or template.

    Attributes:
        nodes: before it began.
        peak: the most nodes that there were at once. Above the maximum, the update needs capacity that a pool of fixed
            capacity doesn't have.
        lowest: the fewest Ready nodes at once; `nodes - lowest` is the gap in capacity.
        blocked: drains that a PodDisruptionBudget refused, in the API server's words.
    """

    cluster: str
    pool: str
    nodes: int
    maximum: int
    peak: int
    lowest: int
    blocked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """Something that was accepted without being checked, or not in full."""

    resource: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that costs money and that a destroy of the stack would leave behind at the cloud."""

    kind: Literal["loadBalancer", "volume", "networkInterface", "other"]
    name: str
    reason: str


@dataclass(slots=True)
class Journal:
    """What happens in a rehearsal, written down from many threads. Nothing but a roll-out stands in it twice."""

    scaled: list[Scaled] = field(default_factory=list[Scaled])
    rollouts: list[Rollout] = field(default_factory=list[Rollout])
    unchecked: list[Unchecked] = field(default_factory=list[Unchecked])
    leftovers: list[Leftover] = field(default_factory=list[Leftover])
    simulated: list[str] = field(default_factory=list[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, entry: Scaled | Rollout | Unchecked | Leftover) -> None:
        """Write something down."""
        match entry:
            case Scaled():
                self._add(self.scaled, entry)
            case Rollout():
                # Two of the same pool may go alike.
                with self._lock:
                    self.rollouts.append(entry)
            case Unchecked():
                self._add(self.unchecked, entry)
            case Leftover():
                self._add(self.leftovers, entry)

    def answered(self, lookup: str) -> None:
        """A lookup that got a simulated answer, e.g. `aws:index/getCallerIdentity:getCallerIdentity`."""
        self._add(self.simulated, lookup)

    def _add(self, entries: list[T], entry: T) -> None:
        with self._lock:
            if entry not in entries:
                entries.append(entry)
