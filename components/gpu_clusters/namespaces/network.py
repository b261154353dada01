"""What may reach a tenant's pods, and what they may reach: nothing, but for what is said."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from gpu_clusters.cluster import Platform
from gpu_clusters.namespaces.metadata import metadata

_DNS_PORT = 53


def default_deny(name: str, namespace: str, opts: pulumi.ResourceOptions) -> None:
    """No pod of the namespace is reached or reaches anything, until another policy allows it."""
    k8s.networking.v1.NetworkPolicy(
        f"{name}-default-deny",
        metadata=metadata("default-deny", namespace),
        spec=k8s.networking.v1.NetworkPolicySpecArgs(
            pod_selector=k8s.meta.v1.LabelSelectorArgs(), policy_types=["Ingress", "Egress"]
        ),
        opts=opts,
    )


def allow_dns(name: str, namespace: str, platform: Platform, opts: pulumi.ResourceOptions) -> None:
    """Every pod of the namespace may ask the cluster's DNS."""
    networking = k8s.networking.v1
    k8s.networking.v1.NetworkPolicy(
        f"{name}-allow-dns",
        metadata=metadata("allow-dns", namespace),
        spec=networking.NetworkPolicySpecArgs(
            pod_selector=k8s.meta.v1.LabelSelectorArgs(),
            policy_types=["Egress"],
            egress=[
                networking.NetworkPolicyEgressRuleArgs(
                    to=[
                        networking.NetworkPolicyPeerArgs(
                            namespace_selector=k8s.meta.v1.LabelSelectorArgs(
                                match_labels={"kubernetes.io/metadata.name": platform.dns_namespace}
                            ),
                            pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=platform.dns_labels),
                        )
                    ],
                    ports=[
                        networking.NetworkPolicyPortArgs(port=_DNS_PORT, protocol=protocol)
                        for protocol in ("UDP", "TCP")
                    ],
                )
            ],
        ),
        opts=opts,
    )
