"""The metadata of what a tenant's namespace holds."""

from __future__ import annotations

import pulumi_kubernetes as k8s

from gpu_clusters import labels


def metadata(name: str, namespace: str) -> k8s.meta.v1.ObjectMetaArgs:
    """Name, namespace, and the label that says who made it."""
    return k8s.meta.v1.ObjectMetaArgs(
        name=name, namespace=namespace, labels={labels.MANAGED_BY: labels.MANAGED_BY_VALUE}
    )
