"""Who may do what in a tenant's namespace."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s

from gpu_clusters.namespaces.metadata import metadata

_LOOK = ["get", "list", "watch"]

#: Not among them: secrets, which hold keys, and logs, which may hold what users asked the model.
_VIEWER = (
    (
        "",
        [
            "configmaps",
            "endpoints",
            "events",
            "limitranges",
            "persistentvolumeclaims",
            "pods",
            "resourcequotas",
            "serviceaccounts",
            "services",
        ],
        _LOOK,
    ),
    ("apps", ["daemonsets", "deployments", "replicasets", "statefulsets"], _LOOK),
    ("autoscaling", ["horizontalpodautoscalers"], _LOOK),
    ("batch", ["jobs", "cronjobs"], _LOOK),
    ("discovery.k8s.io", ["endpointslices"], _LOOK),
    ("networking.k8s.io", ["networkpolicies"], _LOOK),
    ("policy", ["poddisruptionbudgets"], _LOOK),
)
_OPERATOR = (
    *_VIEWER,
    ("", ["pods/log"], ["get"]),
    ("", ["pods"], ["delete"]),
    ("apps", ["deployments", "statefulsets"], ["patch"]),
    ("apps", ["deployments/scale", "statefulsets/scale"], ["patch", "update"]),
)

#: By role, the rules as (API group, resources, verbs).
RULES = {"viewer": _VIEWER, "operator": _OPERATOR}


def roles(
    name: str, namespace: str, viewers: Sequence[str], operators: Sequence[str], opts: pulumi.ResourceOptions
) -> None:
    """The roles `viewer` and `operator`, each bound to its groups; without groups a role is there to be bound later."""
    for role, groups in (("viewer", viewers), ("operator", operators)):
        named = metadata(f"llm-{role}", namespace)
        k8s.rbac.v1.Role(
            f"{name}-{role}",
            metadata=named,
            rules=[
                k8s.rbac.v1.PolicyRuleArgs(api_groups=[group], resources=resources, verbs=verbs)
                for group, resources, verbs in RULES[role]
            ],
            opts=opts,
        )
        if groups:
            k8s.rbac.v1.RoleBinding(
                f"{name}-{role}-binding",
                metadata=named,
                role_ref=k8s.rbac.v1.RoleRefArgs(
                    api_group="rbac.authorization.k8s.io", kind="Role", name=f"llm-{role}"
                ),
                subjects=[
                    k8s.rbac.v1.SubjectArgs(api_group="rbac.authorization.k8s.io", kind="Group", name=group)
                    for group in groups
                ],
                opts=opts,
            )
