"""What AWS refuses because something like it is there already: it shows only when a resource is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gpu_clusters.rehearsal.providers.aws.made import Made
from gpu_clusters.rehearsal.providers.aws.rules_network import overlap_failures
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import Properties, reveal

#: By type: the inputs that no two of them may have alike. Source: the `...Exists` errors of each operation in botocore.
_UNIQUE: Final[dict[str, tuple[str, ...]]] = {
    "aws:iam/role:Role": ("name",),
    "aws:iam/policy:Policy": ("name",),
    "aws:iam/instanceProfile:InstanceProfile": ("name",),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": ("url",),
    "aws:eks/cluster:Cluster": ("name",),
    "aws:eks/nodeGroup:NodeGroup": ("clusterName", "nodeGroupName"),
    "aws:eks/addon:Addon": ("clusterName", "addonName"),
    "aws:eks/accessEntry:AccessEntry": ("clusterName", "principalArn"),
    "aws:eks/fargateProfile:FargateProfile": ("clusterName", "fargateProfileName"),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": ("clusterName", "namespace", "serviceAccount"),
    "aws:ec2/launchTemplate:LaunchTemplate": ("name",),
    "aws:ec2/placementGroup:PlacementGroup": ("name",),
    "aws:ec2/keyPair:KeyPair": ("keyName",),
    "aws:ec2/securityGroup:SecurityGroup": ("vpcId", "name"),
    "aws:cloudwatch/logGroup:LogGroup": ("name",),
    "aws:kms/alias:Alias": ("name",),
    "aws:sqs/queue:Queue": ("name",),
    "aws:s3/bucket:Bucket": ("bucket",),
    "aws:s3/bucketV2:BucketV2": ("bucket",),
    "aws:ecr/repository:Repository": ("name",),
    "aws:ssm/parameter:Parameter": ("name",),
}
#: Names of these are one set for all regions.
_EVERYWHERE: Final = ("aws:iam/", "aws:s3/")


def conflicts(kind: str, inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    """What keeps AWS from making a resource of a type beside what is there. Ask right before it is made."""
    if kind == "aws:ec2/subnet:Subnet":
        yield from overlap_failures(inputs, made)
    names = _UNIQUE.get(kind, ())
    wanted = [reveal(inputs.get(name)) for name in names]
    if not wanted or None in wanted:
        return
    for other in made.of(kind):
        place = reveal(other.outputs.get("region"))
        if place not in (None, made.region) and not kind.startswith(_EVERYWHERE):
            continue
        if [reveal(other.inputs.get(name)) for name in names] == wanted:
            what = f"{kind.rpartition(':')[2]} {' / '.join(str(item) for item in wanted)}"
            yield CheckFailure(names[-1], f"there is a {what} already; choose another name, or import that one")
