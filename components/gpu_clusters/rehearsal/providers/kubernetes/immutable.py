"""Which fields of a kind can't be changed once the object is there, so that a change makes a new object.

Source: the API server's own validation (kubernetes 1.36, `pkg/apis/*/validation`) and the API reference's "immutable".
"""

from __future__ import annotations

from typing import Final

from gpu_clusters.rehearsal.providers.diffing import Path
from gpu_clusters.rehearsal.providers.kubernetes.objects import Kind
from gpu_clusters.rehearsal.providers.values import Properties, reveal

_IDENTITY: Final = ("kind", "metadata.name", "metadata.namespace")
_SPEC: Final = ("spec",)

# A prefix stands for all below it. `*` is any index.
_FIELDS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("", "PersistentVolume"): ("spec.csi", "spec.hostPath", "spec.local", "spec.nfs", "spec.volumeMode"),
    ("", "PersistentVolumeClaim"): _SPEC,
    ("", "Pod"): _SPEC,
    ("", "ResourceQuota"): ("spec.scopes",),
    ("", "Secret"): ("type",),
    ("", "Service"): ("spec.clusterIP", "spec.clusterIPs"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (
        "spec.group",
        "spec.names.kind",
        "spec.names.plural",
        "spec.scope",
    ),
    ("apps", "DaemonSet"): ("spec.selector",),
    ("apps", "Deployment"): ("spec.selector",),
    ("apps", "ReplicaSet"): ("spec.selector",),
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): (
        "spec.backoffLimitPerIndex",
        "spec.completionMode",
        "spec.completions",
        "spec.managedBy",
        "spec.podFailurePolicy",
        "spec.selector",
        "spec.successPolicy",
        "spec.template",
    ),
    ("certificates.k8s.io", "CertificateSigningRequest"): _SPEC,
    ("discovery.k8s.io", "EndpointSlice"): ("addressType",),
    ("networking.k8s.io", "IngressClass"): ("spec.controller",),
    ("node.k8s.io", "RuntimeClass"): ("handler",),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("resource.k8s.io", "ResourceClaim"): _SPEC,
    ("resource.k8s.io", "ResourceClaimTemplate"): _SPEC,
    ("scheduling.k8s.io", "PriorityClass"): ("preemptionPolicy", "value"),
    ("storage.k8s.io", "CSIDriver"): ("spec.attachRequired", "spec.volumeLifecycleModes"),
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"),
    ("storage.k8s.io", "VolumeAttachment"): _SPEC,
    ("storage.k8s.io", "VolumeAttributesClass"): ("driverName", "parameters"),
}

# What may be changed within the above all the same.
_MUTABLE: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("", "PersistentVolumeClaim"): ("spec.resources.requests", "spec.volumeAttributesClassName"),
    ("", "Pod"): (
        "spec.activeDeadlineSeconds",
        "spec.containers.*.image",
        "spec.initContainers.*.image",
        "spec.schedulingGates",
        "spec.tolerations",
    ),
    ("batch", "Job"): (
        "spec.template.metadata",
        "spec.template.spec.nodeSelector",
        "spec.template.spec.tolerations",
    ),
}


def replaces(kind: Kind, old: Properties, path: Path) -> bool:
    """Whether a change at a path needs a new object.

    Args:
        old: the inputs that the object was made from: some objects say of themselves that they are immutable.
    """
    if _under(path, _IDENTITY):
        return True
    if kind.patch:
        return False
    key = (kind.group, kind.name)
    if key in {("", "ConfigMap"), ("", "Secret")} and reveal(old.get("immutable")) is True:
        return _under(path, ("data", "binaryData", "stringData", "immutable", "type"))
    if key == ("batch", "Job") and len(path) > 2 and path[1] == "template":
        # A Job's labels, node selector and tolerations may change only while it is suspended.
        spec = old.get("spec")
        suspended = isinstance(spec, dict) and reveal(spec.get("suspend")) is True
        return not (suspended and _under(path, _MUTABLE[key]))
    return _under(path, _FIELDS.get(key, ())) and not _under(path, _MUTABLE.get(key, ()))


def _under(path: Path, prefixes: tuple[str, ...]) -> bool:
    return any(_matches(path, prefix.split(".")) for prefix in prefixes)


def _matches(path: Path, prefix: list[str]) -> bool:
    if len(path) < len(prefix):
        return False
    steps = zip(path, prefix, strict=False)
    return all(step == here or (step == "*" and isinstance(here, int)) for here, step in steps)
