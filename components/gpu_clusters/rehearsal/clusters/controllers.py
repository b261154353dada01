"""What a cloud's controllers do in a cluster: addresses for load balancers, volumes for claims.

All of it is marked as simulated. The rest, such as binding a claim to its volume, Kubernetes's own controllers do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from gpu_clusters.kube.client import ApiError, Client
from gpu_clusters.kube.objects import mapping, mappings, text

_FROM_CACHE: Final = {"resourceVersion": "0"}
_MERGE: Final = "application/merge-patch+json"
_JSON: Final = "application/json"
_REGION: Final = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:api|eks)\.")
#: What the scheduler writes on a claim that waits for a pod, once it has chosen the node.
_SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
_PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
_ZONE: Final = "topology.kubernetes.io/zone"
_NOBODY: Final = "kubernetes.io/no-provisioner"


class CloudControllers:
    """The cloud's controllers of one cluster.

    Args:
        client: the cluster's.
        server: the API server's URL as the cloud gave it; it says the region.
    """

    def __init__(self, client: Client, server: str) -> None:
        self._client = client
        region = _REGION.search(server)
        self._domain = f"elb.{region[1]}.amazonaws.com" if region else "elb.simulated.invalid"

    def act(self) -> None:
        """Do what there is to do now."""
        for service in self._client.items("/api/v1/services", _FROM_CACHE):
            if is_load_balancer(service) and not mappings(service, "status", "loadBalancer", "ingress"):
                self._give_address(service)
        for claim in self._client.items("/api/v1/persistentvolumeclaims", _FROM_CACHE):
            if text(claim, "status", "phase") == "Pending" and not text(claim, "spec", "volumeName"):
                self._provide(claim)
        for volume in self._client.items("/api/v1/persistentvolumes", _FROM_CACHE):
            if text(volume, "status", "phase") == "Released" and is_provided(volume):
                self._reclaim(volume)

    def _give_address(self, service: Mapping[str, object]) -> None:
        hostname = f"simulated-{_hash(service)}.{self._domain}"
        body = {"status": {"loadBalancer": {"ingress": [{"hostname": hostname}]}}}
        self._quietly("PATCH", f"{_path(service, 'services')}/status", body)

    def _provide(self, claim: Mapping[str, object]) -> None:
        name = text(claim, "spec", "storageClassName")
        storage = self._client.get(f"/apis/storage.k8s.io/v1/storageclasses/{name}") if name else None
        provisioner = text(storage, "provisioner")
        if storage is None or provisioner == _NOBODY:
            return
        node = text(mapping(claim, "metadata", "annotations"), _SELECTED_NODE)
        if text(storage, "volumeBindingMode") == "WaitForFirstConsumer" and not node:
            return
        zone = self._zone(node)
        place = mapping(claim, "metadata")
        expression = {"key": _ZONE, "operator": "In", "values": [zone]}
        affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
        body = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"pvc-{text(place, 'uid')}", "annotations": {_PROVISIONED_BY: provisioner}},
            "spec": {
                "capacity": {"storage": text(claim, "spec", "resources", "requests", "storage")},
                "accessModes": mapping(claim, "spec").get("accessModes"),
                "volumeMode": text(claim, "spec", "volumeMode") or "Filesystem",
                "storageClassName": name,
                "persistentVolumeReclaimPolicy": text(storage, "reclaimPolicy") or "Delete",
                "csi": {"driver": provisioner, "volumeHandle": f"simulated-{_hash(claim)}"},
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    **{key: text(place, key) for key in ("namespace", "name", "uid")},
                },
                **({"nodeAffinity": affinity} if zone else {}),
            },
        }
        self._quietly("POST", "/api/v1/persistentvolumes", body)

    def _zone(self, node: str) -> str:
        found = self._client.get(f"/api/v1/nodes/{node}") if node else None
        return text(mapping(found, "metadata", "labels"), _ZONE)

    def _reclaim(self, volume: Mapping[str, object]) -> None:
        if text(volume, "spec", "persistentVolumeReclaimPolicy") == "Delete":
            self._quietly("DELETE", f"/api/v1/persistentvolumes/{text(volume, 'metadata', 'name')}", None)

    def _quietly(self, method: str, path: str, body: Mapping[str, object] | None) -> None:
        try:
            self._client.request(method, path, body=body, content_type=_MERGE if method == "PATCH" else _JSON)
        except ApiError as error:
            # Somebody else was quicker: the next round sees what is left to do.
            if error.code not in (404, 409):
                raise


def is_load_balancer(service: Mapping[str, object]) -> bool:
    """Whether a Service asks for a load balancer of the cloud's."""
    return text(service, "spec", "type") == "LoadBalancer"


def is_provided(volume: Mapping[str, object]) -> bool:
    """Whether a volume was made for a claim, and not by hand."""
    return bool(text(mapping(volume, "metadata", "annotations"), _PROVISIONED_BY))


def _hash(item: Mapping[str, object]) -> str:
    return hashlib.sha256(text(item, "metadata", "uid").encode()).hexdigest()[:12]


def _path(item: Mapping[str, object], plural: str) -> str:
    return f"/api/v1/namespaces/{text(item, 'metadata', 'namespace')}/{plural}/{text(item, 'metadata', 'name')}"
