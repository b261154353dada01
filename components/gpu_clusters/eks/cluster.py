"""EksCluster: a Kubernetes cluster on AWS with GPU pools."""

from __future__ import annotations

import dataclasses

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from gpu_clusters._spec import name_problems
from gpu_clusters.cluster import Platform
from gpu_clusters.devices.layer import DeviceLayer
from gpu_clusters.eks.addons import AddOns
from gpu_clusters.eks.args import PLATFORM, EksClusterArgs, widened_pools
from gpu_clusters.eks.auto_mode import AutoModePools
from gpu_clusters.eks.autoscaling import AutoMode, Karpenter
from gpu_clusters.eks.cluster_findings import report_cluster_findings
from gpu_clusters.eks.context import NodeContext
from gpu_clusters.eks.control_plane import control_plane
from gpu_clusters.eks.efa_plugin import EfaPlugin
from gpu_clusters.eks.iam import cluster_roles
from gpu_clusters.eks.karpenter import KarpenterPools
from gpu_clusters.eks.network import cluster_network
from gpu_clusters.eks.nodes import CLUSTER_TAG, gpu_node_groups, system_node_group
from gpu_clusters.eks.quotas import QuotaNeed, quotas
from gpu_clusters.errors import ConfigErrors
from gpu_clusters.images import Images
from gpu_clusters.policies import ClusterPolicies
from gpu_clusters.pools import GpuPool


