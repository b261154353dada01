"""What EKS refuses of a managed node group, of which its models say nothing.

Sources: EKS API reference, CreateNodegroup, NodegroupScalingConfig and NodegroupUpdateConfig; EKS user guide,
"Customize managed nodes with launch templates", "Create a managed node group with capacity blocks for ML" and
"Use EKS-optimized accelerated AMIs for GPU instances"; Kubernetes's version skew policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gpu_clusters.eks.machines import Machine, ami_types, family_of, machine, zones_of
from gpu_clusters.rehearsal.providers.aws.launch_templates import (
    TEMPLATE,
    fabric_problems,
    has_efa,
    managed_problems,
    part,
)
from gpu_clusters.rehearsal.providers.aws.made import Existing, Made
from gpu_clusters.rehearsal.providers.aws.references import named
from gpu_clusters.rehearsal.providers.aws.rules_eks import CLUSTER, NODE_GROUP, SUBNET, minor, trust_failures, zones
from gpu_clusters.rehearsal.providers.aws.rules_network import is_public
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Value, reveal

_RESERVATION: Final = "aws:ec2/capacityReservation:CapacityReservation"
#: aws/containers-roadmap issue 1451: EKS's own words are "Label cannot contain reserved prefixes".
_RESERVED_LABELS: Final = ("kubernetes.io/", "k8s.io/", "eks.amazonaws.com/")
#: A kubelet may be so many minor versions older than its API server.
_SKEW: Final = 3
_MOST_UNAVAILABLE: Final = 100
#: Beside a launch template these can't be said of the group.
_IN_TEMPLATE: Final = ("diskSize", "remoteAccess")


def failures(kind: str, inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    """What EKS would refuse of a node group."""
    if kind != NODE_GROUP:
        return
    template = _template(inputs, made)
    yield from _scaling_failures(inputs)
    yield from _label_failures(inputs)
    yield from _version_failures(inputs, made)
    yield from trust_failures(inputs.get("nodeRoleArn"), "ec2.amazonaws.com", "nodeRoleArn", made)
    yield from _subnet_failures(inputs, made)
    yield from _template_failures(inputs, template)
    yield from _image_failures(inputs, template)
    for item in _machines(inputs, template):
        yield from _machine_failures(inputs, template, item, made)
    yield from _fabric_failures(inputs, template, made)
    yield from _capacity_failures(inputs, template, made)


def _scaling_failures(inputs: Properties) -> Iterator[CheckFailure]:
    scaling = part(inputs, "scalingConfig")
    least, desired, most = (scaling.get(name) for name in ("minSize", "desiredSize", "maxSize"))
    if isinstance(least, int) and isinstance(most, int) and least > most:
        yield CheckFailure("scalingConfig.minSize", f"{least} is above the maximum of {most}; lower it")
    if isinstance(desired, int) and isinstance(least, int) and desired < least:
        yield CheckFailure("scalingConfig.desiredSize", f"{desired} is below the minimum of {least}; raise it")
    if isinstance(desired, int) and isinstance(most, int) and desired > most:
        yield CheckFailure("scalingConfig.desiredSize", f"{desired} is above the maximum of {most}; lower it")
    update = part(inputs, "updateConfig")
    count = update.get("maxUnavailable")
    if count and update.get("maxUnavailablePercentage"):
        yield CheckFailure("updateConfig.maxUnavailablePercentage", "stands beside `maxUnavailable`; give one of them")
    if isinstance(count, int) and count > _MOST_UNAVAILABLE:
        yield CheckFailure(
            "updateConfig.maxUnavailable", f"{count} is above EKS's most of {_MOST_UNAVAILABLE}; lower it"
        )


def _label_failures(inputs: Properties) -> Iterator[CheckFailure]:
    for key in part(inputs, "labels"):
        if any(reserved in key for reserved in _RESERVED_LABELS):
            yield CheckFailure(f'labels["{key}"]', "EKS reserves this prefix; use one of your own domain")


def _version_failures(inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    cluster = named(made, inputs.get("clusterName"), CLUSTER)
    of_cluster = minor(reveal(cluster.outputs.get("version") or cluster.inputs.get("version"))) if cluster else None
    of_nodes = minor(inputs.get("version"))
    if of_cluster is None or of_nodes is None:
        return
    if of_nodes > of_cluster:
        yield CheckFailure(
            "version", f"1.{of_nodes} is newer than the cluster's 1.{of_cluster}; update the cluster first"
        )
    elif of_nodes < of_cluster - _SKEW:
        yield CheckFailure("version", f"1.{of_nodes} is too old for a 1.{of_cluster} cluster; use 1.{of_cluster}")


def _subnet_failures(inputs: Properties, made: Made) -> Iterator[CheckFailure]:
    cluster = named(made, inputs.get("clusterName"), CLUSTER)
    theirs = _vpcs(part(cluster.inputs, "vpcConfig").get("subnetIds"), made) if cluster else set[str]()
    ours = _vpcs(inputs.get("subnetIds"), made)
    if ours and theirs and not ours <= theirs:
        yield CheckFailure("subnetIds", "they aren't in the cluster's VPC; use subnets of it")
    if inputs.get("subnetIds") == []:
        yield CheckFailure("subnetIds", "there is none; give one at least")


def _vpcs(subnets: Value, made: Made) -> set[str]:
    items = subnets if isinstance(subnets, list) else []
    return {str(found.inputs.get("vpcId")) for item in items if (found := named(made, item, SUBNET))}


def _template(inputs: Properties, made: Made) -> Existing | None:
    reference = part(inputs, "launchTemplate")
    return named(made, reference.get("id") or reference.get("name"), TEMPLATE)


def _template_failures(inputs: Properties, template: Existing | None) -> Iterator[CheckFailure]:
    reference = part(inputs, "launchTemplate")
    if reference:
        for name in _IN_TEMPLATE:
            if inputs.get(name):
                yield CheckFailure(name, "can't stand beside a launch template; say it there")
    if reference.get("id") and reference.get("name"):
        yield CheckFailure("launchTemplate.name", "stands beside `id`; give one of them")
    if template is None:
        return
    newest, wanted = reveal(template.outputs.get("latestVersion")), str(reference.get("version"))
    if isinstance(newest, int) and wanted.isdecimal() and int(wanted) > newest:
        yield CheckFailure("launchTemplate.version", f"{template.id} has no version {wanted}; its newest is {newest}")
    for problem, remedy in managed_problems(template.inputs):
        yield CheckFailure("launchTemplate", f"{problem}; {remedy}")
    if template.inputs.get("instanceType") and inputs.get("instanceTypes"):
        yield CheckFailure("instanceTypes", "the launch template has an `instanceType` too; give one of them")


def _image_failures(inputs: Properties, template: Existing | None) -> Iterator[CheckFailure]:
    if template is not None and template.inputs.get("imageId"):
        if inputs.get("amiType") not in (None, "CUSTOM", UNKNOWN):
            yield CheckFailure("amiType", "the launch template has an image of its own; leave it out, or say CUSTOM")
        for name in ("version", "releaseVersion"):
            if inputs.get(name):
                yield CheckFailure(name, "the launch template has an image of its own; leave it out")
    elif inputs.get("amiType") == "CUSTOM" and (template is not None or not inputs.get("launchTemplate")):
        yield CheckFailure("amiType", "CUSTOM needs a launch template with an `imageId`; give one, or name EKS's image")


def _machines(inputs: Properties, template: Existing | None) -> Sequence[Machine]:
    """The machines that the catalogue knows among those of a group."""
    own = inputs.get("instanceTypes")
    names = own if isinstance(own, list) and own else [template.inputs.get("instanceType")] if template else []
    return [found for name in names if isinstance(name, str) and (found := machine(name))]


def _machine_failures(
    inputs: Properties, template: Existing | None, item: Machine, made: Made
) -> Iterator[CheckFailure]:
    image = inputs.get("amiType")
    if isinstance(image, str) and image != "CUSTOM" and (problem := _image_problem(image, item)):
        yield CheckFailure("amiType", problem)
    if template is not None and has_efa(template.inputs):
        for problem, remedy in fabric_problems(template.inputs, item):
            yield CheckFailure("launchTemplate", f"{problem}; {remedy}")
    offered, there = zones_of(item.name), zones(inputs.get("subnetIds"), made)
    if offered is not None and there and not set(there) & offered and all("-az" in zone for zone in there):
        yield CheckFailure(
            "subnetIds", f"AWS doesn't offer {item.name} in {', '.join(sorted(set(there)))}; use other zones"
        )


def _image_problem(image: str, item: Machine) -> str | None:
    if item.gpu is None:
        wanted = "ARM_64" if item.architecture == "arm64" else "x86_64"
        is_other = ("ARM_64" in image) != (item.architecture == "arm64")
        return f"{item.name} is {item.architecture}, and {image} isn't; use one with {wanted}" if is_other else None
    fitting = [found for found in ami_types(item.family) if image in (found.name, found.fips_name)]
    if fitting:
        return None
    names = " or ".join(found.name for found in ami_types(family_of(item.name)))
    return f"{image} has no driver for {item.name}'s GPUs; use {names or 'an image of your own with CUSTOM'}"


def _fabric_failures(inputs: Properties, template: Existing | None, made: Made) -> Iterator[CheckFailure]:
    if template is None or not has_efa(template.inputs):
        return
    subnets = inputs.get("subnetIds")
    public = [
        item.id
        for item in _subnets(inputs, made)
        if item.inputs.get("mapPublicIpOnLaunch") is True or is_public(item, made)
    ]
    if public:
        # terraform-aws-modules/terraform-aws-eks issue 3533.
        yield CheckFailure(
            "subnetIds", f"{', '.join(public)} is public, where EFA nodes get no address; use private ones"
        )
    there = zones(subnets, made)
    if there and len(set(there)) > 1:
        yield CheckFailure(
            "subnetIds", f"EFA doesn't cross zones, and they are in {', '.join(sorted(set(there)))}; use one"
        )


def _capacity_failures(inputs: Properties, template: Existing | None, made: Made) -> Iterator[CheckFailure]:
    is_block = inputs.get("capacityType") == "CAPACITY_BLOCK"
    if is_block and not inputs.get("launchTemplate"):
        yield CheckFailure("launchTemplate", "a Capacity Block is named in one; give it")
    if is_block and inputs.get("instanceTypes"):
        yield CheckFailure("instanceTypes", "a Capacity Block's machine is said in the launch template; leave it out")
    if template is None:
        return
    in_template = part(template.inputs, "instanceMarketOptions").get("marketType") == "capacity-block"
    if is_block and not in_template:
        yield CheckFailure("launchTemplate", "says no `instanceMarketOptions.marketType` capacity-block; say it there")
    if in_template and inputs.get("capacityType") not in ("CAPACITY_BLOCK", UNKNOWN):
        yield CheckFailure("capacityType", "the launch template is for a Capacity Block; say CAPACITY_BLOCK")
    yield from _reservation_failures(inputs, template.inputs, made)


def _reservation_failures(inputs: Properties, template: Mapping[str, Value], made: Made) -> Iterator[CheckFailure]:
    target = part(part(template, "capacityReservationSpecification"), "capacityReservationTarget")
    if not target:
        return
    there = zones(inputs.get("subnetIds"), made)
    if there and len(set(there)) > 1:
        yield CheckFailure("subnetIds", "a reservation is in one zone; use only the subnets of that")
    found = named(made, target.get("capacityReservationId"), _RESERVATION)
    if found is None or not there:
        return
    known = {**found.inputs, **found.outputs}
    place = reveal(known.get("availabilityZone"))
    if isinstance(place, str) and place not in [
        reveal(item.outputs.get("availabilityZone")) for item in _subnets(inputs, made)
    ]:
        yield CheckFailure("subnetIds", f"the reservation {found.id} is in {place}; use a subnet there")
    reserved = reveal(known.get("instanceType"))
    names = [item.name for item in _machines(inputs, None)] or [str(template.get("instanceType"))]
    if isinstance(reserved, str) and reserved not in names:
        yield CheckFailure("launchTemplate", f"the reservation {found.id} is for {reserved}, not {names[0]}; use that")


def _subnets(inputs: Properties, made: Made) -> Sequence[Existing]:
    subnets = inputs.get("subnetIds")
    return [found for item in (subnets if isinstance(subnets, list) else []) if (found := named(made, item, SUBNET))]
