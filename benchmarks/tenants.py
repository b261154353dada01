"""A program of many tenants, once with the library and once by hand, under the recording monitor.

Prints the seconds of processor time that the run took, imports left out. Called by bench_library.py.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from gpu_clusters import Gpu, GpuPool, Images, LlmNamespace, LlmNamespaceArgs, Nodes
from gpu_clusters.namespaces.rbac import RULES
from gpu_clusters.preview.recorder import record
from gpu_clusters.sandbox.args import PLATFORM

POOLS = (GpuPool(name="serve", gpu=Gpu.L4, nodes=Nodes(max=8)),)
LABELS = {"app.kubernetes.io/managed-by": "gpu-clusters"}


@dataclass
class ACluster:
    """A cluster that is simply there."""

    kubernetes: k8s.Provider
    platform = PLATFORM
    pools = POOLS
    images = Images()
    ready = ()


def library(count: int) -> None:
    cluster = ACluster(k8s.Provider("cluster", kubeconfig="x"))
    for number in range(count):
        LlmNamespace(f"tenant-{number}", LlmNamespaceArgs(gpus={Gpu.L4: 4}), cluster=cluster)


class Tenant(pulumi.ComponentResource):
    """The same objects as an LlmNamespace makes, spelled out."""

    def __init__(self, name: str, provider: k8s.Provider) -> None:
        super().__init__("by-hand:index:Tenant", name)
        own = pulumi.ResourceOptions(parent=self, provider=provider)
        levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
        versions = {f"pod-security.kubernetes.io/{mode}-version": "v1.36" for mode in ("enforce", "audit", "warn")}
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=name, labels={**LABELS, "gpu-clusters.dev/tenant": name, **levels, **versions}
            ),
            opts=own,
        )
        inside = pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[namespace])
        k8s.core.v1.ResourceQuota(
            f"{name}-quota",
            metadata=_metadata("tenant", name),
            spec=k8s.core.v1.ResourceQuotaSpecArgs(
                hard={
                    "requests.nvidia.com/gpu": "4",
                    "requests.cpu": "72",
                    "requests.memory": "288Gi",
                    "limits.memory": "288Gi",
                    "requests.storage": "0Gi",
                    "pods": "36",
                    "services.loadbalancers": "0",
                    "services.nodeports": "0",
                }
            ),
            opts=inside,
        )
        k8s.core.v1.LimitRange(
            f"{name}-limits",
            metadata=_metadata("tenant", name),
            spec=k8s.core.v1.LimitRangeSpecArgs(
                limits=[
                    k8s.core.v1.LimitRangeItemArgs(
                        type="Container",
                        default={"memory": "1Gi"},
                        default_request={"cpu": "1", "memory": "1Gi"},
                    )
                ]
            ),
            opts=inside,
        )
        _network(name, inside)
        k8s.core.v1.ServiceAccount(
            f"{name}-service-account",
            metadata=_metadata("llm", name),
            automount_service_account_token=False,
            opts=inside,
        )
        for role, rules in RULES.items():
            k8s.rbac.v1.Role(
                f"{name}-{role}",
                metadata=_metadata(f"llm-{role}", name),
                rules=[
                    k8s.rbac.v1.PolicyRuleArgs(api_groups=[group], resources=resources, verbs=verbs)
                    for group, resources, verbs in rules
                ],
                opts=inside,
            )
        self.register_outputs({"namespace": namespace.metadata.name})


def _network(name: str, opts: pulumi.ResourceOptions) -> None:
    networking = k8s.networking.v1
    everyone = k8s.meta.v1.LabelSelectorArgs()
    networking.NetworkPolicy(
        f"{name}-default-deny",
        metadata=_metadata("default-deny", name),
        spec=networking.NetworkPolicySpecArgs(pod_selector=everyone, policy_types=["Ingress", "Egress"]),
        opts=opts,
    )
    dns = networking.NetworkPolicyPeerArgs(
        namespace_selector=k8s.meta.v1.LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": "kube-system"}),
        pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels={"k8s-app": "kube-dns"}),
    )
    ports = [networking.NetworkPolicyPortArgs(port=53, protocol=protocol) for protocol in ("UDP", "TCP")]
    networking.NetworkPolicy(
        f"{name}-allow-dns",
        metadata=_metadata("allow-dns", name),
        spec=networking.NetworkPolicySpecArgs(
            pod_selector=everyone,
            policy_types=["Egress"],
            egress=[networking.NetworkPolicyEgressRuleArgs(to=[dns], ports=ports)],
        ),
        opts=opts,
    )


def _metadata(name: str, namespace: str) -> k8s.meta.v1.ObjectMetaArgs:
    return k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=LABELS)


def by_hand(count: int) -> None:
    provider = k8s.Provider("cluster", kubeconfig="x")
    for number in range(count):
        Tenant(f"tenant-{number}", provider)


def main() -> None:
    program = {"library": library, "by-hand": by_hand}[sys.argv[1]]
    record(lambda: program(1))
    start = time.process_time()
    recording = record(lambda: program(int(sys.argv[2])))
    taken = time.process_time() - start
    # Both sides must make the same: a library that is quick because it makes less is not quick.
    assert len(recording.resources) == 1 + 9 * int(sys.argv[2]), len(recording.resources)
    sys.stdout.write(f"{taken}\n")


if __name__ == "__main__":
    main()
