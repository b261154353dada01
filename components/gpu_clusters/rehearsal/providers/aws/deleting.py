"""What AWS doesn't delete: what is protected, and what something else still needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.aws.made import Existing
from gpu_clusters.rehearsal.providers.aws.outputs_eks import CLUSTER, NODE_GROUP
from gpu_clusters.rehearsal.providers.values import Value, reveal

_VPC: Final = "aws:ec2/vpc:Vpc"
_SUBNET: Final = "aws:ec2/subnet:Subnet"
_GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
_ROLE: Final = "aws:iam/role:Role"
_ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
_INSTANCE: Final = "aws:ec2/instance:Instance"
_PROFILE: Final = "aws:eks/fargateProfile:FargateProfile"
_NETWORK_USERS: Final = (
    *(_INSTANCE, NODE_GROUP, CLUSTER, "aws:ec2/vpcEndpoint:VpcEndpoint", "aws:efs/mountTarget:MountTarget"),
    *("aws:fsx/lustreFileSystem:LustreFileSystem", "aws:ec2/natGateway:NatGateway"),
)
#: What holds what: types whose inputs name it. Sources: EC2 API reference, DeleteVpc, DeleteSubnet and so on;
#: IAM API reference, DeleteRole, DeletePolicy; EKS API reference, DeleteCluster; EFS API reference, DeleteFileSystem.
_HOLDERS: Final[dict[str, tuple[str, ...]]] = {
    _VPC: (_SUBNET, _GROUP, "aws:ec2/internetGateway:InternetGateway", "aws:ec2/vpcEndpoint:VpcEndpoint"),
    _SUBNET: _NETWORK_USERS,
    _GROUP: _NETWORK_USERS,
    _ROLE: (_ATTACHMENT, "aws:iam/rolePolicy:RolePolicy", "aws:iam/instanceProfile:InstanceProfile"),
    "aws:iam/policy:Policy": (_ATTACHMENT,),
    CLUSTER: (NODE_GROUP, _PROFILE),
    "aws:ec2/eip:Eip": ("aws:ec2/natGateway:NatGateway",),
    "aws:ec2/placementGroup:PlacementGroup": (_INSTANCE,),
    "aws:efs/fileSystem:FileSystem": ("aws:efs/mountTarget:MountTarget",),
}
_CODES: Final = {
    _ROLE: "DeleteConflict",
    "aws:iam/policy:Policy": "DeleteConflict",
    CLUSTER: "ResourceInUseException",
    "aws:efs/fileSystem:FileSystem": "FileSystemInUse",
}
#: Where a name is a text like any other.
_WORDS: Final = frozenset({"tags", "labels", "tagSpecifications", "description"})
#: Deletion protection, by the property that turns it on.
_PROTECTED: Final = {
    CLUSTER: "deletionProtection",
    _INSTANCE: "disableApiTermination",
}


def refuse_deletion(existing: Existing, others: Sequence[Existing], *, is_protection_lifted: bool) -> None:
    """Refuse to delete what is protected or in use.

    Raises:
        OperationError: AWS would refuse it.
    """
    protection = _PROTECTED.get(existing.kind)
    if protection and reveal(existing.outputs.get(protection)) is True and not is_protection_lifted:
        raise OperationError(
            f"{existing.id} has deletion protection: AWS doesn't delete it",
            f"set `{protection}` to false, bring the stack up, and delete it then",
        )
    names = {existing.id, *(text for key in ("arn", "name") if isinstance(text := existing.outputs.get(key), str))}
    holders = [one for one in others if one.kind in _HOLDERS.get(existing.kind, ()) and _mentions(one.inputs, names)]
    if holders:
        listed = ", ".join(sorted(f"{one.kind.rpartition(':')[2]} {one.id}" for one in holders))
        raise OperationError(
            f"{_CODES.get(existing.kind, 'DependencyViolation')}: {existing.id} is still needed by {listed}",
            "pass its output (not a text of your own) to what uses it, so that the engine knows which goes first",
        )


def _mentions(value: Value, names: set[str]) -> bool:
    if isinstance(value, dict):
        return any(_mentions(item, names) for key, item in value.items() if key not in _WORDS)
    if isinstance(value, list):
        return any(_mentions(item, names) for item in value)
    return isinstance(value, str) and value in names
