"""What EKS refuses of clusters and add-ons, of which its models say nothing. Node groups: `rules_node_groups.py`.

Sources: EKS API reference, CreateCluster, CreateAddon, VpcConfigRequest, KubernetesNetworkConfigRequest; EKS user
guide, "Update existing cluster to new Kubernetes version", "Amazon EKS cluster IAM role", "Create an Amazon EKS Auto
Mode cluster".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from gpu_clusters.eks.versions import version_problems
from gpu_clusters.rehearsal.providers.aws.launch_templates import part, parts
from gpu_clusters.rehearsal.providers.aws.made import Existing, Made
from gpu_clusters.rehearsal.providers.aws.policies import statements, texts
from gpu_clusters.rehearsal.providers.aws.references import named
from gpu_clusters.rehearsal.providers.aws.shapes import nearest
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Value, reveal
from gpu_clusters.rehearsal.world import Unchecked

CLUSTER: Final = "aws:eks/cluster:Cluster"
NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
SUBNET: Final = "aws:ec2/subnet:Subnet"
ROLE: Final = "aws:iam/role:Role"
_POD_IDENTITY: Final = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
_PRIVATE: Final = tuple(ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_SERVICE_PREFIXES: Final = (12, 24)
_MODES: Final = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")
_EBS_CSI: Final = "aws-ebs-csi-driver"


def failures(kind: str, inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    """What EKS would refuse of a cluster, or of something in one."""
    rule = _RULES.get(kind)
    if kind.startswith("aws:eks/") and kind != CLUSTER:
        yield from _cluster_name_failures(inputs, made)
    if rule is not None:
        yield from rule(inputs, made)


def minor(version: Value) -> int | None:
    """35 of `1.35`."""
    found = re.fullmatch(r"1\.(\d+)", version) if isinstance(version, str) else None
    return int(found[1]) if found else None


def zones(subnets: Value, made: Made) -> list[str] | None:
    """The zone of every subnet of a list; None unless all of them are made here."""
    if not isinstance(subnets, list):
        return None
    found = [named(made, item, SUBNET) for item in subnets]
    return [_zone(item) for item in found if item is not None] if None not in found else None


def trust_failures(
    role: Value, service: str, path: str, made: Made, *, session: bool = False
) -> Iterator[CheckFailure]:
    """A role that a service can't assume. `session`: it has to tag its sessions too."""
    found = named(made, role, ROLE)
    if found is None:
        return
    actions: set[str] = set()
    for item in statements(found.inputs.get("assumeRolePolicy")):
        principal = item.get("Principal")
        services = texts(principal.get("Service")) if isinstance(principal, dict) else texts(principal)
        if item.get("Effect") == "Allow" and (service in services or "*" in services):
            actions.update(texts(item.get("Action")))
    if not actions & {"sts:AssumeRole", "sts:*", "*"}:
        yield CheckFailure(
            path, f"the role {found.id} isn't for {service}; let it `sts:AssumeRole` in its trust policy"
        )
    elif session and not actions & {"sts:TagSession", "sts:*", "*"}:
        yield CheckFailure(
            path, f"{service} may not tag its sessions; add `sts:TagSession` to {found.id}'s trust policy"
        )


def _zone(subnet: Existing) -> str:
    known = {**subnet.inputs, **subnet.outputs}
    return str(reveal(known.get("availabilityZoneId") or known.get("availabilityZone") or subnet.id))


