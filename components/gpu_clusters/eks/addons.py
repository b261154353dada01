"""EKS add-ons, in the order in which they can come up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from gpu_clusters.eks.args import BEFORE_NODES, EksClusterArgs
from gpu_clusters.eks.iam import attach, pod_role
from gpu_clusters.eks.versions import add_on_version

#: NetworkPolicies are only enforced if the add-on is told to (EKS user guide, "Limit Pod traffic with Kubernetes
#: network policies").
_CONFIGURATION: Final[Mapping[str, Mapping[str, object]]] = {"vpc-cni": {"enableNetworkPolicy": "true"}}


@dataclass(frozen=True, slots=True)
class _Identity:
    """The service account of a driver, and AWS's policy for its role."""

    service_account: str
    policy: str


#: EKS user guide, "Use Kubernetes volume storage with Amazon EBS", "... with Amazon EFS", "... with Amazon FSx for
#: Lustre".
_IDENTITIES: Final = {
    "aws-ebs-csi-driver": _Identity("ebs-csi-controller-sa", "service-role/AmazonEBSCSIDriverPolicy"),
    "aws-efs-csi-driver": _Identity("efs-csi-controller-sa", "service-role/AmazonEFSCSIDriverPolicy"),
    "aws-fsx-csi-driver": _Identity("fsx-csi-controller-sa", "AmazonFSxFullAccess"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOns:
    """What add-ons are made with.

    Attributes:
        name: the cluster's logical name; an add-on is `<name>-<add-on>`.
        cluster: EKS's.
        tags: on every resource.
        opts: with the parent and the provider.
    """

    name: str
    args: EksClusterArgs
    cluster: aws.eks.Cluster
    tags: Mapping[str, str]
    opts: pulumi.ResourceOptions

    def before_nodes(self) -> list[aws.eks.Addon]:
        """What a node needs to become ready: its network, and the agent that gives pods their roles."""
        return [self._made(add_on, ()) for add_on in self.args.add_ons if add_on in BEFORE_NODES]

    def after_nodes(self, nodes: Sequence[pulumi.Resource]) -> list[aws.eks.Addon]:
        """What runs on nodes: without one that has no taints CoreDNS stays DEGRADED (terraform-aws-modules/
        terraform-aws-eks issue 3001)."""
        return [self._made(add_on, nodes) for add_on in self.args.add_ons if add_on not in BEFORE_NODES]

    def _made(self, add_on: str, after: Sequence[pulumi.Resource]) -> aws.eks.Addon:
        logical = f"{self.name}-{add_on}"
        identity = _IDENTITIES.get(add_on)
        needed = [*after]
        associations = None
        if identity is not None:
            role = pod_role(logical, self.tags, self.opts)
            needed.append(attach(logical, role, identity.policy, self.args.region, self.opts))
            associations = [
                aws.eks.AddonPodIdentityAssociationArgs(role_arn=role.arn, service_account=identity.service_account)
            ]
        configuration = _CONFIGURATION.get(add_on)
        return aws.eks.Addon(
            logical,
            cluster_name=self.cluster.name,
            addon_name=add_on,
            addon_version=pinned_version(add_on, self.args),
            configuration_values=json.dumps(configuration) if configuration else None,
            pod_identity_associations=associations,
            # What somebody changed by hand mustn't keep an update from being made.
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            tags={**self.tags, "Name": logical},
            opts=pulumi.ResourceOptions.merge(self.opts, pulumi.ResourceOptions(depends_on=needed)),
        )


def pinned_version(add_on: str, args: EksClusterArgs) -> str | None:
    """The version of an add-on: the user's, else the catalogue's, else None, which leaves it to EKS."""
    return args.add_on_versions.get(add_on) or add_on_version(add_on, args.kubernetes_version)
