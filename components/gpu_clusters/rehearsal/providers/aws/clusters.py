"""EKS's clusters, node groups and add-ons: what happens in the rehearsal's world when they are made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.aws.account import Account, Thing, digits
from gpu_clusters.rehearsal.providers.aws.making import CREATED
from gpu_clusters.rehearsal.providers.aws.node_groups import NODE_GROUP, is_untainted, simulated_pool
from gpu_clusters.rehearsal.providers.aws.outputs import merged
from gpu_clusters.rehearsal.providers.aws.reading import flag, objects, text, texts
from gpu_clusters.rehearsal.providers.aws.references import CLUSTER, SUBNET
from gpu_clusters.rehearsal.providers.aws.regions import domain
from gpu_clusters.rehearsal.providers.values import Properties
from gpu_clusters.rehearsal.world import Unchecked, World

ADDON: Final = "aws:eks/addon:Addon"
_FARGATE: Final = "aws:eks/fargateProfile:FargateProfile"
_POD_IDENTITY: Final = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
#: Add-ons whose Deployments need a node that takes pods without tolerations; EKS calls them DEGRADED without one, and
#: the provider gives up (terraform-aws-modules/terraform-aws-eks issue 3001).
_NEED_NODES: Final = frozenset(("coredns", "aws-ebs-csi-driver", "metrics-server"))
_EBS_CSI: Final = "aws-ebs-csi-driver"
#: AWS waits for 20 minutes; here nobody works on nodes any more after so many seconds in which nothing was made.
_QUIET_SECONDS: Final = 8.0
_POLL_SECONDS: Final = 0.1
#: What EKS calls the newest where no version is named isn't known, so the rehearsal's API server decides.
_SERVICE_CIDR: Final = "172.20.0.0/16"


class EksInWorld:
    """Plays what EKS does. One for an account and region."""

    def __init__(self, world: World, account: Account, region: str, activity: Activity) -> None:
        self._world, self._account, self._region, self._activity = world, account, region, activity

    def create(self, thing: Thing) -> Properties:
        """Make it in the world; what is only known then of its outputs."""
        token = thing.kind.token
        if token == CLUSTER:
            return self._create_cluster(thing)
        if token == NODE_GROUP:
            self._set_group(thing)
        elif token == ADDON:
            self._check_addon(thing)
        return {}

    def update(self, thing: Thing) -> None:
        """Change it in the world."""
        if thing.kind.token == NODE_GROUP:
            self._set_group(thing)

    def delete(self, thing: Thing) -> None:
        """Take it out of the world."""
        if thing.kind.token == CLUSTER:
            self._world.delete_cluster(text(thing.outputs, "endpoint"))
        elif thing.kind.token == NODE_GROUP:
            server = self._server(thing)
            if server:
                self._world.delete_pool(server, f"node group {thing.name}")

    def _create_cluster(self, thing: Thing) -> Properties:
        server = text(thing.outputs, "endpoint")
        self._world.create_cluster(server, name=thing.name, kubernetes_version=text(thing.outputs, "version"))
        return {"certificateAuthority": {"data": self._world.authority(server)}}

    def _set_group(self, thing: Thing) -> None:
        server = self._server(thing)
        if server:
            self._world.set_pool(server, simulated_pool(thing.outputs, thing.name, self._account, self._region))

    def _server(self, thing: Thing) -> str:
        """The API server of a thing's cluster; empty where this stack hasn't made the cluster."""
        cluster = self._account.named(CLUSTER, self._region, text(thing.outputs, "clusterName"))
        return text(cluster.outputs, "endpoint") if cluster else ""

    def _check_addon(self, thing: Thing) -> None:
        name, server = text(thing.outputs, "addonName"), self._server(thing)
        cluster = self._account.named(CLUSTER, self._region, text(thing.outputs, "clusterName"))
        if cluster is None or flag(cluster.outputs, "computeConfig", "enabled"):
            return
        if name in _NEED_NODES and not self._activity.wait_for(lambda: self._has_room(server, cluster.name)):
            raise OperationError(
                f"the add-on {name} stays DEGRADED (InsufficientNumberOfReplicas): no node takes its pods",
                "make a node group without taints, and the add-on after it (depends_on)",
            )
        if name == _EBS_CSI and not self._has_identity(thing, cluster):
            reason = "its controller has no IAM role of its own: give it one, or no volume can be made on AWS"
            self._world.journal.note(Unchecked(resource=f"add-on {name}", reason=reason))

    def _has_room(self, server: str, cluster_name: str) -> bool:
        profiles = self._account.all(_FARGATE, self._region)
        if any(text(one.outputs, "clusterName") == cluster_name for one in profiles):
            return True
        return any(is_untainted(pool) for pool in self._world.pools(server))

    def _has_identity(self, thing: Thing, cluster: Thing) -> bool:
        if text(thing.outputs, "serviceAccountRoleArn") or objects(thing.outputs, "podIdentityAssociations"):
            return True
        others = self._account.all(_POD_IDENTITY, self._region)
        return any(text(one.outputs, "clusterName") == cluster.name for one in others)


class Activity:
    """Who works on what in one account, so that one who waits knows when nothing more will come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._working = 0
        self._last = time.monotonic()
        self.cancelled = threading.Event()

    def __enter__(self) -> None:
        with self._lock:
            self._working += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._working -= 1
            self._last = time.monotonic()

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Wait until the condition holds, or until nobody has worked for a while; whether it holds."""
        self.__exit__()
        try:
            while not condition():
                with self._lock:
                    is_quiet = self._working == 0 and time.monotonic() - self._last > _QUIET_SECONDS
                if is_quiet or self.cancelled.wait(_POLL_SECONDS):
                    return condition()
            return True
        finally:
            self.__enter__()


def eks_outputs(thing: Thing, account: Account) -> Properties:
    """What EKS adds to the inputs of a cluster or a node group; all others as they are."""
    if thing.kind.token == CLUSTER:
        return merged(_cluster_outputs(thing, account), thing.outputs)
    if thing.kind.token == NODE_GROUP:
        return merged(_group_outputs(thing, account), thing.outputs)
    return thing.outputs


def _cluster_outputs(thing: Thing, account: Account) -> Properties:
    unique = digits(f"{thing.urn}{thing.id}", 32).upper()
    subnets = texts(thing.outputs, "vpcConfig", "subnetIds")
    first = account.get(SUBNET, thing.region, subnets[0]) if subnets else None
    host, issuer = (
        f"{unique}.gr7.{thing.region}.eks",
        f"https://oidc.eks.{thing.region}.{domain(thing.region)}/id/{unique}",
    )
    return {
        "endpoint": f"https://{host}.{domain(thing.region)}",
        "identities": [{"oidcs": [{"issuer": issuer}]}],
        "certificateAuthority": {"data": ""},
        "createdAt": CREATED,
        "platformVersion": "eks.1",
        "status": "ACTIVE",
        "version": "",
        "vpcConfig": {
            "clusterSecurityGroupId": f"sg-{digits(unique, 17)}",
            "vpcId": text(first.outputs, "vpcId") if first else "",
            "endpointPrivateAccess": False,
            "endpointPublicAccess": True,
            "publicAccessCidrs": ["0.0.0.0/0"],
        },
        "kubernetesNetworkConfig": {
            "ipFamily": "ipv4",
            "serviceIpv4Cidr": _SERVICE_CIDR,
            "serviceIpv6Cidr": "",
            "elasticLoadBalancing": {"enabled": False},
        },
        "accessConfig": {"authenticationMode": "CONFIG_MAP", "bootstrapClusterCreatorAdminPermissions": True},
        "upgradePolicy": {"supportType": "EXTENDED"},
        "deletionProtection": False,
        "bootstrapSelfManagedAddons": True,
    }


def _group_outputs(thing: Thing, account: Account) -> Properties:
    cluster = account.named(CLUSTER, thing.region, text(thing.outputs, "clusterName"))
    group = f"eks-{thing.name}-{digits(thing.urn + thing.id, 8)}"
    outputs: Properties = {
        "resources": [{"autoscalingGroups": [{"name": group}], "remoteAccessSecurityGroupId": ""}],
        "status": "ACTIVE",
        "capacityType": "ON_DEMAND",
        "version": text(cluster.outputs, "version") if cluster else "",
        "releaseVersion": "simulated",
        "updateConfig": {"maxUnavailable": 1},
    }
    if thing.outputs.get("launchTemplate"):
        return outputs
    return {**outputs, "amiType": "AL2023_x86_64_STANDARD", "diskSize": 20, "instanceTypes": ["t3.medium"]}
