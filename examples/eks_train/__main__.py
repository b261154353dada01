"""A cluster on EKS for training: p5 machines with EFA in a Capacity Block, and a small pool that serves.

The same as stacks/Pulumi.eks-train.yaml.
"""

from __future__ import annotations

import pulumi
from gpu_clusters import (
    CapacityBlock,
    Gpu,
    GpuPool,
    LlmNamespace,
    LlmNamespaceArgs,
    LlmService,
    LlmServiceArgs,
    Nodes,
)
from gpu_clusters.eks import AccessEntry, EksCluster, EksClusterArgs, EksGpuPool

cluster = EksCluster(
    "eks-train",
    EksClusterArgs(
        region="us-west-2",
        zones=["usw2-az1", "usw2-az2"],
        kubernetes_version="1.35",
        gpu_pools=[
            EksGpuPool(
                name="train",
                gpu=Gpu.H100,
                gpus_per_node=8,
                nodes=Nodes(max=4),
                machines=["p5.48xlarge"],
                capacity=CapacityBlock(id="cr-0123456789abcdef0", zone="usw2-az2"),
            ),
            GpuPool(name="serve", gpu=Gpu.L4, nodes=Nodes(min=2, max=4)),
        ],
        access=[
            AccessEntry(principal_arn="arn:aws:iam::111122223333:role/deployer", policy="clusterAdmin"),
            AccessEntry(principal_arn="arn:aws:iam::111122223333:role/researchers", groups=["research"]),
        ],
        tags={"team": "research"},
    ),
)
LlmNamespace("research", LlmNamespaceArgs(gpus={Gpu.H100: 32}, operators=["research"]), cluster=cluster)
search = LlmNamespace("search", LlmNamespaceArgs(gpus={Gpu.L4: 2}), cluster=cluster)
mistral = LlmService(
    "mistral-7b",
    LlmServiceArgs(
        model="mistralai/Mistral-7B-Instruct-v0.3",
        revision="c170c708c41dac9275d15a8fff4eca08d52bab71",
        gpu=Gpu.L4,
        max_model_len=8192,
    ),
    namespace=search,
)
pulumi.export("url", mistral.url)
pulumi.export("kubeconfig", cluster.kubeconfig)
