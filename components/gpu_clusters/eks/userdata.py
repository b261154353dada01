"""What a node is told at boot: nodeadm's NodeConfig on AL2023, settings on Bottlerocket.  No Pulumi.

EKS adds the cluster's own part to what a managed group's launch template has, but for an image of the user's own.
Of Bottlerocket's built-in plugin, time slicing is in the settings since 1.29 at the latest, MIG since 1.34 at the
latest, MPS since 1.54 (bottlerocket.dev, "kubelet-device-plugins" of those releases; bottlerocket-os/bottlerocket pull
request 4744).

Sources: awslabs/amazon-eks-ami `nodeadm/doc/api.md` and `nodeadm/doc/examples.md` (2026-07); bottlerocket.dev, "API
settings" 1.54; aws/karpenter-provider-aws `pkg/providers/amifamily/bootstrap/bottlerocketsettings.go`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from gpu_clusters.eks.machines import machine
from gpu_clusters.eks.pool_checks import MIG_KEYS
from gpu_clusters.eks.pool_facts import ami_family, local_nvme_gb, machine_names
from gpu_clusters.pools import Mig, Mps, TimeSlicing

if TYPE_CHECKING:
    from gpu_clusters.eks.pools import EksGpuPool

Settings: TypeAlias = "dict[str, bool | int | str | list[str] | list[list[str]] | Settings]"

#: Fixed, so that the same pool has the same user data in every run.
_BOUNDARY: Final = "gpu-clusters"
_NVME_FOLDERS: Final = ("/var/lib/containerd", "/var/lib/kubelet", "/var/log/pods", "/var/lib/soci-snapshotter")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDetails:
    """What a node with an image of the user's own must be told of its cluster.

    Attributes:
        name, endpoint: of the cluster.
        certificate_authority: PEM in base64, as EKS gives it.
        service_cidr: the IPv4 range of its services.
    """

    name: str
    endpoint: str
    certificate_authority: str
    service_cidr: str


def user_data(pool: EksGpuPool, cluster: ClusterDetails | None = None) -> str | None:
    """The user data of a pool's nodes, in base64; None where EKS's own is all that they need."""
    if ami_family(pool) == "bottlerocket":
        settings = bottlerocket_settings(pool)
        text = "\n".join(_toml(settings, ("settings",))) + "\n" if settings else ""
    else:
        spec = node_config_spec(pool, cluster)
        config = {"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig", "spec": spec}
        # JSON is YAML, which nodeadm reads.
        text = _mime(json.dumps(config, indent=2)) if spec else ""
    return base64.b64encode(text.encode()).decode() if text else None


def node_config_spec(pool: EksGpuPool, cluster: ClusterDetails | None = None) -> Settings:
    """The `spec` of a node's NodeConfig on AL2023."""
    spec: Settings = {}
    if cluster is not None:
        spec["cluster"] = {
            "name": cluster.name,
            "apiServerEndpoint": cluster.endpoint,
            "certificateAuthority": cluster.certificate_authority,
            "cidr": cluster.service_cidr,
        }
    known = [machine(name) for name in machine_names(pool)]
    if pool.local_nvme == "raid0" and any(found is None or found.local_nvme_gb != 0 for found in known):
        # nodeadm leaves a machine without such disks as it is, so that it may be asked where a machine isn't known.
        spec["instance"] = {"localStorage": {"strategy": "RAID0"}}
    if pool.max_pods is not None:
        spec["kubelet"] = {"config": {"maxPods": pool.max_pods}}
    if pool.fast_image_pull is not False:
        spec["featureGates"] = {"FastImagePull": True}
    return spec


def bottlerocket_settings(pool: EksGpuPool) -> Settings:
    """The table `settings` of a Bottlerocket node."""
    settings: Settings = {}
    if pool.max_pods is not None:
        settings["kubernetes"] = {"max-pods": pool.max_pods}
    if local_nvme_gb(pool):
        folders = [name for name in _NVME_FOLDERS if pool.fast_image_pull or "soci" not in name]
        settings["bootstrap-commands"] = {
            "000-local-nvme": {
                "commands": [
                    ["apiclient", "ephemeral-storage", "init"],
                    ["apiclient", "ephemeral-storage", "bind", "--dirs", *folders],
                ],
                "mode": "always",
                "essential": True,
            }
        }
    if pool.fast_image_pull:
        settings["container-runtime"] = {"snapshotter": "soci"}
        settings["container-runtime-plugins"] = {"soci-snapshotter": {"pull-mode": "parallel-pull-unpack"}}
    if sharing := _sharing_settings(pool):
        settings["kubelet-device-plugins"] = {"nvidia": sharing}
    return settings


def _sharing_settings(pool: EksGpuPool) -> Settings:
    """The built-in plugin's settings: the same names of resources that `GpuPool.resource` promises."""
    match pool.sharing:
        case TimeSlicing(replicas=replicas):
            shared: Settings = {
                "replicas": replicas,
                "rename-by-default": True,
                "fail-requests-greater-than-one": True,
            }
            return {"device-sharing-strategy": "time-slicing", "time-slicing": shared}
        case Mps(replicas=replicas):
            return {"device-sharing-strategy": "mps", "mps": {"replicas": replicas, "rename-by-default": True}}
        case Mig(profile=profile):
            return {"device-partitioning-strategy": "mig", "mig": {"profile": {MIG_KEYS[pool.gpu.value]: profile}}}
        case None:
            return {}


@cache
def _mime(node_config: str) -> str:
    part = MIMENonMultipart("application", "node.eks.aws")
    part.set_payload(node_config)
    message = MIMEMultipart("mixed", boundary=_BOUNDARY)
    message.attach(part)
    return message.as_string()


def _toml(table: Mapping[str, object], path: tuple[str, ...]) -> Iterator[str]:
    """A table as TOML, whose strings, numbers and lists are JSON's."""
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if plain:
        yield f"[{'.'.join(json.dumps(key) for key in path)}]"
        yield from (f"{json.dumps(key)} = {json.dumps(value)}" for key, value in plain.items())
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _toml(cast("dict[str, object]", value), (*path, key))
