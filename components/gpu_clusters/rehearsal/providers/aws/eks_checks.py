"""What EKS refuses of a cluster or a node group, with what they refer to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gpu_clusters.eks.fabric import interfaces
from gpu_clusters.eks.machines import Machine, ami_types, family_of, known_ami_types, machine, nearest
from gpu_clusters.rehearsal.providers.aws.account import Account
from gpu_clusters.rehearsal.providers.aws.models import shape
from gpu_clusters.rehearsal.providers.aws.node_groups import (
    LAUNCH_TEMPLATE,
    NODE_GROUP,
    GroupFacts,
    group_facts,
    has_public_address,
    launch_template,
)
from gpu_clusters.rehearsal.providers.aws.reading import at, flag, items, number, objects, text, texts
from gpu_clusters.rehearsal.providers.aws.references import CLUSTER, SUBNET
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import Properties

#: EKS user guide, "Customize managed nodes with launch templates": what a template can't have.
_FORBIDDEN: Final = {
    "iamInstanceProfile": "EKS sets the instance profile from the group's node role",
    "hibernationOptions": "EKS takes no hibernation",
    "instanceInitiatedShutdownBehavior": "EKS sets the shutdown behaviour",
}
_EFA: Final = ("efa", "efa-only")
#: Kubernetes, "Version Skew Policy": a kubelet may be up to three minor versions older.
_OLDEST_KUBELET: Final = 3


def eks_failures(
    token: str, old: Properties | None, inputs: Properties, account: Account, region: str
) -> Iterator[CheckFailure]:
    """What is wrong with a resource of EKS's; nothing for all others. `old`: its inputs before an update."""
    if token == CLUSTER:
        yield from _cluster_failures(old, inputs, account, region)
    elif token == NODE_GROUP:
        yield from _group_failures(inputs, account, region)
    elif token == LAUNCH_TEMPLATE:
        yield from _template_failures(inputs)


def minor(version: str) -> int | None:
    """35 of `1.35`; None for what isn't a version."""
    parts = version.removeprefix("v").split(".")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None


def _cluster_failures(
    old: Properties | None, inputs: Properties, account: Account, region: str
) -> Iterator[CheckFailure]:
    subnets = texts(inputs, "vpcConfig", "subnetIds")
    found = [account.get(SUBNET, region, identity) for identity in subnets]
    zones = {text(one.outputs, "availabilityZoneId") for one in found if one}
    if found and len(found) == len(items(inputs, "vpcConfig", "subnetIds")) and all(found) and len(zones) < 2:
        yield CheckFailure("vpcConfig.subnetIds", "they are in one zone; EKS needs subnets in at least two")
    if not _has_endpoint(inputs):
        yield CheckFailure("vpcConfig.endpointPublicAccess", "no endpoint is left; keep the private or the public one")
    was, comes = (minor(text(each or {}, "version")) for each in (old, inputs))
    if was is not None and comes is not None and comes < was:
        yield CheckFailure("version", f"EKS can't go back from 1.{was} to 1.{comes}; keep 1.{was}")
    elif was is not None and comes is not None and comes > was + 1:
        yield CheckFailure("version", f"EKS goes up one minor version at a time; go to 1.{was + 1} first")
    yield from _kubelet_failures(inputs, account, region, comes)


def _has_endpoint(inputs: Properties) -> bool:
    """EKS API reference, VpcConfigRequest: public by default, and not private."""
    is_private_only = at(inputs, "vpcConfig", "endpointPublicAccess") is False
    return not is_private_only or at(inputs, "vpcConfig", "endpointPrivateAccess") not in (False, None)


def _kubelet_failures(inputs: Properties, account: Account, region: str, comes: int | None) -> Iterator[CheckFailure]:
    for group in account.all(NODE_GROUP, region):
        own = minor(text(group.outputs, "version"))
        mine = text(group.outputs, "clusterName") == text(inputs, "name")
        if mine and own is not None and comes is not None and comes > own + _OLDEST_KUBELET:
            name = text(group.outputs, "nodeGroupName")
            yield CheckFailure("version", f"node group {name} would be more than three versions older; update it first")