def _cluster_name_failures(inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    name = inputs.get("clusterName")
    clusters = [str(one.outputs.get("name") or one.id) for one in made.of(CLUSTER)]
    if not isinstance(name, str) or not name or name in clusters or named(made, name, CLUSTER):
        return
    if clusters:
        yield CheckFailure("clusterName", f"there is no cluster {name!r}; use {nearest(name, clusters)}")
    else:
        made.journal.note(Unchecked(resource=name, reason="not made by this stack, taken to exist"))


def _cluster(inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    network = part(inputs, "vpcConfig")
    is_auto = part(inputs, "computeConfig").get("enabled") is True
    yield from _version_failures(inputs, made)
    yield from _subnet_failures(network, made)
    if network.get("endpointPublicAccess") is False and network.get("endpointPrivateAccess") in (None, False):
        yield CheckFailure("vpcConfig.endpointPrivateAccess", "nobody could reach it; make it true, or the public one")
    yield from trust_failures(inputs.get("roleArn"), "eks.amazonaws.com", "roleArn", made, session=is_auto)
    yield from _service_range_failures(inputs, network, made)
    yield from _auto_mode_failures(inputs, is_auto=is_auto)
    yield from _mode_failures(inputs, made)


def _version_failures(inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    version = inputs.get("version")
    if not isinstance(version, str):
        return
    for error in version_problems(version):
        yield CheckFailure("version", f"{error.problem}; {error.remedy}")
    there = named(made, inputs.get("name"), CLUSTER)
    before, after = minor(there.inputs.get("version")) if there else None, minor(version)
    if before is None or after is None or before == after:
        return
    if after < before:
        yield CheckFailure("version", f"EKS can't go back from 1.{before} to {version}; make a new cluster for that")
    elif after > before + 1:
        yield CheckFailure(
            "version", f"EKS goes one minor version at a time, not from 1.{before} to {version}; go to 1.{before + 1}"
        )


def _subnet_failures(network: Mapping[str, Value], made: Made) -> Iterator[CheckFailure]:
    subnets = network.get("subnetIds")
    there = zones(subnets, made)
    if isinstance(subnets, list) and UNKNOWN not in subnets and len(subnets) < 2:
        yield CheckFailure("vpcConfig.subnetIds", "a cluster needs subnets in two zones; add one")
    elif there is not None and len(set(there)) < 2:
        yield CheckFailure("vpcConfig.subnetIds", f"all of them are in {there[0]}, and EKS needs two zones; add one")
    if isinstance(subnets, list):
        vpcs = {str(item.inputs.get("vpcId")) for one in subnets if (item := named(made, one, SUBNET))}
        if len(vpcs) > 1:
            yield CheckFailure("vpcConfig.subnetIds", "they are in several VPCs; use subnets of one")


def _service_range_failures(inputs: Properties, network: Mapping[str, Value], made: Made) -> Iterator[CheckFailure]:
    path, text = (
        "kubernetesNetworkConfig.serviceIpv4Cidr",
        part(inputs, "kubernetesNetworkConfig").get("serviceIpv4Cidr"),
    )
    try:
        services = ipaddress.IPv4Network(text) if isinstance(text, str) else None
    except ValueError:
        return
    if services is None:
        return
    least, most = _SERVICE_PREFIXES
    if not least <= services.prefixlen <= most:
        yield CheckFailure(path, f"{services} is not between /{least} and /{most}; use one of those")
    elif not any(services.subnet_of(private) for private in _PRIVATE):
        yield CheckFailure(path, f"{services} is not private; use a part of {', '.join(map(str, _PRIVATE))}")
    subnets = network.get("subnetIds")
    found = named(made, subnets[0], SUBNET) if isinstance(subnets, list) and subnets else None
    vpc = named(made, found.inputs.get("vpcId"), "aws:ec2/vpc:Vpc") if found else None
    taken = vpc.inputs.get("cidrBlock") if vpc else None
    if isinstance(taken, str) and services.overlaps(ipaddress.IPv4Network(taken)):
        yield CheckFailure(path, f"{services} overlaps the VPC's {taken}; use another range")


def _auto_mode_failures(inputs: Properties, *, is_auto: bool) -> Iterator[CheckFailure]:
    switches = {
        "storageConfig.blockStorage.enabled": part(part(inputs, "storageConfig"), "blockStorage").get("enabled"),
        "kubernetesNetworkConfig.elasticLoadBalancing.enabled": part(
            part(inputs, "kubernetesNetworkConfig"), "elasticLoadBalancing"
        ).get("enabled"),
    }
    for path, value in switches.items():
        if value is not UNKNOWN and (value is True) != is_auto:
            yield CheckFailure(
                path, f"Auto Mode is on or off as a whole; set it to {str(is_auto).lower()} as compute is"
            )
    compute = part(inputs, "computeConfig")
    if UNKNOWN in compute.values():
        return
    if is_auto and inputs.get("bootstrapSelfManagedAddons") is not False:
        yield CheckFailure("bootstrapSelfManagedAddons", "Auto Mode has these built in; set it to false")
    if bool(compute.get("nodePools")) != bool(compute.get("nodeRoleArn")):
        yield CheckFailure("computeConfig.nodeRoleArn", "goes with `nodePools`; give both or neither")


def _mode_failures(inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    mode = part(inputs, "accessConfig").get("authenticationMode")
    there = named(made, inputs.get("name"), CLUSTER)
    before = part(there.inputs, "accessConfig").get("authenticationMode") if there else None
    if mode in _MODES and before in _MODES and _MODES.index(str(mode)) < _MODES.index(str(before)):
        yield CheckFailure(
            "accessConfig.authenticationMode", f"EKS can't go back from {before} to {mode}; keep {before}"
        )


def _access_entry(inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    cluster = named(made, inputs.get("clusterName"), CLUSTER)
    # What EKS has where a program says nothing (API reference, CreateAccessConfigRequest).
    mode = part(cluster.inputs, "accessConfig").get("authenticationMode") or "CONFIG_MAP" if cluster else None
    if mode == "CONFIG_MAP":
        yield CheckFailure(
            "clusterName", "it takes no access entries; set its `accessConfig.authenticationMode` to API"
        )


def _pod_identity(inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    yield from trust_failures(inputs.get("roleArn"), "pods.eks.amazonaws.com", "roleArn", made, session=True)


def _add_on(inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    if named_add_on(inputs, made):
        # Nodes and roles may come after an add-on; once it is there, so are they.
        yield from add_on_problems(inputs, made)


def named_add_on(inputs: Properties, made: Made) -> bool:
    """Whether an add-on is there already."""
    wanted = (inputs.get("clusterName"), inputs.get("addonName"))
    return any(
        (one.inputs.get("clusterName"), one.inputs.get("addonName")) == wanted for one in made.of("aws:eks/addon:Addon")
    )


def add_on_problems(inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    """What keeps an add-on DEGRADED, when everything else of the stack is there."""
    name, cluster = inputs.get("addonName"), named(made, inputs.get("clusterName"), CLUSTER)
    if cluster is None or part(cluster.inputs, "computeConfig").get("enabled") is True:
        return
    groups = [one for one in made.of(NODE_GROUP) if one.inputs.get("clusterName") == inputs.get("clusterName")]
    tainted = [
        any(item.get("effect") != "PREFER_NO_SCHEDULE" for item in parts(one.inputs, "taints")) for one in groups
    ]
    if name == "coredns" and groups and all(tainted) and not inputs.get("configurationValues"):
        yield CheckFailure(
            "addonName", "no node group is without taints, so that it stays DEGRADED; add an untainted one"
        )
    roles = (inputs.get("serviceAccountRoleArn"), inputs.get("podIdentityAssociations"))
    associated = any("ebs-csi" in str(one.inputs.get("serviceAccount")) for one in made.of(_POD_IDENTITY))
    attached = any(
        "EBSCSI" in str(one.inputs.get("policyArn"))
        for one in made.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    )
    if name == _EBS_CSI and not any(roles) and not associated and not attached:
        yield CheckFailure("podIdentityAssociations", "it has no role to make volumes with; give it one")


_RULES: Final[Mapping[str, Callable[[Properties, Made], Iterator[CheckFailure]]]] = {
    CLUSTER: _cluster,
    "aws:eks/accessEntry:AccessEntry": _access_entry,
    _POD_IDENTITY: _pod_identity,
    "aws:eks/addon:Addon": _add_on,
}
