"""A small cluster on EKS: one pool of L4 spot nodes, one tenant, one service.

The same as stacks/Pulumi.eks-dev.yaml.
"""

from __future__ import annotations

import pulumi
from gpu_clusters import Gpu, GpuPool, LlmNamespace, LlmNamespaceArgs, LlmService, LlmServiceArgs, Nodes, Spot
from gpu_clusters.eks import AccessEntry, EksCluster, EksClusterArgs, NewNetwork, PublicEndpoint

cluster = EksCluster(
    "eks-dev",
    EksClusterArgs(
        region="us-west-2",
        zones=["usw2-az1", "usw2-az2"],
        kubernetes_version="1.35",
        gpu_pools=[GpuPool(name="serve", gpu=Gpu.L4, nodes=Nodes(min=1, max=4), capacity=Spot())],
        network=NewNetwork(nat="single"),
        public_endpoint=PublicEndpoint(cidrs=["203.0.113.0/24"]),
        access=[AccessEntry(principal_arn="arn:aws:iam::111122223333:role/deployer", policy="clusterAdmin")],
        deletion_protection=False,
        tags={"team": "platform"},
    ),
)
search = LlmNamespace("search", LlmNamespaceArgs(gpus={Gpu.L4: 2}, viewers=["search-developers"]), cluster=cluster)
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