def _group_failures(inputs: Properties, account: Account, region: str) -> Iterator[CheckFailure]:
    facts = group_facts(inputs, account, region)
    cluster = account.named(CLUSTER, region, text(inputs, "clusterName"))
    own, its = minor(text(inputs, "version")), minor(text(cluster.outputs if cluster else {}, "version"))
    if own is not None and its is not None and not its - _OLDEST_KUBELET <= own <= its:
        yield CheckFailure("version", f"nodes of 1.{own} can't join a cluster of 1.{its}; use 1.{its}")
    yield from _machine_failures(facts)
    yield from _capacity_failures(facts)
    yield from _template_of_group_failures(facts)
    yield from _version_failures(inputs, account, region)
    yield from _fabric_failures(facts, account, region)


def _machine_failures(facts: GroupFacts) -> Iterator[CheckFailure]:
    known_types = shape("ec2", "InstanceType").enum
    for name in texts(facts.inputs, "instanceTypes"):
        if name not in known_types and machine(name) is None:
            near = ", ".join(nearest(name)) or "a type of EC2's"
            yield CheckFailure("instanceTypes", f"AWS doesn't know {name!r}; did you mean {near}?")
    if texts(facts.inputs, "instanceTypes") and text(facts.template, "instanceType"):
        yield CheckFailure("instanceTypes", "the launch template has an instance type too; leave one of them out")
    image = text(facts.inputs, "amiType")
    for name in facts.machines if image else ():
        yield from _image_failures(image, name)


def _image_failures(image: str, name: str) -> Iterator[CheckFailure]:
    known = machine(name)
    if image == "CUSTOM" or known is None:
        return
    is_arm = "_ARM_64" in image
    if is_arm != (known.architecture == "arm64"):
        yield CheckFailure(
            "amiType", f"{image} doesn't run on {name}, which is {known.architecture}; {_fitting(known)}"
        )
    elif known.gpu and "NVIDIA" not in image and not image.endswith("_GPU"):
        yield CheckFailure("amiType", f"{image} has no NVIDIA driver for the GPUs of {name}; {_fitting(known)}")
    elif known.gpu and image in known_ami_types():
        fit = {each for found in ami_types(family_of(name)) for each in (found.name, found.fips_name)}
        if image not in fit:
            yield CheckFailure("amiType", f"{image} doesn't run on {name}; {_fitting(known)}")


def _fitting(known: Machine) -> str:
    names = [found.name for found in ami_types(known.family)]
    if names:
        return f"use {' or '.join(names)}"
    return (
        "use an image with ARM_64 in its name" if known.architecture == "arm64" else "use one with x86_64 in its name"
    )


def _capacity_failures(facts: GroupFacts) -> Iterator[CheckFailure]:
    is_block = text(facts.inputs, "capacityType") == "CAPACITY_BLOCK"
    market = text(facts.template, "instanceMarketOptions", "marketType")
    if not facts.template:
        if is_block and not facts.is_templated:
            yield CheckFailure("launchTemplate", "a Capacity Block is named by a launch template; add one")
        return
    if is_block and market != "capacity-block":
        remedy = "set instanceMarketOptions.marketType to capacity-block there"
        yield CheckFailure("launchTemplate", f"its template isn't one for a Capacity Block; {remedy}")
    if is_block and _reservation(facts.template) is None:
        remedy = "set capacityReservationSpecification.capacityReservationTarget.capacityReservationId there"
        yield CheckFailure("launchTemplate", f"its template names no Capacity Block; {remedy}")
    if is_block and texts(facts.inputs, "instanceTypes"):
        yield CheckFailure(
            "instanceTypes", "for a Capacity Block the launch template has the machine; leave it out here"
        )
    if market == "capacity-block" and not is_block:
        yield CheckFailure("capacityType", "its template is for a Capacity Block; use CAPACITY_BLOCK")
    if market == "spot":
        yield CheckFailure("launchTemplate", "EKS takes no template with spot; leave it out, and use capacityType SPOT")


def _reservation(template: Properties) -> object:
    target = template.get("capacityReservationSpecification")
    if isinstance(target, dict):
        inner = target.get("capacityReservationTarget")
        if isinstance(inner, dict):
            return inner.get("capacityReservationId") or inner.get("capacityReservationResourceGroupArn")
    return None