class EksCluster(pulumi.ComponentResource):
    """A Kubernetes cluster on EKS with GPU pools; `EksClusterArgs` says what it makes, and every default.

    It uses the AWS provider that `opts` brings, else one of its own for the region. Neither a preview nor the making
    needs the AWS CLI; who uses the kubeconfig does, and so does Pulumi for what it puts into the cluster.

    Args:
        name: the cluster's name, at AWS too.
        args: everything else, as plain data.

    Attributes:
        kubernetes: a provider for the cluster, usable at once.
        platform: facts of the platform.
        pools: the GPU pools, with all of EKS's fields.
        ready: what workloads wait for.
        kubeconfig: secret; it takes tokens from `aws eks get-token`, so it holds no credentials.
        endpoint: the API server's URL.
        oidc_issuer: the cluster's OpenID Connect issuer.
        vpc_id: where it is.
        node_role_arn: the IAM role of the nodes of managed groups.
        quotas: what the pools need of the account's EC2 quotas, at their maximum.

    Raises:
        ConfigErrors: the name is none that EKS and Kubernetes take.
    """

    kubeconfig: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    oidc_issuer: pulumi.Output[str]
    vpc_id: pulumi.Output[str]
    node_role_arn: pulumi.Output[str]
    quotas: tuple[QuotaNeed, ...]

    def __init__(self, name: str, args: EksClusterArgs, *, opts: pulumi.ResourceOptions | None = None) -> None:
        if problems := list(name_problems(name)):
            raise ConfigErrors(problems)
        super().__init__("gpu-clusters:eks:EksCluster", name, {}, opts)
        self._args = args
        self._pools = widened_pools(args)
        self.quotas = quotas(args.gpu_pools, None if isinstance(args.node_management, AutoMode) else args.system_pool)
        self._aws = self._own_or_given_aws(name)
        child = pulumi.ResourceOptions(parent=self, provider=self._aws)
        tags = {**args.tags, CLUSTER_TAG: name}
        network = cluster_network(name, args, tags, child)
        roles = cluster_roles(name, args, tags, child)
        plane = control_plane(name, args, network, roles, tags, child)
        add_ons = AddOns(name=name, args=args, cluster=plane.cluster, tags=tags, opts=child)
        context = NodeContext(
            cluster=plane.cluster,
            cluster_name=name,
            kubernetes_version=args.kubernetes_version,
            region=args.region,
            node_role=roles.node,
            cluster_security_group_id=plane.cluster.vpc_config.apply(
                lambda config: config.cluster_security_group_id or ""
            ),
            vpc_id=network.vpc_id,
            subnet_ids=network.private_subnets,
            tags=tags,
            before_nodes=[*add_ons.before_nodes(), *roles.ready, *network.ready],
        )
        self.kubeconfig = plane.kubeconfig
        self.endpoint = plane.cluster.endpoint
        self.oidc_issuer = plane.cluster.identities.apply(lambda found: (found[0].oidcs or [])[0].issuer or "")
        self.vpc_id = pulumi.Output.from_input(network.vpc_id)
        self.node_role_arn = roles.node.arn
        self._kubernetes = k8s.Provider(
            f"{name}-kubernetes",
            kubeconfig=self.kubeconfig,
            enable_server_side_apply=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(plane.access)),
        )
        nodes = self._nodes(name, context, add_ons)
        self._ready = [*nodes, *self._in_cluster(name)]
        report_cluster_findings(self, args, self._pools)
        self.register_outputs(
            {
                "name": name,
                "endpoint": self.endpoint,
                "kubeconfig": self.kubeconfig,
                "oidcIssuer": self.oidc_issuer,
                "vpcId": self.vpc_id,
                "nodeRoleArn": self.node_role_arn,
                "quotas": [dataclasses.asdict(need) for need in self.quotas],
            }
        )

    @property
    def kubernetes(self) -> k8s.Provider:
        return self._kubernetes

    @property
    def platform(self) -> Platform:
        return PLATFORM

    @property
    def pools(self) -> tuple[GpuPool, ...]:
        return tuple(self._pools)

    @property
    def images(self) -> Images:
        return self._args.images

    @property
    def ready(self) -> tuple[pulumi.Resource, ...]:
        return tuple(self._ready)

    def _own_or_given_aws(self, name: str) -> pulumi.ProviderResource:
        given = self.get_provider("aws:eks/cluster:Cluster")
        return given or aws.Provider(f"{name}-aws", region=self._args.region, opts=pulumi.ResourceOptions(parent=self))

    def _nodes(self, name: str, context: NodeContext, add_ons: AddOns) -> list[pulumi.Resource]:
        """The nodes of all pools, and the add-ons that run on those of the system pool."""
        management = self._args.node_management
        child = pulumi.ResourceOptions(parent=self, provider=self._aws)
        both = pulumi.ResourceOptions(parent=self, providers=[self._aws, self._kubernetes])
        if isinstance(management, AutoMode):
            pools = AutoModePools(
                f"{name}-pools", management, self._pools, context=context, kubernetes=self._kubernetes, opts=both
            )
            return [*pools.ready, *add_ons.after_nodes(pools.ready)]
        tagged = not isinstance(management, Karpenter) and management.cluster_autoscaler_tags
        system = system_node_group(name, self._args.system_pool, context, child, autoscaler_tags=tagged)
        running = add_ons.after_nodes([system])
        if isinstance(management, Karpenter):
            karpenter = KarpenterPools(
                f"{name}-pools",
                management,
                self._pools,
                context=context,
                kubernetes=self._kubernetes,
                system=[system, *running],
                opts=both,
            )
            return [system, *running, *karpenter.ready]
        groups = gpu_node_groups(name, self._pools, context, child, autoscaler_tags=tagged)
        return [system, *running, *groups]

    def _in_cluster(self, name: str) -> list[pulumi.Resource]:
        """What is made once per cluster for tenants and GPUs."""
        opts = pulumi.ResourceOptions(parent=self, provider=self._kubernetes)
        images = self._args.images
        made: list[pulumi.Resource] = [
            ClusterPolicies(f"{name}-policies", opts=opts),
            DeviceLayer(f"{name}-devices", self._pools, platform=PLATFORM, images=images, opts=opts),
        ]
        if not isinstance(self._args.node_management, AutoMode):
            made.append(
                EfaPlugin(
                    f"{name}-efa-plugin",
                    self._pools,
                    zones=self._args.zones,
                    region=self._args.region,
                    images=images,
                    opts=opts,
                )
            )
        return made
