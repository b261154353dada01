"""What inputs refer to: whether it is there, of the right kind, and in the right place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from gpu_clusters.rehearsal.providers.aws.account import Account, Thing
from gpu_clusters.rehearsal.providers.aws.catalogue import Reference, ResourceType, reference
from gpu_clusters.rehearsal.providers.aws.reading import leaves, text
from gpu_clusters.rehearsal.providers.aws.regions import ACCOUNT, partition, zone_id, zone_ids
from gpu_clusters.rehearsal.providers.aws.rules import network, property_of
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import Properties
from gpu_clusters.rehearsal.world import Journal, Unchecked

SUBNET: Final = "aws:ec2/subnet:Subnet"
VPC: Final = "aws:ec2/vpc:Vpc"
CLUSTER: Final = "aws:eks/cluster:Cluster"
ROLE: Final = "aws:iam/role:Role"
_EC2_ID: Final = re.compile(r"[a-z]+-(?:[0-9a-f]{8}|[0-9a-f]{17})\Z")
_ARN: Final = re.compile(r"arn:(?P<partition>[\w-]+):(?P<service>[\w-]+):[\w-]*:(?P<account>\d*|aws):(?P<rest>.+)\Z")


class References:
    """Checks references against what was made. What nothing here made is taken to exist, and noted."""

    def __init__(self, account: Account, region: str, journal: Journal) -> None:
        self._account, self._region, self._journal = account, region, journal

    def failures(self, kind: ResourceType, urn: str, inputs: Properties) -> Iterator[CheckFailure]:
        """Every reference of the inputs that can't be meant."""
        for path, value in leaves(inputs):
            name = property_of(path)
            if not isinstance(value, str) or not value:
                continue
            if name in ("arn", "policyArn", "principalArn") or name.endswith("Arn"):
                yield from self._arn(path, value)
            meant = reference(name)
            if meant is not None and not (name == "roleArn" and kind.service == "events"):
                yield from self._reference(path, value, meant)
        yield from self._zones(inputs)
        if kind.token == SUBNET:
            yield from self._subnet(urn, inputs)

    def _reference(self, path: str, value: str, meant: Reference) -> Iterator[CheckFailure]:
        if meant.form == "name":
            yield from self._named(path, value, meant.type)
        elif meant.form.startswith("arn:"):
            yield from self._arn_of(path, value, meant)
        else:
            yield from self._id(path, value, meant)

    def _id(self, path: str, value: str, meant: Reference) -> Iterator[CheckFailure]:
        prefixes = meant.form.split()
        if not value.startswith(tuple(prefixes)):
            # An AMI may be named by a parameter of Systems Manager.
            if "ami-" in prefixes and value.startswith("resolve:ssm:"):
                return
            yield CheckFailure(path, f"{value!r} isn't an id that begins with {' or '.join(prefixes)}; give one")
        elif value != "local" and not _EC2_ID.match(value):
            yield CheckFailure(path, f"{value!r} isn't an id of AWS's; after the dash come 17 (or 8) hex digits")
        elif meant.type and self._account.get(meant.type, self._region, value) is None:
            yield from self._absent(path, value, meant.type)

    def _absent(self, path: str, value: str, token: str) -> Iterator[CheckFailure]:
        if self._account.was_deleted(token, value):
            yield CheckFailure(path, f"{value} was deleted; refer to what is there")
        elif not self._is_clusters_own(value):
            self._journal.note(Unchecked(resource=value, reason="not made by this stack: taken to exist"))

    def _is_clusters_own(self, value: str) -> bool:
        """EKS makes a security group for each cluster."""
        clusters = self._account.all(CLUSTER, self._region)
        return any(text(one.outputs, "vpcConfig", "clusterSecurityGroupId") == value for one in clusters)

    def _named(self, path: str, value: str, token: str) -> Iterator[CheckFailure]:
        if self._account.named(token, self._region, value) or self._account.is_planned(token, self._region, value):
            return
        there = [one.name for one in self._account.all(token, self._region)]
        if self._account.was_deleted(token, value):
            yield CheckFailure(path, f"{value} was deleted; refer to what is there")
        elif there:
            near = get_close_matches(value, there, n=1, cutoff=0) or there
            yield CheckFailure(path, f"no cluster is called {value!r}; did you mean {near[0]}?")
        else:
            self._journal.note(Unchecked(resource=value, reason="not made by this stack: taken to exist"))

    def _arn(self, path: str, value: str) -> Iterator[CheckFailure]:
        found = _ARN.match(value)
        if value.startswith(("http://", "https://")):
            return
        if found is None:
            yield CheckFailure(
                path, f"{value!r} isn't an ARN; write arn:<partition>:<service>:<region>:<account>:<name>"
            )
        elif found["partition"] != partition(self._region):
            own = partition(self._region)
            yield CheckFailure(path, f"{value} is of the partition {found['partition']}; {self._region} is in {own}")

    def _arn_of(self, path: str, value: str, meant: Reference) -> Iterator[CheckFailure]:
        _, service, kind = meant.form.split(":")
        found = _ARN.match(value)
        if found is None:
            # `_arn` has said so where the property's name says that it is one.
            if not property_of(path).endswith("Arn"):
                yield CheckFailure(path, f"{value!r} isn't the ARN of a {kind}; give one")
            return
        if found["service"] != service or not found["rest"].startswith(f"{kind}/"):
            yield CheckFailure(path, f"{value} isn't the ARN of a {kind} ({service}); give one")
        elif self._account.with_arn(value) is None:
            if found["account"] == ACCOUNT:
                yield CheckFailure(path, f"nothing has made {value}; refer to the resource that is meant")
            else:
                yield from self._absent(path, value, meant.type)

    def _zones(self, inputs: Properties) -> Iterator[CheckFailure]:
        known = zone_ids(self._region)
        wanted = text(inputs, "availabilityZoneId")
        if wanted and wanted.rpartition("-")[0] != known[0].rpartition("-")[0]:
            yield CheckFailure("availabilityZoneId", f"{wanted} isn't a zone of {self._region}; use {', '.join(known)}")
        name = text(inputs, "availabilityZone")
        if name and not (zone_id(self._region, name) or re.fullmatch(rf"{self._region}(-[\w-]+)?[a-z]", name)):
            yield CheckFailure("availabilityZone", f"{name} isn't a zone of {self._region}; use {self._region}a")

    def _subnet(self, urn: str, inputs: Properties) -> Iterator[CheckFailure]:
        block, vpc_id = network(text(inputs, "cidrBlock")), text(inputs, "vpcId")
        vpc = self._account.get(VPC, self._region, vpc_id)
        whole = network(text(vpc.outputs, "cidrBlock")) if vpc else None
        if block is None or whole is None or block.version != whole.version:
            return
        if not (int(whole[0]) <= int(block[0]) and int(block[-1]) <= int(whole[-1])):
            yield CheckFailure("cidrBlock", f"{block} isn't within {whole} of its VPC; choose a part of that")
        for other in self._account.all(SUBNET, self._region):
            taken = network(text(other.outputs, "cidrBlock"))
            is_beside = other.urn != urn and text(other.outputs, "vpcId") == vpc_id
            if is_beside and taken and int(taken[0]) <= int(block[-1]) and int(block[0]) <= int(taken[-1]):
                yield CheckFailure("cidrBlock", f"{block} overlaps {taken} of {other.id}; choose another part")


