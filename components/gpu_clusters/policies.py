"""ClusterPolicies: what is made once per cluster, so that tenants of several stacks share it without a clash."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from gpu_clusters import labels
from gpu_clusters.priorities import PRIORITIES

#: The pod annotation by which a tenant says that a model may bring code of its own.
ALLOW_REMOTE_CODE = f"{labels.DOMAIN}/allow-remote-code"


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule of admission for tenants' pods, in CEL; it holds where `expression` is true."""

    name: str
    variables: dict[str, str]
    expression: str
    message: str


_CONTAINERS = "object.spec.containers + object.spec.?initContainers.orValue([])"

RULES = (
    _Rule(
        name="gpu-toleration",
        variables={
            "asksForGpu": f"({_CONTAINERS}).exists(c, c.?resources.?limits.orValue({{}})"
            ".exists(r, r.startsWith('nvidia.com/') || r == 'amd.com/gpu'))",
        },
        expression="!variables.asksForGpu || object.spec.?tolerations.orValue([]).exists(t, "
        f"t.?key.orValue('') in ['', '{labels.GPU_TAINT_KEY}'])",
        message=f"a pod that asks for GPUs must tolerate the taint of GPU nodes: add a toleration with key "
        f"{labels.GPU_TAINT_KEY} and operator Exists, else it stays Pending for ever",
    ),
    _Rule(
        name="no-remote-code",
        variables={
            "remoteCode": f"({_CONTAINERS}).exists(c, (c.?args.orValue([]) + c.?command.orValue([]))"
            ".exists(a, a.contains('--trust-remote-code')))",
        },
        expression="!variables.remoteCode || "
        f"object.metadata.?annotations[?'{ALLOW_REMOTE_CODE}'].orValue('') == 'true'",
        message="--trust-remote-code runs whatever code the model's repository holds: leave it out, or annotate the "
        f'pod {ALLOW_REMOTE_CODE}: "true"',
    ),
)


class ClusterPolicies(pulumi.ComponentResource):
    """PriorityClasses, and admission policies for the pods of every tenant's namespace.

    Made once per cluster, by the cluster's side. The policies bind to namespaces that carry the label
    `gpu-clusters.dev/tenant`, so a tenant that comes from another stack is bound as soon as its namespace is there.
    """

    def __init__(self, name: str, *, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-clusters:index:ClusterPolicies", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        for priority, facts in PRIORITIES.items():
            k8s.scheduling.v1.PriorityClass(
                f"{name}-{priority}",
                metadata=_metadata(priority),
                value=facts.value,
                preemption_policy=facts.preemption,
                description=facts.description,
                opts=child,
            )
        for rule in RULES:
            policy = _policy(name, rule, child)
            _binding(name, rule, pulumi.ResourceOptions(parent=self, depends_on=[policy]))
        self.register_outputs({})


def _metadata(name: str) -> k8s.meta.v1.ObjectMetaArgs:
    return k8s.meta.v1.ObjectMetaArgs(name=name, labels={labels.MANAGED_BY: labels.MANAGED_BY_VALUE})


def _policy(
    name: str, rule: _Rule, opts: pulumi.ResourceOptions
) -> k8s.admissionregistration.v1.ValidatingAdmissionPolicy:
    admission = k8s.admissionregistration.v1
    return admission.ValidatingAdmissionPolicy(
        f"{name}-{rule.name}",
        metadata=_metadata(f"gpu-clusters-{rule.name}"),
        spec=admission.ValidatingAdmissionPolicySpecArgs(
            failure_policy="Fail",
            match_constraints=admission.MatchResourcesArgs(
                resource_rules=[
                    admission.NamedRuleWithOperationsArgs(
                        api_groups=[""], api_versions=["v1"], operations=["CREATE", "UPDATE"], resources=["pods"]
                    )
                ]
            ),
            variables=[
                admission.VariableArgs(name=variable, expression=expression)
                for variable, expression in rule.variables.items()
            ],
            validations=[admission.ValidationArgs(expression=rule.expression, message=rule.message)],
        ),
        opts=opts,
    )


def _binding(name: str, rule: _Rule, opts: pulumi.ResourceOptions) -> None:
    admission = k8s.admissionregistration.v1
    admission.ValidatingAdmissionPolicyBinding(
        f"{name}-{rule.name}-binding",
        metadata=_metadata(f"gpu-clusters-{rule.name}"),
        spec=admission.ValidatingAdmissionPolicyBindingSpecArgs(
            policy_name=f"gpu-clusters-{rule.name}",
            validation_actions=["Deny"],
            match_resources=admission.MatchResourcesArgs(
                namespace_selector=k8s.meta.v1.LabelSelectorArgs(
                    match_expressions=[k8s.meta.v1.LabelSelectorRequirementArgs(key=labels.TENANT, operator="Exists")]
                )
            ),
        ),
        opts=opts,
    )
