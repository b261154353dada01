"""LlmNamespace: a tenant."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from gpu_clusters import labels
from gpu_clusters.cluster import Cluster, pools_of
from gpu_clusters.errors import ConfigErrors, ProblemId
from gpu_clusters.findings import Severity, report
from gpu_clusters.namespaces.args import LlmNamespaceArgs, gpu_problems, quota, tenant_name_problems
from gpu_clusters.namespaces.claims import Claims
from gpu_clusters.namespaces.metadata import metadata
from gpu_clusters.namespaces.network import allow_dns, default_deny
from gpu_clusters.namespaces.rbac import roles

#: The ServiceAccount that a tenant's services run as; it has no rights and no token.
SERVICE_ACCOUNT = "llm"


class LlmNamespace(pulumi.ComponentResource):
    """A namespace in which one tenant runs its LLM workloads, shut off from all others.

    It makes a Namespace with Pod Security `restricted` at a pinned version, a ResourceQuota with the tenant's GPUs, a
    LimitRange (a container that names no resources gets 1 CPU and 1 GiB), NetworkPolicies that deny all traffic but
    DNS, a ServiceAccount without token, and the roles `llm-viewer` and `llm-operator`.

    Args:
        name: the tenant's name, which is the namespace's.
        args: what the tenant may use.
        cluster: where it lives.

    Attributes:
        namespace: the Namespace's name, known once it exists.
        cluster: where it lives.

    Raises:
        ConfigErrors: the name is none that Kubernetes takes, or the cluster lacks a GPU in the quota.
    """

    namespace: pulumi.Output[str]

    def __init__(
        self, name: str, args: LlmNamespaceArgs, *, cluster: Cluster, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        problems = [*tenant_name_problems(name), *gpu_problems(args, cluster.pools)]
        if problems:
            raise ConfigErrors(problem.under(f"LlmNamespace({name!r})") for problem in problems)
        super().__init__("gpu-clusters:namespaces:LlmNamespace", name, {}, opts)
        self.args = args
        self.cluster = cluster
        self.claims = Claims(args.gpus)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=name, labels=_labels(name, args.pod_security_version)),
            opts=pulumi.ResourceOptions(parent=self, provider=cluster.kubernetes),
        )
        self.namespace = namespace.metadata.name
        self._fill(name, pulumi.ResourceOptions(parent=self, provider=cluster.kubernetes, depends_on=[namespace]))
        self._report()
        self.register_outputs({"namespace": self.namespace})

    def _fill(self, name: str, opts: pulumi.ResourceOptions) -> None:
        """Everything inside the namespace; by its plain name, so that a preview shows it before it exists."""
        k8s.core.v1.ResourceQuota(
            f"{name}-quota",
            metadata=metadata("tenant", name),
            spec=k8s.core.v1.ResourceQuotaSpecArgs(hard=quota(self.args, self.cluster)),
            opts=opts,
        )
        k8s.core.v1.LimitRange(
            f"{name}-limits",
            metadata=metadata("tenant", name),
            spec=k8s.core.v1.LimitRangeSpecArgs(
                limits=[
                    k8s.core.v1.LimitRangeItemArgs(
                        type="Container",
                        default={"memory": "1Gi"},
                        default_request={"cpu": "1", "memory": "1Gi"},
                    )
                ]
            ),
            opts=opts,
        )
        default_deny(name, name, opts)
        allow_dns(name, name, self.cluster.platform, opts)
        k8s.core.v1.ServiceAccount(
            f"{name}-service-account",
            metadata=metadata(SERVICE_ACCOUNT, name),
            automount_service_account_token=False,
            opts=opts,
        )
        roles(name, name, self.args.viewers, self.args.operators, opts)

    def _report(self) -> None:
        platform = self.cluster.platform
        if platform.network_policy == "notEnforced":
            report(
                self,
                ProblemId.NETWORK_POLICY_NOT_ENFORCED,
                Severity.NOTE if platform.simulated else Severity.WARNING,
                f"platform {platform.name} doesn't enforce NetworkPolicies: they are there, and isolate nothing",
                "install a network plugin that enforces them before tenants who don't trust each other share it",
            )
        for gpu, count in self.args.gpus.items():
            most = sum(pool.max_units for pool in pools_of(self.cluster, gpu))
            if count > most:
                report(
                    self,
                    ProblemId.POOL_TOO_SMALL,
                    Severity.WARNING,
                    f"the quota of {count} {gpu.facts.name} is more than the {most} that the pools have at most",
                    "raise the pools' `nodes.max`, or lower the quota",
                )


def _labels(name: str, version: str) -> dict[str, str]:
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    versions = {f"pod-security.kubernetes.io/{mode}-version": version for mode in ("enforce", "audit", "warn")}
    return {labels.MANAGED_BY: labels.MANAGED_BY_VALUE, labels.TENANT: name, **levels, **versions}
