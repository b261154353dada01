"""A managed node group, as Kubernetes sees its nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gpu_clusters.eks.fabric import EFA_RESOURCE
from gpu_clusters.eks.machines import Machine, machine
from gpu_clusters.rehearsal.providers.aws.account import Account, Thing
from gpu_clusters.rehearsal.providers.aws.reading import flag, number, objects, text, texts
from gpu_clusters.rehearsal.providers.aws.references import SUBNET
from gpu_clusters.rehearsal.providers.aws.regions import zone_ids, zone_name
from gpu_clusters.rehearsal.providers.values import Properties
from gpu_clusters.rehearsal.world import NodeTaint, NodeTemplate, SimulatedPool

LAUNCH_TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"

#: What EKS takes where nobody names a machine or a disk (EKS API reference, CreateNodegroup).
_DEFAULT_MACHINE: Final = "t3.medium"
_DEFAULT_DISK_GIB: Final = 20
#: Of t3.medium, which the catalogue doesn't have (EC2 user guide, "Specifications for general purpose instances").
_UNKNOWN_VCPUS, _UNKNOWN_GIB, _UNKNOWN_PODS = 2, 4, 17
_MANY_PODS: Final = 110
_EFFECTS: Final = {"NO_SCHEDULE": "NoSchedule", "PREFER_NO_SCHEDULE": "PreferNoSchedule", "NO_EXECUTE": "NoExecute"}
#: Kubernetes's names of architectures.
_ARCHITECTURES: Final = {"x86_64": "amd64", "arm64": "arm64"}
_GPU_RESOURCE: Final = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """A node group with what it refers to.

    Attributes:
        machines: the instance types that it may start, from itself or its launch template.
        template: its launch template's inputs as of the version that it uses; empty without one, or if nobody here
            made it.
    """

    inputs: Properties
    machines: tuple[str, ...]
    template: Properties
    is_templated: bool


def group_facts(inputs: Properties, account: Account, region: str) -> GroupFacts:
    """Read a node group's inputs."""
    found = launch_template(inputs, account, region)
    template = found.inputs if found else {}
    own = tuple(texts(inputs, "instanceTypes"))
    from_template = text(template, "instanceType")
    is_templated = bool(inputs.get("launchTemplate"))
    known = own or ((from_template,) if from_template else ())
    unknown = is_templated and (found is None or template.get("instanceType") is not None)
    return GroupFacts(inputs, known or (() if unknown else (_DEFAULT_MACHINE,)), template, is_templated)


def launch_template(inputs: Properties, account: Account, region: str) -> Thing | None:
    """The launch template that a node group uses, if it was made here."""
    identity, name = text(inputs, "launchTemplate", "id"), text(inputs, "launchTemplate", "name")
    if identity:
        return account.get(LAUNCH_TEMPLATE, region, identity)
    return account.named(LAUNCH_TEMPLATE, region, name) if name else None


def simulated_pool(inputs: Properties, name: str, account: Account, region: str) -> SimulatedPool:
    """The nodes of a node group; `name`: the group's."""
    facts = group_facts(inputs, account, region)
    chosen = (facts.machines or (_DEFAULT_MACHINE,))[0]
    known = machine(chosen)
    least, most = (number(inputs, "scalingConfig", key) or 0 for key in ("minSize", "maxSize"))
    unavailable = _max_unavailable(inputs, most)
    zones = _zones(inputs, account, region)
    strategy = text(inputs, "updateConfig", "updateStrategy") or "DEFAULT"
    return SimulatedPool(
        name=f"node group {name}",
        node_prefix=re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-."),
        minimum=least,
        maximum=most,
        desired=number(inputs, "scalingConfig", "desiredSize") or 0,
        template=NodeTemplate(
            labels=_labels(inputs, name, chosen, known, region),
            taints=_taints(inputs),
            capacity=capacity(known, facts),
            topologies=zones,
            kubernetes_version=text(inputs, "version"),
            image=_image(inputs, account, region),
        ),
        # EKS user guide, "Simplify node lifecycle with managed node groups": it tags every group's resources for the
        # cluster autoscaler's discovery.
        autoscaled=most > least,
        max_unavailable=unavailable,
        # EKS user guide, "Understand each phase of node updates": by default up to twice the number of zones, or
        # `maxUnavailable`, more nodes; with MINIMAL old nodes go first.
        surge=0 if strategy == "MINIMAL" else max(2 * max(1, len(zones)), unavailable),
    )


