"""LlmService: a model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from gpu_clusters import labels
from gpu_clusters._spec import name_problems
from gpu_clusters.errors import ConfigErrors, ProblemId
from gpu_clusters.findings import Severity, report
from gpu_clusters.images import Image, is_pinned
from gpu_clusters.namespaces.claims import Claim
from gpu_clusters.namespaces.namespace import LlmNamespace
from gpu_clusters.pools import TimeSlicing
from gpu_clusters.serving.args import LlmServiceArgs
from gpu_clusters.serving.plan import Plan, plan
from gpu_clusters.serving.pod import PORT, PORT_NAME, pod

#: Beyond the start-up budget, what Kubernetes itself needs for a step of a roll-out: schedule, pull, drain.
_PROGRESS_MARGIN_SECONDS = 300


class LlmService(pulumi.ComponentResource):
    """vLLM serving one model: a Deployment, its Service, a PodDisruptionBudget and a NetworkPolicy.

    A roll-out starts the new replica before it stops an old one where the tenant's quota and the pools have GPUs to
    spare for it; otherwise it stops one first, and with a single replica the gap is reported beforehand.

    Args:
        name: the service's name, which its Kubernetes objects bear.
        args: the model and how it is run.
        namespace: the tenant.
        hugging_face_token: for models that need one; kept in a Secret. Default none.

    Attributes:
        url: base URL of the OpenAI-compatible API inside the cluster.

    Raises:
        ConfigErrors: the model doesn't fit, the cluster lacks the GPU, or the tenant's quota can't hold the replicas.
    """

    url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: LlmServiceArgs,
        *,
        namespace: LlmNamespace,
        hugging_face_token: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        derived, claim = _checked(name, args, namespace)
        super().__init__("gpu-clusters:serving:LlmService", name, {}, opts)
        namespace.claims.add(claim)
        self._name, self._args, self._plan, self._tenant = name, args, derived, namespace
        cluster = namespace.cluster
        child = pulumi.ResourceOptions(parent=self, provider=cluster.kubernetes, depends_on=[namespace])
        token_secret = self._token_secret(hugging_face_token, child)
        self._network(child)
        self._disruption(child)
        service = self._service(child)
        self._deployment(
            pod(name, args, derived, cluster, token_secret),
            pulumi.ResourceOptions(parent=self, provider=cluster.kubernetes, depends_on=[namespace, *cluster.ready]),
        )
        self._report()
        self.url = pulumi.Output.concat(
            "http://", service.metadata.name, ".", service.metadata.namespace, f".svc.cluster.local:{PORT}/v1"
        )
        self.register_outputs({"url": self.url})

    def _token_secret(self, token: pulumi.Input[str] | None, opts: pulumi.ResourceOptions) -> pulumi.Output[str] | None:
        if token is None:
            return None
        secret = k8s.core.v1.Secret(
            f"{self._name}-hugging-face",
            metadata=self._metadata(f"{self._name}-hugging-face"),
            string_data={"token": pulumi.Output.secret(token)},
            opts=opts,
        )
        return secret.metadata.name

    def _deployment(self, spec: k8s.core.v1.PodSpecArgs, opts: pulumi.ResourceOptions) -> None:
        apps = k8s.apps.v1
        apps.Deployment(
            self._name,
            metadata=self._metadata(),
            spec=apps.DeploymentSpecArgs(
                replicas=self._args.replicas.min,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels={labels.SERVICE: self._name}),
                strategy=apps.DeploymentStrategyArgs(type="RollingUpdate", rolling_update=self._rolling_update()),
                progress_deadline_seconds=self._plan.startup_budget_seconds + _PROGRESS_MARGIN_SECONDS,
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(
                        labels=self._labels(), annotations=self._args.pod_annotations or None
                    ),
                    spec=spec,
                ),
            ),
            opts=opts,
        )

    def _rolling_update(self) -> pulumi.Output[k8s.apps.v1.RollingUpdateDeploymentArgs]:
        """Decided once all services of the tenant are known, for they share its quota.

        An awaitable runs only after the program's own code has ended, and by then every service has made its claim.
        """

        async def decide() -> k8s.apps.v1.RollingUpdateDeploymentArgs:
            surge = self._spare_gpus() >= self._plan.gpus
            if not surge and self._args.replicas.min == 1:
                report(
                    self,
                    ProblemId.ROLLOUT_GAP,
                    Severity.WARNING,
                    "a roll-out stops the only replica before the new one is ready, for want of "
                    f"{self._plan.gpus} spare {self._args.gpu.facts.name}: no answers for up to "
                    f"{self._plan.startup_budget_seconds} seconds",
                    f"raise the tenant's quota and the pool by {self._plan.gpus} {self._args.gpu.facts.name}, "
                    "or run two replicas",
                )
            return k8s.apps.v1.RollingUpdateDeploymentArgs(
                max_surge=1 if surge else 0, max_unavailable=0 if surge else 1
            )

        return pulumi.Output.from_input(decide())

    def _spare_gpus(self) -> int:
        claims, gpu = self._tenant.claims, self._args.gpu
        in_pools = sum(pool.max_units for pool in self._plan.pools) - claims.claimed(gpu)
        return min(claims.spare(gpu), in_pools)

    def _service(self, opts: pulumi.ResourceOptions) -> k8s.core.v1.Service:
        return k8s.core.v1.Service(
            f"{self._name}-service",
            metadata=self._metadata(),
            spec=k8s.core.v1.ServiceSpecArgs(
                type="ClusterIP",
                selector={labels.SERVICE: self._name},
                ports=[k8s.core.v1.ServicePortArgs(name=PORT_NAME, port=PORT, target_port=PORT_NAME)],
            ),
            opts=opts,
        )

    def _disruption(self, opts: pulumi.ResourceOptions) -> None:
        k8s.policy.v1.PodDisruptionBudget(
            f"{self._name}-disruption",
            metadata=self._metadata(),
            spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1,
                # A replica that never became ready must not keep its node from being drained.
                unhealthy_pod_eviction_policy="AlwaysAllow",
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels={labels.SERVICE: self._name}),
            ),
            opts=opts,
        )

    def _network(self, opts: pulumi.ResourceOptions) -> None:
        networking, core = k8s.networking.v1, k8s.meta.v1
        peers = [
            networking.NetworkPolicyPeerArgs(pod_selector=core.LabelSelectorArgs()),
            *(
                networking.NetworkPolicyPeerArgs(
                    namespace_selector=core.LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": namespace})
                )
                for namespace in self._tenant.args.allow_from_namespaces
            ),
        ]
        outside = networking.NetworkPolicyPeerArgs(
            ip_block=networking.IPBlockArgs(
                cidr="0.0.0.0/0", except_=list(self._tenant.cluster.platform.metadata_cidrs)
            )
        )
        networking.NetworkPolicy(
            f"{self._name}-network",
            metadata=self._metadata(),
            spec=networking.NetworkPolicySpecArgs(
                pod_selector=core.LabelSelectorArgs(match_labels={labels.SERVICE: self._name}),
                policy_types=["Ingress", "Egress"],
                ingress=[
                    networking.NetworkPolicyIngressRuleArgs(
                        from_=peers, ports=[networking.NetworkPolicyPortArgs(port=PORT_NAME, protocol="TCP")]
                    )
                ],
                # The model hub; the machine's metadata service, which hands out its credentials, stays out of reach.
                egress=[
                    networking.NetworkPolicyEgressRuleArgs(
                        to=[outside], ports=[networking.NetworkPolicyPortArgs(port=443, protocol="TCP")]
                    )
                ],
            ),
            opts=opts,
        )

    def _report(self) -> None:
        args, images = self._args, self._tenant.cluster.images
        image = images.reference(args.image or Image.VLLM)
        if not is_pinned(image):
            what = "a tag, which can come to mean another image"
            report(self, ProblemId.IMAGE_UNPINNED, Severity.NOTE, f"{image} is {what}", "set `image` with a digest")
        if args.revision is None:
            report(
                self,
                ProblemId.REVISION_UNPINNED,
                Severity.WARNING,
                f"{args.model} has no `revision`: each start takes what the hub holds then, and replicas may differ",
                "set `revision` to a commit of the model's repository",
            )
        if args.replicas.most > args.replicas.min:
            report(
                self,
                ProblemId.NO_AUTOSCALER,
                Severity.NOTE,
                f"nothing scales it between {args.replicas.min} and {args.replicas.most}: there is no autoscaler",
                "scale it by hand, or run an autoscaler of your own",
            )
        if args.replicas.most > 1:
            report(
                self,
                ProblemId.CACHE_PER_POD,
                Severity.NOTE,
                f"each of {args.replicas.most} replicas downloads {self._plan.weights_gib:.0f} GiB at each start",
                "expect the start-up budget on each, and the hub's rate limit",
            )
        if any(isinstance(pool.sharing, TimeSlicing) for pool in self._plan.pools):
            report(
                self,
                ProblemId.SHARED_GPU_NOT_ISOLATED,
                Severity.WARNING,
                "it runs on time-sliced GPUs, whose memory any neighbour can exhaust",
                "use MIG or whole GPUs where tenants don't trust each other",
            )

    def _labels(self) -> dict[str, str]:
        return {
            labels.MANAGED_BY: labels.MANAGED_BY_VALUE,
            labels.SERVICE: self._name,
            labels.GPU: self._args.gpu.value,
            "app.kubernetes.io/name": "vllm",
            "app.kubernetes.io/instance": self._name,
        }

    def _metadata(self, name: str | None = None) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(
            name=name or self._name, namespace=self._tenant.namespace, labels=self._labels()
        )


def _checked(name: str, args: LlmServiceArgs, namespace: LlmNamespace) -> tuple[Plan, Claim]:
    """Everything that can be refused before a resource is registered, all at once."""
    problems = list(name_problems(name))
    derived = claim = None
    try:
        derived = plan(args, namespace.cluster.pools)
        claim = Claim(name, args.gpu, derived.gpus, args.replicas.most)
        problems += namespace.claims.problems(claim)
    except ConfigErrors as error:
        problems += error.errors
    if problems or derived is None or claim is None:
        raise ConfigErrors(problem.under(f"LlmService({name!r})") for problem in problems)
    return derived, claim
