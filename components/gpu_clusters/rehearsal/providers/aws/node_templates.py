"""What the nodes of a managed node group are like."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Final

from gpu_clusters.eks.fabric import EFA_RESOURCE
from gpu_clusters.eks.machines import Machine, machine
from gpu_clusters.rehearsal.clusters import karpenter
from gpu_clusters.rehearsal.providers.aws.identities import text
from gpu_clusters.rehearsal.providers.aws.made import Existing, Made
from gpu_clusters.rehearsal.providers.aws.outputs_eks import inner, texts
from gpu_clusters.rehearsal.providers.aws.places import Place
from gpu_clusters.rehearsal.providers.values import Properties, Value, reveal
from gpu_clusters.rehearsal.world import NodeTaint, NodeTemplate, Unchecked

TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
_EFFECTS: Final = {
    "NO_SCHEDULE": "NoSchedule",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
    "NO_EXECUTE": "NoExecute",
}
#: By which user data asks for all local NVMe disks as one: nodeadm's strategy, and Bottlerocket's command.
_RAID: Final = ("RAID0", "ephemeral-storage")
_DEFAULT_PODS: Final = 110
#: What the kubelet keeps free (awslabs/amazon-eks-ami, `nodeadm/internal/kubelet/config.go`, `evictionHard`).
_EVICTION_MIB: Final = 100
#: Of the first core, the second, the next two and all others, in 1/10000.
_CPU_SHARES: Final = ((1, 600), (2, 100), (4, 50), (10**6, 25))
#: EKS's default where neither group nor template says one (EKS API reference, CreateNodegroup, `instanceTypes`).
_DEFAULT_MACHINE: Final = "t3.medium"
_DEFAULT_DISK_GIB: Final = 20


def launch_template(group: Properties, made: Made) -> Existing | None:
    """The launch template that a node group names; None where it names none, or one that this run didn't make."""
    wanted = inner(group, "launchTemplate")
    id_, name = text(wanted, "id"), text(wanted, "name")
    for one in made.of(TEMPLATE):
        if (id_ and one.id == id_) or (not id_ and name and text(one.outputs, "name") == name):
            return one
    return None


def machine_name(group: Properties, template: Existing | None) -> str:
    """The instance type of a group's nodes: the first of several."""
    own = texts(group.get("instanceTypes"))
    return own[0] if own else (text(template.inputs, "instanceType") if template else "") or _DEFAULT_MACHINE


def node_template(group: Properties, filled: Properties, image: str, place: Place, made: Made) -> NodeTemplate:
    """What every node of a group is like.

    Args:
        group: its inputs.
        filled: its outputs.
        image: what tells this image and template from another one.
    """
    template = launch_template(group, made)
    name = machine_name(group, template)
    found = machine(name)
    if found is None:
        reason = f"the catalogue doesn't know {name}: its nodes offer 8 CPUs, 32 GiB and no GPU in this rehearsal"
        made.journal.note(Unchecked(resource=f"node group {text(group, 'nodeGroupName')}", reason=reason))
    return NodeTemplate(
        labels=_labels(group, filled, name, found, place),
        taints=_taints(group.get("taints")),
        capacity=_capacity(found, group, template) if found else {"cpu": "8", "memory": "32Gi", "pods": "110"},
        topologies=topologies(texts(group.get("subnetIds")), place, made),
        kubernetes_version=text(filled, "version"),
        image=image,
    )


def topologies(subnet_ids: Sequence[str], place: Place, made: Made) -> list[dict[str, str]]:
    """The zone labels of nodes in those subnets, each zone once; those of the region where a subnet isn't known."""
    found = [one.outputs for id_ in subnet_ids if (one := made.find(id_))]
    zones = {text(one, "availabilityZoneId"): text(one, "availabilityZone") for one in found}
    chosen = zones or dict(list(place.zones().items())[: max(1, len(subnet_ids))])
    return [
        {"topology.kubernetes.io/zone": name, "topology.k8s.aws/zone-id": zone_id}
        for zone_id, name in sorted(chosen.items())
    ]


def _labels(group: Properties, filled: Properties, name: str, found: Machine | None, place: Place) -> dict[str, str]:
    own = {key: value for key, value in inner(group, "labels").items() if isinstance(value, str)}
    return {
        **own,
        "eks.amazonaws.com/nodegroup": text(filled, "nodeGroupName"),
        "eks.amazonaws.com/capacityType": text(filled, "capacityType"),
        "node.kubernetes.io/instance-type": name,
        "kubernetes.io/arch": "arm64" if found and found.architecture == "arm64" else "amd64",
        "topology.kubernetes.io/region": place.region,
    }


def _taints(value: Value) -> tuple[NodeTaint, ...]:
    shown = reveal(value)
    taints = [item for item in shown if isinstance(item, dict)] if isinstance(shown, list) else []
    return tuple(
        NodeTaint(
            key=text(taint, "key"), value=text(taint, "value"), effect=_EFFECTS.get(text(taint, "effect"), "NoSchedule")
        )
        for taint in taints
    )


def _capacity(found: Machine, group: Properties, template: Existing | None) -> dict[str, str]:
    """What a node offers to pods: less than the machine has, by what EKS's images reserve.

    Source of the reservations: awslabs/amazon-eks-ami, `nodeadm/internal/kubelet/config.go`. What the hypervisor and
    the kernel take, a few per cent of memory, no source gives by machine; it isn't subtracted.
    """
    pods = found.max_pods or _DEFAULT_PODS
    whole = karpenter.capacity(found)
    # Which interfaces a node has is the launch template's to say.
    whole.pop(EFA_RESOURCE, None)
    fabric = _efa_interfaces(template)
    return {
        **whole,
        "cpu": f"{found.vcpus * 1000 - _reserved_cpu(found.vcpus)}m",
        "memory": f"{found.memory_gib * 1024 - (11 * pods + 255) - _EVICTION_MIB}Mi",
        "pods": str(pods),
        "ephemeral-storage": _storage(found, group, template),
        **({EFA_RESOURCE: str(fabric)} if fabric else {}),
    }


def _reserved_cpu(cores: int) -> int:
    """In thousandths of a core."""
    total, below = 0, 0
    for upto, share in _CPU_SHARES:
        total += max(0, min(cores, upto) - below) * 1000 * share // 10000
        below = upto
    return total


def _efa_interfaces(template: Existing | None) -> int:
    listed = template.inputs.get("networkInterfaces") if template else None
    interfaces = listed if isinstance(listed, list) else []
    return sum(isinstance(one, dict) and text(one, "interfaceType") in ("efa", "efa-only") for one in interfaces)


def _storage(found: Machine, group: Properties, template: Existing | None) -> str:
    """Room for images, logs and ephemeral volumes: local NVMe where it is used, else the largest volume."""
    if template and found.local_nvme_gb and any(word in _user_data(template.inputs) for word in _RAID):
        return f"{found.local_nvme_gb}G"
    mappings = template.inputs.get("blockDeviceMappings") if template else None
    disks = (
        [inner(item, "ebs").get("volumeSize") for item in mappings if isinstance(item, dict)]
        if isinstance(mappings, list)
        else []
    )
    sizes = [size for size in (*disks, reveal(group.get("diskSize"))) if isinstance(size, int)]
    return f"{max(sizes, default=_DEFAULT_DISK_GIB)}Gi"


def _user_data(template: Properties) -> str:
    try:
        return base64.b64decode(text(template, "userData")).decode(errors="replace")
    except binascii.Error:
        return text(template, "userData")
