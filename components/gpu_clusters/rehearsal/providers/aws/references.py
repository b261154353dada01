"""References to other resources: whether they are of the kind that is wanted, and whether they are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gpu_clusters.rehearsal.providers.aws.made import Existing, Made
from gpu_clusters.rehearsal.providers.diffing import path_text
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import Properties, Value
from gpu_clusters.rehearsal.world import Unchecked


@dataclass(frozen=True)
class _Wanted:
    """What a property has to name.

    Attributes:
        words: for a message.
        pattern: how such an id or ARN is spelled.
        kinds: which types have such an id.
        example: for a remedy.
    """

    words: str
    pattern: re.Pattern[str]
    kinds: tuple[str, ...]
    example: str


def _id(words: str, prefix: str, *kinds: str) -> _Wanted:
    return _Wanted(words, re.compile(rf"{prefix}-[0-9a-f]{{8,17}}"), kinds, f"{prefix}-0123456789abcdef0")


def _arn(words: str, service: str, resource: str, *kinds: str) -> _Wanted:
    # Most ARNs have region and account; IAM's have no region, S3's have neither, policies of AWS's own say `aws`.
    pattern = re.compile(rf"arn:aws[a-z-]*:{service}:[a-z0-9-]*:(?:\d{{12}}|aws)?:{resource}.+")
    return _Wanted(words, pattern, kinds, f"arn:aws:{service}:...:{resource}...")


_VPC: Final = _id("a VPC", "vpc", "aws:ec2/vpc:Vpc")
_SUBNET: Final = _id("a subnet", "subnet", "aws:ec2/subnet:Subnet")
_GROUP: Final = _id("a security group", "sg", "aws:ec2/securityGroup:SecurityGroup")
_TABLE: Final = _id("a route table", "rtb", "aws:ec2/routeTable:RouteTable")
_ROLE: Final = _arn("an IAM role", "iam", "role/", "aws:iam/role:Role")
_KEY: Final = _arn("a KMS key", "kms", "(?:key|alias)/", "aws:kms/key:Key")

#: By the property's name wherever it stands; the models have plain texts for all of them.
_BY_NAME: Final[dict[str, _Wanted]] = {
    "vpcId": _VPC,
    "subnetId": _SUBNET,
    "subnetIds": _SUBNET,
    "securityGroupId": _GROUP,
    "securityGroupIds": _GROUP,
    "vpcSecurityGroupIds": _GROUP,
    "referencedSecurityGroupId": _GROUP,
    "sourceSecurityGroupId": _GROUP,
    "sourceSecurityGroupIds": _GROUP,
    "routeTableId": _TABLE,
    "routeTableIds": _TABLE,
    "gatewayId": _Wanted(
        "a gateway",
        re.compile(r"(?:igw|vgw|vpce)-[0-9a-f]{8,17}|local"),
        ("aws:ec2/internetGateway:InternetGateway",),
        "igw-0123456789abcdef0",
    ),
    "natGatewayId": _id("a NAT gateway", "nat", "aws:ec2/natGateway:NatGateway"),
    "allocationId": _id("an address", "eipalloc", "aws:ec2/eip:Eip"),
    "roleArn": _ROLE,
    "nodeRoleArn": _ROLE,
    "executionRoleArn": _ROLE,
    "podExecutionRoleArn": _ROLE,
    "serviceAccountRoleArn": _ROLE,
    "iamRoleArn": _ROLE,
    "keyArn": _KEY,
    "policyArn": _Wanted(
        "a policy",
        re.compile(r"arn:aws[a-z-]*:(?:iam::(?:\d{12}|aws):policy/|eks::aws:cluster-access-policy/).+"),
        ("aws:iam/policy:Policy",),
        "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy",
    ),
    "capacityReservationId": _id("a capacity reservation", "cr", "aws:ec2/capacityReservation:CapacityReservation"),
    "imageId": _id("a machine image", "ami"),
    "ami": _id("a machine image", "ami"),
    "fileSystemId": _id(
        "a file system", "fs", "aws:efs/fileSystem:FileSystem", "aws:fsx/lustreFileSystem:LustreFileSystem"
    ),
}
#: Where a name means something else than elsewhere.
_ELSEWHERE: Final[dict[tuple[str, str], _Wanted | None]] = {
    ("aws:ec2/launchTemplate:LaunchTemplate", "securityGroups"): _GROUP,
    ("aws:efs/mountTarget:MountTarget", "securityGroups"): _GROUP,
    # SSM parameters stand in for ids here: `resolve:ssm:...`.
    ("aws:ec2/launchTemplate:LaunchTemplate", "imageId"): _Wanted(
        "a machine image", re.compile(r"ami-[0-9a-f]{8,17}|resolve:ssm:.+"), (), "ami-0123456789abcdef0"
    ),
}
_COMPANIONS: Final = {
    "aws:eks/cluster:Cluster": ("clusterSecurityGroupId",),
    "aws:ec2/vpc:Vpc": ("defaultSecurityGroupId", "defaultRouteTableId", "mainRouteTableId"),
}
#: Things of AWS's own, of which none is made by a stack.
_AWS_OWN: Final = re.compile(r"arn:aws[a-z-]*:(?:iam|eks)::aws:.+|local|resolve:ssm:.+")


def failures(kind: str, inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    """References of a wrong kind. One that nothing here made may exist all the same: it goes to the journal."""
    for path, name, value in _texts(inputs, (), ""):
        wanted = _ELSEWHERE.get((kind, name), _BY_NAME.get(name))
        if wanted is None or not value:
            continue
        found = made.find(value)
        if found is not None and wanted.kinds and found.kind not in wanted.kinds:
            yield CheckFailure(
                path, f"{value} is {_words(found)}, and {wanted.words} belongs here; {_remedy(wanted, made)}"
            )
        elif not wanted.pattern.fullmatch(value):
            yield CheckFailure(path, f"{value!r} doesn't name {wanted.words}; {_remedy(wanted, made)}")
        elif found is None and not _AWS_OWN.fullmatch(value) and not _comes_with_another(value, made):
            made.journal.note(Unchecked(resource=value, reason="not made by this stack, taken to exist"))


def named(made: Made, value: Value, kind: str) -> Existing | None:
    """What a property names, if it is known, is here, and is of a kind."""
    found = made.find(value) if isinstance(value, str) and value else None
    return found if found is not None and found.kind == kind else None


def _comes_with_another(value: str, made: Made) -> bool:
    """Whether AWS made it along with something of the stack, such as a cluster's own security group."""
    return any(
        value in [found for _, name, found in _texts(one.outputs, (), "") if name in names]
        for kind, names in _COMPANIONS.items()
        for one in made.of(kind)
    )


def _remedy(wanted: _Wanted, made: Made) -> str:
    there = [one.id for kind in wanted.kinds for one in made.of(kind)][:3]
    return f"give one such as {wanted.example}" + (f" (there is {', '.join(there)})" if there else "")


def _words(found: Existing) -> str:
    return f"the {found.kind.rpartition(':')[2]} of the stack"


def _texts(value: Value, path: tuple[str | int, ...], name: str) -> Iterator[tuple[str, str, str]]:
    """Every text with its path, and the name of the property that it stands in."""
    if isinstance(value, str):
        yield path_text(path), name, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index), name)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in ("tags", "tagsAll"):
                yield from _texts(item, (*path, key), key)
