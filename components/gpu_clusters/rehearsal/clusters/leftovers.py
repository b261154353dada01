"""What of the cloud's the objects of a cluster still hold when the cluster goes: it costs money, and nobody is left who
would delete it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from gpu_clusters.kube.client import Client
from gpu_clusters.kube.objects import mapping, text
from gpu_clusters.rehearsal.clusters.controllers import is_load_balancer, is_provided
from gpu_clusters.rehearsal.clusters.pool import Pool
from gpu_clusters.rehearsal.world import Leftover

_CLASS: Final = "kubernetes.io/ingress.class"


def leftovers(client: Client, cluster: str, node_pools: Mapping[str, Pool]) -> Iterator[Leftover]:
    """What would be left behind if the cluster were deleted now.

    Args:
        client: the cluster's.
        cluster: as the report calls it.
        node_pools: Karpenter's, whose machines no node group ends.
    """
    for service in client.items("/api/v1/services", {}):
        if is_load_balancer(service):
            yield from _balancer(f"{cluster}: Service {_name(service)}")
    for ingress in client.items("/apis/networking.k8s.io/v1/ingresses", {}):
        marks = mapping(ingress, "metadata", "annotations")
        if (text(ingress, "spec", "ingressClassName") or text(marks, _CLASS)) == "alb":
            yield from _balancer(f"{cluster}: Ingress {_name(ingress)}")
    for volume in client.items("/api/v1/persistentvolumes", {}):
        if is_provided(volume):
            claim = mapping(volume, "spec", "claimRef")
            yield Leftover(
                kind="volume",
                name=f"{cluster}: {text(volume, 'metadata', 'name')}",
                reason=_why_kept(volume, f"{text(claim, 'namespace')}/{text(claim, 'name')}"),
            )
    for name, pool in node_pools.items():
        if count := len(pool.members):
            yield Leftover(
                kind="other",
                name=f"{cluster}: {count} machines of {name}",
                reason="Karpenter started them and goes with the cluster; delete the NodePool first and let it drain",
            )


def _balancer(name: str) -> Iterator[Leftover]:
    yield Leftover(
        kind="loadBalancer",
        name=name,
        reason="its load balancer outlives the cluster, whose controller would delete it; delete the object first",
    )
    yield Leftover(
        kind="networkInterface",
        name=f"interfaces of {name}",
        reason="the load balancer's interfaces keep its subnets, security groups and the VPC from being deleted",
    )


def _why_kept(volume: Mapping[str, object], claim: str) -> str:
    if text(volume, "spec", "persistentVolumeReclaimPolicy") == "Retain":
        return f"its storage class says Retain: delete the disk of claim {claim} by hand, if nobody needs it"
    return f"the claim {claim} outlives what used it, as a StatefulSet's do; delete the claim before the cluster"


def _name(item: Mapping[str, object]) -> str:
    return f"{text(item, 'metadata', 'namespace')}/{text(item, 'metadata', 'name')}"