def _template_of_group_failures(facts: GroupFacts) -> Iterator[CheckFailure]:
    for name, why in _FORBIDDEN.items():
        if facts.template.get(name):
            yield CheckFailure("launchTemplate", f"its template has {name}, and {why}; leave it out there")
    if any(item.get("subnetId") for item in objects(facts.template, "networkInterfaces")):
        yield CheckFailure("launchTemplate", "its template's interfaces name a subnet; name subnets in the group only")
    if facts.is_templated and number(facts.inputs, "diskSize") is not None:
        yield CheckFailure("diskSize", "the launch template has the disks; leave it out")
    if facts.is_templated and facts.inputs.get("remoteAccess"):
        yield CheckFailure("remoteAccess", "it can't be had with a launch template; set keyName there")
    image, kind = text(facts.template, "imageId"), text(facts.inputs, "amiType")
    if image and kind not in ("", "CUSTOM"):
        yield CheckFailure("amiType", "the launch template has an image; leave one of them out")
    if image and (facts.inputs.get("version") or facts.inputs.get("releaseVersion")):
        yield CheckFailure("version", "the launch template's image is the version; leave it out")


def _version_failures(inputs: Properties, account: Account, region: str) -> Iterator[CheckFailure]:
    found, wanted = launch_template(inputs, account, region), number(inputs, "launchTemplate", "version")
    latest = number(found.outputs, "latestVersion") if found else None
    if wanted is not None and latest is not None and not 1 <= wanted <= latest:
        yield CheckFailure("launchTemplate.version", f"the template has no version {wanted}; its newest is {latest}")


def _template_failures(inputs: Properties) -> Iterator[CheckFailure]:
    cards = objects(inputs, "networkInterfaces")
    if len(cards) > 1 and has_public_address(inputs):
        remedy = "leave associatePublicIpAddress out"
        yield CheckFailure("networkInterfaces", f"a machine with several interfaces gets no public address; {remedy}")
    if cards and texts(inputs, "vpcSecurityGroupIds"):
        remedy = "put them on the interfaces"
        yield CheckFailure("vpcSecurityGroupIds", f"a template with networkInterfaces can't have them; {remedy}")
    hops = number(inputs, "metadataOptions", "httpPutResponseHopLimit")
    if hops is not None and not 1 <= hops <= 64:
        yield CheckFailure(
            "metadataOptions.httpPutResponseHopLimit", f"{hops} isn't from 1 to 64; 2 lets pods reach it"
        )
    places = [(number(item, "networkCardIndex") or 0, number(item, "deviceIndex") or 0) for item in cards]
    for card, device in sorted({place for place in places if places.count(place) > 1}):
        yield CheckFailure("networkInterfaces", f"two interfaces are at card {card}, device {device}; number them")
    known = machine(text(inputs, "instanceType"))
    if known is not None and known.network_cards is not None:
        yield from _layout_failures(inputs, known)


def _layout_failures(inputs: Properties, known: Machine) -> Iterator[CheckFailure]:
    for index, item in enumerate(objects(inputs, "networkInterfaces")):
        card, kind = number(item, "networkCardIndex") or 0, text(item, "interfaceType") or "interface"
        path = f"networkInterfaces[{index}]"
        if card >= (known.network_cards or 1):
            has = known.network_cards
            yield CheckFailure(f"{path}.networkCardIndex", f"{known.name} has no card {card}; it has {has}, from 0")
        elif kind in _EFA and not interfaces(known):
            yield CheckFailure(f"{path}.interfaceType", f"{known.name} takes no EFA; use `interface`")
        elif kind in _EFA and card == 0 and not known.efa_on_first_card:
            yield CheckFailure(f"{path}.interfaceType", f"card 0 of {known.name} takes no EFA; use `interface` there")
    first = [item for item in objects(inputs, "networkInterfaces") if not number(item, "networkCardIndex")]
    if first and not any(
        not number(item, "deviceIndex") and text(item, "interfaceType") != "efa-only" for item in first
    ):
        yield CheckFailure("networkInterfaces", "card 0, device 0 carries no IP; give it an `interface`")


def _fabric_failures(facts: GroupFacts, account: Account, region: str) -> Iterator[CheckFailure]:
    kinds = [text(item, "interfaceType") for item in objects(facts.template, "networkInterfaces")]
    if not any(kind in _EFA for kind in kinds):
        return
    for identity in texts(facts.inputs, "subnetIds"):
        subnet = account.get(SUBNET, region, identity)
        if subnet and flag(subnet.outputs, "mapPublicIpOnLaunch"):
            yield CheckFailure(
                "subnetIds", f"{identity} gives public addresses, which EFA can't have; use a private one"
            )
