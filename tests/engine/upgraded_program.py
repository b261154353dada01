"""A pool of two reserved machines, both full, and a budget that lets `disruptable` of its pods go at a time."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s
from gpu_clusters import Gpu, GpuPool, Nodes, Reservation
from gpu_clusters.eks import AccessEntry, EksCluster, EksClusterArgs

config = pulumi.Config()
cluster = EksCluster(
    "full",
    EksClusterArgs(
        region="us-west-2",
        zones=["usw2-az1", "usw2-az2"],
        kubernetes_version=config.require("version"),
        gpu_pools=[
            GpuPool(
                name="fixed",
                gpu=Gpu.L4,
                nodes=Nodes(min=2, max=2),
                capacity=Reservation(id="cr-0123456789abcdef0", zone="usw2-az1"),
            )
        ],
        access=[AccessEntry(principal_arn="arn:aws:iam::111122223333:role/deployer", policy="clusterAdmin")],
        deletion_protection=False,
    ),
)
inside = pulumi.ResourceOptions(provider=cluster.kubernetes, depends_on=list(cluster.ready))
labels = {"app": "model"}
selector = k8s.meta.v1.LabelSelectorArgs(match_labels=labels)
metadata = k8s.meta.v1.ObjectMetaArgs(name="model", namespace="default")
k8s.policy.v1.PodDisruptionBudget(
    "budget",
    metadata=metadata,
    spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
        selector=selector, max_unavailable=config.require_int("disruptable")
    ),
    opts=inside,
)
k8s.apps.v1.Deployment(
    "model",
    metadata=metadata,
    spec=k8s.apps.v1.DeploymentSpecArgs(
        replicas=2,
        selector=selector,
        template=k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels),
            spec=k8s.core.v1.PodSpecArgs(
                tolerations=[k8s.core.v1.TolerationArgs(key="nvidia.com/gpu", operator="Exists")],
                containers=[
                    k8s.core.v1.ContainerArgs(
                        name="model",
                        image="model",
                        resources=k8s.core.v1.ResourceRequirementsArgs(limits={"nvidia.com/gpu": "1"}),
                    )
                ],
            ),
        ),
    ),
    opts=inside,
)
