"""The control plane: EKS's cluster with its key, its logs and its access entries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from gpu_clusters.eks import auto_mode
from gpu_clusters.eks.access_entries import POLICY_NAMES, AccessEntry
from gpu_clusters.eks.args import EksClusterArgs
from gpu_clusters.eks.autoscaling import AutoMode
from gpu_clusters.eks.iam import ClusterRoles
from gpu_clusters.eks.network import ClusterNetwork
from gpu_clusters.eks.regions import partition

#: KMS waits this long before it deletes a key (KMS API reference, ScheduleKeyDeletion: 7 to 30): without it no Secret
#: of the cluster can be read any more.
_KEY_DELETION_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """A cluster without nodes.

    Attributes:
        cluster: EKS's.
        kubeconfig: secret; it asks the AWS CLI for a token when it is used.
        access: the access entries; without them nobody may do anything in it.
    """

    cluster: aws.eks.Cluster
    kubeconfig: pulumi.Output[str]
    access: Sequence[pulumi.Resource]


def control_plane(
    name: str,
    args: EksClusterArgs,
    network: ClusterNetwork,
    roles: ClusterRoles,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> ControlPlane:
    """The cluster, which is called `name` at AWS, so that it is known in a preview."""
    # EKS makes the log group itself, with logs kept for ever, unless it is there first.
    logs = aws.cloudwatch.LogGroup(
        f"{name}-logs",
        name=f"/aws/eks/{name}/cluster",
        retention_in_days=args.log_retention_days,
        tags={**tags, "Name": f"{name}-logs"},
        opts=opts,
    )
    own = pulumi.ResourceOptions(
        depends_on=[logs, *roles.ready, *network.ready],
        # EKS refuses too, but only when all nodes are gone already.
        protect=args.deletion_protection,
        # EKS has one cluster of a name.
        delete_before_replace=True,
    )
    management = args.node_management
    auto = auto_mode.cluster_settings(management, roles.node.arn) if isinstance(management, AutoMode) else None
    cluster = aws.eks.Cluster(
        f"{name}-cluster",
        name=name,
        role_arn=roles.cluster.arn,
        version=args.kubernetes_version,
        vpc_config=_vpc_config(args, network),
        access_config=aws.eks.ClusterAccessConfigArgs(
            authentication_mode="API", bootstrap_cluster_creator_admin_permissions=False
        ),
        # What EKS would install by itself isn't an add-on, and nobody upgrades it.
        bootstrap_self_managed_addons=False,
        encryption_config=aws.eks.ClusterEncryptionConfigArgs(
            provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=_key(name, args, tags, opts)),
            resources=["secrets"],
        ),
        enabled_cluster_log_types=sorted(set(args.logs)),
        upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type=args.upgrade_policy.upper()),
        deletion_protection=args.deletion_protection,
        compute_config=auto.compute if auto else None,
        storage_config=auto.storage if auto else None,
        kubernetes_network_config=aws.eks.ClusterKubernetesNetworkConfigArgs(elastic_load_balancing=auto.load_balancing)
        if auto
        else None,
        tags={**tags, "Name": name},
        opts=pulumi.ResourceOptions.merge(opts, own),
    )
    access = [made for entry in args.access for made in _access(name, entry, args.region, cluster, tags, opts)]
    return ControlPlane(cluster=cluster, kubeconfig=_kubeconfig(name, args.region, cluster), access=access)


def _vpc_config(args: EksClusterArgs, network: ClusterNetwork) -> aws.eks.ClusterVpcConfigArgs:
    public = args.public_endpoint
    return aws.eks.ClusterVpcConfigArgs(
        subnet_ids=list(network.private_subnets.values()),
        endpoint_private_access=True,
        endpoint_public_access=public is not None,
        public_access_cidrs=list(public.cidrs) if public else None,
    )


def _key(name: str, args: EksClusterArgs, tags: Mapping[str, str], opts: pulumi.ResourceOptions) -> pulumi.Input[str]:
    if args.kms_key_arn is not None:
        return args.kms_key_arn
    key = aws.kms.Key(
        f"{name}-secrets",
        description=f"Kubernetes Secrets of the EKS cluster {name}",
        enable_key_rotation=True,
        deletion_window_in_days=_KEY_DELETION_DAYS,
        tags={**tags, "Name": f"{name}-secrets"},
        opts=opts,
    )
    return key.arn


def _access(
    name: str,
    entry: AccessEntry,
    region: str,
    cluster: aws.eks.Cluster,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    # By the principal, so that removing one entry doesn't rename the others. It may be of another account (EKS user
    # guide, "Create access entries"), so the account is part of it.
    logical = f"{name}-{entry.principal_arn.partition(':iam::')[2].replace(':', '-').replace('/', '-')}"
    made = aws.eks.AccessEntry(
        logical,
        cluster_name=cluster.name,
        principal_arn=entry.principal_arn,
        kubernetes_groups=list(entry.groups) or None,
        type="STANDARD",
        tags={**tags, "Name": logical},
        opts=opts,
    )
    if entry.policy is None:
        return [made]
    policy = aws.eks.AccessPolicyAssociation(
        logical,
        cluster_name=cluster.name,
        principal_arn=entry.principal_arn,
        policy_arn=f"arn:{partition(region)}:eks::aws:cluster-access-policy/{POLICY_NAMES[entry.policy]}",
        access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(
            type="namespace" if entry.namespaces else "cluster", namespaces=list(entry.namespaces) or None
        ),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[made])),
    )
    return [made, policy]


def _kubeconfig(name: str, region: str, cluster: aws.eks.Cluster) -> pulumi.Output[str]:
    def written(parts: Sequence[str]) -> str:
        endpoint, authority = parts
        exec_plugin = {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "aws",
            "args": ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"],
            "interactiveMode": "Never",
        }
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
                "users": [{"name": name, "user": {"exec": exec_plugin}}],
                "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
                "current-context": name,
            }
        )

    authority = cluster.certificate_authority.apply(lambda found: found.data or "")
    return pulumi.Output.secret(pulumi.Output.all(cluster.endpoint, authority).apply(written))