#: What AWS refuses to delete while something else refers to it: the type, and who refers to it by which property.
#: Sources: EC2 API reference, DeleteVpc, DeleteSubnet, DeleteSecurityGroup (DependencyViolation); IAM API reference,
#: DeleteRole and DeletePolicy (DeleteConflict); EKS API reference, DeleteCluster (ResourceInUseException); EFS API
#: reference, DeleteFileSystem (FileSystemInUse).
_HELD_BY: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    VPC: (
        (SUBNET, "vpcId"),
        ("aws:ec2/securityGroup:SecurityGroup", "vpcId"),
        ("aws:ec2/routeTable:RouteTable", "vpcId"),
        ("aws:ec2/internetGateway:InternetGateway", "vpcId"),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", "vpcId"),
    ),
    SUBNET: (
        ("aws:ec2/natGateway:NatGateway", "subnetId"),
        ("aws:ec2/instance:Instance", "subnetId"),
        ("aws:efs/mountTarget:MountTarget", "subnetId"),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", "subnetIds"),
        ("aws:eks/nodeGroup:NodeGroup", "subnetIds"),
        (CLUSTER, "vpcConfig.subnetIds"),
    ),
    "aws:ec2/securityGroup:SecurityGroup": (
        (CLUSTER, "vpcConfig.securityGroupIds"),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", "securityGroupIds"),
        ("aws:ec2/instance:Instance", "vpcSecurityGroupIds"),
        ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "referencedSecurityGroupId"),
        ("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "referencedSecurityGroupId"),
        ("aws:ec2/securityGroupRule:SecurityGroupRule", "sourceSecurityGroupId"),
    ),
    ROLE: (
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "role"),
        ("aws:iam/rolePolicy:RolePolicy", "role"),
        ("aws:iam/instanceProfile:InstanceProfile", "role"),
    ),
    "aws:iam/policy:Policy": (("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "policyArn"),),
    CLUSTER: (
        ("aws:eks/nodeGroup:NodeGroup", "clusterName"),
        ("aws:eks/fargateProfile:FargateProfile", "clusterName"),
    ),
    "aws:efs/fileSystem:FileSystem": (("aws:efs/mountTarget:MountTarget", "fileSystemId"),),
}


def holders(account: Account, thing: Thing) -> list[Thing]:
    """What keeps AWS from deleting a thing."""
    names = {name for name in (thing.id, thing.arn, thing.name) if name}
    found: list[Thing] = []
    for token, path in _HELD_BY.get(thing.kind.token, ()):
        for other in account.all(token):
            own = [value for _, value in leaves(other.inputs)] if "." in path else None
            values = own if own is not None else [value for _, value in leaves(other.inputs.get(path))]
            if other.urn != thing.urn and names & {value for value in values if isinstance(value, str)}:
                found.append(other)
    return found
