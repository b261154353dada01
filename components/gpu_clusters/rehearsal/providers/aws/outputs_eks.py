"""What AWS fills in: EKS, save what the cluster itself says (`eks.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gpu_clusters.eks.versions import add_on_version, kubernetes_versions
from gpu_clusters.rehearsal.providers.aws.identities import text
from gpu_clusters.rehearsal.providers.aws.making import CREATED, Making
from gpu_clusters.rehearsal.providers.plausible import digest
from gpu_clusters.rehearsal.providers.values import Properties, Value, reveal

CLUSTER: Final = "aws:eks/cluster:Cluster"
NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
#: Stands for the release that EKS chooses where the program names none; no real release is called so.
_SIMULATED_RELEASE: Final = "{version}.0-00000000"


def inner(properties: Properties, *keys: str) -> Properties:
    """An object among the properties, without secret marks; empty where there is none."""
    here: Value = properties
    for key in keys:
        here = reveal(here)
        here = here.get(key) if isinstance(here, dict) else None
    here = reveal(here)
    return here if isinstance(here, dict) else {}


def texts(value: Value) -> list[str]:
    """The texts of a list; none where it is none."""
    shown = reveal(value)
    return [item for item in shown if isinstance(item, str)] if isinstance(shown, list) else []


def version_of(making: Making) -> str:
    """The Kubernetes version of a cluster: the program's, else what it has, else the newest that the library knows."""
    return text(making.inputs, "version") or text(making.old, "version") or kubernetes_versions()[0].version


def _cluster(making: Making) -> Properties:
    number = making.seed[:32].upper()
    region, domain = making.place.region, making.place.domain
    subnet = next((making.made.find(one) for one in texts(inner(making.inputs, "vpcConfig").get("subnetIds"))), None)
    return {
        "accessConfig": {"authenticationMode": "CONFIG_MAP", "bootstrapClusterCreatorAdminPermissions": True},
        "bootstrapSelfManagedAddons": True,
        "createdAt": CREATED,
        "deletionProtection": False,
        "endpoint": f"https://{number}.gr7.{region}.eks.{domain}",
        "identities": [{"oidcs": [{"issuer": f"https://oidc.eks.{region}.{domain}/id/{number}"}]}],
        "kubernetesNetworkConfig": {
            "ipFamily": "ipv4",
            "serviceIpv4Cidr": "172.20.0.0/16",
            "elasticLoadBalancing": {"enabled": False},
        },
        "platformVersion": "eks.1",
        "status": "ACTIVE",
        "upgradePolicy": {"supportType": "EXTENDED"},
        "version": version_of(making),
        "vpcConfig": {
            "clusterSecurityGroupId": making.id_of("sg", "cluster"),
            "endpointPrivateAccess": False,
            "endpointPublicAccess": True,
            "publicAccessCidrs": ["0.0.0.0/0"],
            "vpcId": text(subnet.inputs, "vpcId") if subnet else making.id_of("vpc", "existing"),
        },
    }


def _node_group(making: Making) -> Properties:
    cluster = making.made.find(text(making.inputs, "clusterName"))
    version = text(making.old, "version") or (text(cluster.outputs, "version") if cluster else "")
    version = text(making.inputs, "version") or version
    has_template = bool(inner(making.inputs, "launchTemplate"))
    name = text(making.inputs, "nodeGroupName")
    uuid = making.identity.arn.rpartition("/")[2]
    is_custom = text(making.inputs, "amiType") == "CUSTOM"
    release = "" if is_custom else _SIMULATED_RELEASE.format(version=version)
    template = making.made.find(text(inner(making.inputs, "launchTemplate"), "id"))
    said_types = making.inputs.get("instanceTypes") is not None
    filled: Properties = {
        "amiType": "AL2023_x86_64_STANDARD",
        "capacityType": "ON_DEMAND",
        "diskSize": 0 if has_template else 20,
        "instanceTypes": [] if has_template and not said_types else ["t3.medium"],
        "releaseVersion": text(making.inputs, "releaseVersion") or release,
        "resources": [{"autoscalingGroups": [{"name": f"eks-{name}-{uuid}"}], "remoteAccessSecurityGroupId": ""}],
        "status": "ACTIVE",
        "updateConfig": {} if making.inputs.get("updateConfig") else {"maxUnavailable": 1},
        "version": version,
    }
    if has_template:
        filled["launchTemplate"] = {"name": text(template.outputs, "name") if template else ""}
    return filled


def _addon(making: Making) -> Properties:
    cluster = making.made.find(text(making.inputs, "clusterName"))
    kubernetes = text(cluster.outputs, "version") if cluster else ""
    known = add_on_version(text(making.inputs, "addonName"), kubernetes)
    return {
        "addonVersion": text(making.old, "addonVersion") or known or "v0.0.0-eksbuild.0",
        "createdAt": CREATED,
        "modifiedAt": CREATED,
        "configurationValues": "",
    }


def _access_entry(making: Making) -> Properties:
    principal = text(making.inputs, "principalArn")
    account, _, path = principal.rpartition(":")[0].rpartition(":")[2], "", principal.rpartition(":")[2]
    is_role = path.startswith("role/")
    user = f"arn:{making.place.partition}:sts::{account}:assumed-role/{path.rpartition('/')[2]}/{{{{SessionName}}}}"
    return {
        "accessEntryArn": making.identity.arn,
        "createdAt": CREATED,
        "modifiedAt": CREATED,
        "kubernetesGroups": [],
        "type": "STANDARD",
        "userName": user if is_role else principal,
    }


def _policy_association(making: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"associatedAt": CREATED, "modifiedAt": CREATED}


def _pod_identity(making: Making) -> Properties:
    return {
        "associationArn": making.identity.arn,
        "associationId": making.identity.id,
        "disableSessionTags": False,
        "externalId": digest(making.seed)[:32] if making.inputs.get("targetRoleArn") else "",
    }


def _fargate_profile(making: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"status": "ACTIVE"}


#: By type token.
EKS: Final[Mapping[str, Callable[[Making], Properties]]] = {
    CLUSTER: _cluster,
    NODE_GROUP: _node_group,
    "aws:eks/addon:Addon": _addon,
    "aws:eks/accessEntry:AccessEntry": _access_entry,
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": _policy_association,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _pod_identity,
    "aws:eks/fargateProfile:FargateProfile": _fargate_profile,
}
