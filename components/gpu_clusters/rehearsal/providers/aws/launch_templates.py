"""What EC2 and EKS refuse of a launch template, of which the models say nothing: disks, interfaces, capacity.

Sources: EC2 API reference, LaunchTemplateEbsBlockDeviceRequest and
LaunchTemplateInstanceNetworkInterfaceSpecificationRequest; EKS API reference, LaunchTemplateSpecification; EKS user
guide, "Customize managed nodes with launch templates".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gpu_clusters.eks.machines import Machine, machine
from gpu_clusters.rehearsal.providers.aws.made import Made
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Value

TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"

#: Sizes in GiB by volume type.
_SIZES: Final = {
    "gp2": (1, 16_384),
    "gp3": (1, 65_536),
    "io1": (4, 16_384),
    "io2": (4, 65_536),
    "st1": (125, 16_384),
    "sc1": (125, 16_384),
    "standard": (1, 1_024),
}
_IOPS: Final = {"gp3": (3_000, 80_000), "io1": (100, 64_000), "io2": (100, 256_000)}
_THROUGHPUT: Final = (125, 2_000)
_HOPS: Final = (1, 64)
_INTERFACES: Final = ("interface", "efa", "efa-only")
_EFA: Final = ("efa", "efa-only")
_USER_DATA_BYTES: Final = 16_384
#: What a managed node group takes from no template.
_FORBIDDEN: Final = {
    "iamInstanceProfile": "EKS makes the profile from `nodeRoleArn`",
    "hibernationOptions": "EKS nodes can't hibernate",
    "instanceInitiatedShutdownBehavior": "EKS terminates nodes itself",
}


def failures(kind: str, inputs: Properties, _made: Made) -> Iterator[CheckFailure]:
    """What EC2 would refuse of a launch template."""
    if kind != TEMPLATE:
        return
    yield from _disk_failures(inputs)
    yield from _interface_failures(inputs)
    yield from _user_data_failures(inputs.get("userData"))
    yield from _capacity_failures(inputs)
    hops = part(inputs, "metadataOptions").get("httpPutResponseHopLimit")
    yield from _outside("metadataOptions.httpPutResponseHopLimit", hops, _HOPS, "")


def managed_problems(template: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """What a managed node group refuses in its template: the problem and the remedy."""
    for name, why in _FORBIDDEN.items():
        if template.get(name):
            yield f"its launch template has `{name}`", f"remove it there: {why}"
    if any(item.get("subnetId") for item in parts(template, "networkInterfaces")):
        yield "an interface of its launch template has a `subnetId`", "remove it there: the group's `subnetIds` count"
    if part(template, "instanceMarketOptions").get("marketType") == "spot":
        yield "its launch template asks for spot", "remove it there, and set `capacityType` to SPOT"


def has_efa(template: Mapping[str, Value]) -> bool:
    """Whether nodes of a template have EFA."""
    return any(item.get("interfaceType") in _EFA for item in parts(template, "networkInterfaces"))


def fabric_problems(template: Mapping[str, Value], item: Machine) -> Iterator[tuple[str, str]]:
    """Interfaces that a machine doesn't take: the problem and the remedy. Nothing where the catalogue can't say."""
    nics = parts(template, "networkInterfaces")
    count = sum(nic.get("interfaceType") in _EFA for nic in nics)
    if item.efa_interfaces is not None and count > item.efa_interfaces:
        yield f"{item.name} takes {item.efa_interfaces} EFA interfaces, not {count}", "remove the others"
    cards = [card for nic in nics if isinstance(card := nic.get("networkCardIndex") or 0, int)]
    if item.network_cards is not None and cards and max(cards) >= item.network_cards:
        yield f"{item.name} has network cards 0 to {item.network_cards - 1}, not {max(cards)}", "use those"
    on_first = any(nic.get("interfaceType") in _EFA and not nic.get("networkCardIndex") for nic in nics)
    if on_first and count and item.efa_interfaces and not item.efa_on_first_card:
        yield f"network card 0 of {item.name} takes no EFA", "begin with card 1, and leave card 0 an `interface`"


def part(values: Mapping[str, Value], name: str) -> Mapping[str, Value]:
    """An object among properties; empty where there is none."""
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def parts(values: Mapping[str, Value], name: str) -> Sequence[Mapping[str, Value]]:
    """The objects of a list among properties."""
    found = values.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _disk_failures(inputs: Properties) -> Iterator[CheckFailure]:
    for index, mapping in enumerate(parts(inputs, "blockDeviceMappings")):
        ebs, path = part(mapping, "ebs"), f"blockDeviceMappings[{index}].ebs"
        kind = ebs.get("volumeType") or "gp3"
        if not isinstance(kind, str) or kind not in _SIZES:
            continue
        yield from _outside(f"{path}.volumeSize", ebs.get("volumeSize"), _SIZES[kind], f" GiB for {kind}")
        if kind in _IOPS:
            yield from _outside(f"{path}.iops", ebs.get("iops"), _IOPS[kind], f" for {kind}")
        elif ebs.get("iops"):
            yield CheckFailure(f"{path}.iops", f"{kind} takes no IOPS; remove it, or use gp3")
        if kind == "gp3":
            yield from _outside(f"{path}.throughput", ebs.get("throughput"), _THROUGHPUT, " MiB/s")
        elif ebs.get("throughput"):
            yield CheckFailure(f"{path}.throughput", f"{kind} takes no throughput; remove it, or use gp3")


def _outside(path: str, value: Value, allowed: tuple[int, int], words: str) -> Iterator[CheckFailure]:
    least, most = allowed
    if isinstance(value, (int, float)) and not least <= value <= most:
        yield CheckFailure(path, f"{value} is outside what AWS has; use {least} to {most}{words}")


def _interface_failures(inputs: Properties) -> Iterator[CheckFailure]:
    nics = parts(inputs, "networkInterfaces")
    if nics and inputs.get("vpcSecurityGroupIds"):
        yield CheckFailure(
            "vpcSecurityGroupIds", "can't stand beside `networkInterfaces`; give each of them `securityGroups`"
        )
    seen: list[tuple[Value, Value]] = []
    for index, nic in enumerate(nics):
        path = f"networkInterfaces[{index}]"
        place = (nic.get("networkCardIndex") or 0, nic.get("deviceIndex") or 0)
        kind = nic.get("interfaceType") or "interface"
        if kind not in _INTERFACES and kind is not UNKNOWN:
            yield CheckFailure(f"{path}.interfaceType", f"AWS has no {kind!r}; use {', '.join(_INTERFACES)}")
        if place in seen:
            yield CheckFailure(path, f"card {place[0]}, device {place[1]} is taken already; use another index")
        seen.append(place)
        if kind == "efa-only" and place == (0, 0):
            yield CheckFailure(
                f"{path}.interfaceType", "the primary interface needs IP; make it `interface` and add EFA beside it"
            )
        if len(nics) > 1 and str(nic.get("associatePublicIpAddress")).lower() == "true":
            yield CheckFailure(
                f"{path}.associatePublicIpAddress",
                "AWS gives none to an instance with several interfaces; leave it out",
            )
    if nics and not any(UNKNOWN in place for place in seen) and (0, 0) not in seen:
        yield CheckFailure("networkInterfaces", "none is the primary one; give one card 0 and device 0")


def _user_data_failures(value: Value) -> Iterator[CheckFailure]:
    if not isinstance(value, str) or not value:
        return
    try:
        size = len(base64.b64decode(value, validate=True))
    except binascii.Error:
        yield CheckFailure("userData", "is not base64; encode it")
        return
    if size > _USER_DATA_BYTES:
        yield CheckFailure("userData", f"has {size} bytes, and AWS takes {_USER_DATA_BYTES}; make it smaller")


def _capacity_failures(inputs: Properties) -> Iterator[CheckFailure]:
    if inputs.get("instanceType") and inputs.get("instanceRequirements"):
        yield CheckFailure("instanceRequirements", "stands beside `instanceType`; give one of them")
    if part(inputs, "instanceMarketOptions").get("marketType") != "capacity-block":
        return
    target = part(part(inputs, "capacityReservationSpecification"), "capacityReservationTarget")
    if not target.get("capacityReservationId") and not target.get("capacityReservationResourceGroupArn"):
        yield CheckFailure(
            "capacityReservationSpecification", "names no Capacity Block; give `capacityReservationTarget`"
        )
    name = inputs.get("instanceType")
    if not name:
        yield CheckFailure("instanceType", "is missing; a Capacity Block has machines of one type: name it")
    elif isinstance(name, str) and (found := machine(name)) and found.capacity_blocks == "no":
        yield CheckFailure("instanceType", f"AWS sells no Capacity Blocks of {name}; use another machine or market")