def capacity(known: Machine | None, facts: GroupFacts) -> Mapping[str, str]:
    """What a node offers to pods: what the machine has, less what EKS's images keep for kubelet and system.

    Sources of the reserve: awslabs/amazon-eks-ami nodeadm/internal/kubelet/config.go (255 MiB and 11 MiB a pod, CPU by
    steps); Kubernetes's default of 100 MiB below which it evicts.
    """
    vcpus, gib = (known.vcpus, known.memory_gib) if known else (_UNKNOWN_VCPUS, _UNKNOWN_GIB)
    pods = (known.max_pods if known else _UNKNOWN_PODS) or _MANY_PODS
    found = {
        "cpu": f"{vcpus * 1000 - _reserved_cpu(vcpus)}m",
        "memory": f"{gib * 1024 - 255 - 11 * pods - 100}Mi",
        "pods": str(pods),
        "ephemeral-storage": f"{_disk_gib(known, facts)}Gi",
    }
    if known and known.gpus:
        found[_GPU_RESOURCE] = str(max(1, int(known.gpus)))
    kinds = [text(item, "interfaceType") for item in objects(facts.template, "networkInterfaces")]
    efa = sum(kind in ("efa", "efa-only") for kind in kinds)
    return {**found, **({EFA_RESOURCE: str(efa)} if efa else {})}


def _reserved_cpu(vcpus: int) -> int:
    """In thousandths: 6 % of the first, 1 % of the second, 0.5 % of the next two, 0.25 % of the others."""
    steps = ((1, 60.0), (1, 10.0), (2, 5.0))
    reserved, left = 0.0, vcpus
    for count, each in steps:
        reserved += min(count, left) * each
        left = max(0, left - count)
    return int(reserved + left * 2.5)


def _disk_gib(known: Machine | None, facts: GroupFacts) -> int:
    data = text(facts.template, "userData")
    # The user data are base64, and RAID0 over the instance store is what a pool of this library asks for there.
    if known and known.local_nvme_gb and _says_raid0(data):
        return int(known.local_nvme_gb * 1000**3 / 1024**3)
    disks = [number(item, "ebs", "volumeSize") or 0 for item in objects(facts.template, "blockDeviceMappings")]
    return max([*disks, number(facts.inputs, "diskSize") or 0]) or _DEFAULT_DISK_GIB


def _says_raid0(user_data: str) -> bool:
    import base64
    import binascii

    try:
        return b"RAID0" in base64.b64decode(user_data, validate=False)
    except (binascii.Error, ValueError):
        return False


def _labels(inputs: Properties, name: str, chosen: str, known: Machine | None, region: str) -> dict[str, str]:
    given = inputs.get("labels")
    own = {key: str(value) for key, value in given.items()} if isinstance(given, dict) else {}
    return {
        "eks.amazonaws.com/nodegroup": name,
        "eks.amazonaws.com/capacityType": text(inputs, "capacityType") or "ON_DEMAND",
        "node.kubernetes.io/instance-type": chosen,
        "kubernetes.io/arch": _ARCHITECTURES[known.architecture if known else "x86_64"],
        "topology.kubernetes.io/region": region,
        **own,
    }


def _taints(inputs: Properties) -> tuple[NodeTaint, ...]:
    return tuple(
        NodeTaint(
            key=text(item, "key"),
            value=text(item, "value"),
            effect=_EFFECTS.get(text(item, "effect"), "NoSchedule"),
        )
        for item in objects(inputs, "taints")
    )


def _zones(inputs: Properties, account: Account, region: str) -> Sequence[Mapping[str, str]]:
    subnets = [account.get(SUBNET, region, identity) for identity in texts(inputs, "subnetIds")]
    found = {text(one.outputs, "availabilityZoneId") for one in subnets if one} or {zone_ids(region)[0]}
    return [
        {"topology.kubernetes.io/zone": zone_name(region, zone) or zone, "topology.k8s.aws/zone-id": zone}
        for zone in sorted(found)
    ]


def _max_unavailable(inputs: Properties, most: int) -> int:
    percentage = number(inputs, "updateConfig", "maxUnavailablePercentage")
    if percentage:
        return max(1, most * percentage // 100)
    return number(inputs, "updateConfig", "maxUnavailable") or 1


def _image(inputs: Properties, account: Account, region: str) -> str:
    found = launch_template(inputs, account, region)
    version = text(inputs, "launchTemplate", "version")
    image = text(inputs, "amiType") or (text(found.inputs, "imageId") if found else "")
    release = text(inputs, "releaseVersion") or text(inputs, "version")
    return " ".join(part for part in (image, release, f"template version {version}" if version else "") if part)


def is_untainted(pool: SimulatedPool) -> bool:
    """Whether pods without tolerations can run on it, now or once it is scaled."""
    keeps_away = any(taint.effect in ("NoSchedule", "NoExecute") for taint in pool.template.taints)
    return not keeps_away and (pool.desired > 0 or (pool.autoscaled and pool.maximum > 0))


def has_public_address(template: Properties) -> bool:
    """Whether a launch template asks for public addresses."""
    return any(flag(item, "associatePublicIpAddress") for item in objects(template, "networkInterfaces"))
