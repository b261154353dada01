"""AWS's EFA device plugin: what lets pods ask for `vpc.amazonaws.com/efa`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from gpu_clusters import data, labels
from gpu_clusters.devices.placement import on_pools, tolerations
from gpu_clusters.eks.pool_facts import uses_efa
from gpu_clusters.eks.pools import EksGpuPool
from gpu_clusters.errors import ProblemId
from gpu_clusters.findings import Severity, report
from gpu_clusters.images import Image, Images

NAMESPACE: Final = "kube-system"

_NAME: Final = "aws-efa-k8s-device-plugin"
#: By volume, the node's folder: the plugin opens its socket in the first and finds the adapters in the second.
_FOLDERS: Final = {"device-plugin": "/var/lib/kubelet/device-plugins", "infiniband": "/dev/infiniband"}


class EfaPlugin(pulumi.ComponentResource):
    """The EFA device plugin as a DaemonSet on the nodes of pools with EFA; nothing where no pool has it.

    EKS's images have the driver and no plugin (EKS user guide, "Manage EFA devices on Amazon EKS"). Nothing is made for
    nodes of EKS Auto Mode: AWS's own chart avoids them (aws/eks-charts, `stable/aws-efa-k8s-device-plugin`), and
    NVIDIA's documentation of Dynamo on EKS says that they include the plugin.

    Args:
        pools: the cluster's GPU pools.
        zones: its zone ids.
        region: its region, in whose registry the image is.
        images: where images come from.
    """

    def __init__(
        self,
        name: str,
        pools: Sequence[EksGpuPool],
        *,
        zones: Sequence[str],
        region: str,
        images: Images,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("gpu-clusters:eks:EfaPlugin", name, {}, opts)
        served = [pool for pool in pools if uses_efa(pool, zones)]
        if served:
            if registry(region) is None and images.registry is None:
                report(
                    self,
                    ProblemId.NOT_IN_CATALOGUE,
                    Severity.WARNING,
                    f"AWS's registry of add-on images for {region} isn't in the library's catalogue, so that the EFA "
                    "plugin's image comes from another region",
                    "set `images.registry` to one of your own that holds it",
                )
            _daemon_set(name, served, plugin_image(region, images), pulumi.ResourceOptions(parent=self))
        self.register_outputs({})


def registry(region: str) -> str | None:
    """AWS's registry of add-on images for a region; None where the catalogue has none."""
    return next((row["registry"] for row in data.rows("aws_eks_registries") if row["region"] == region), None)


def plugin_image(region: str, images: Images) -> str:
    """The plugin's image at the region's own registry, or at the user's."""
    host, _, rest = Images().reference(Image.EFA_PLUGIN).partition("/")
    return images.reference(f"{registry(region) or host}/{rest}")


def _daemon_set(name: str, pools: Sequence[EksGpuPool], image: str, opts: pulumi.ResourceOptions) -> None:
    selector = {"app.kubernetes.io/name": _NAME}
    own_labels = {labels.MANAGED_BY: labels.MANAGED_BY_VALUE, **selector}
    k8s.apps.v1.DaemonSet(
        name,
        metadata=k8s.meta.v1.ObjectMetaArgs(name=_NAME, namespace=NAMESPACE, labels=own_labels),
        spec=k8s.apps.v1.DaemonSetSpecArgs(
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector),
            update_strategy=k8s.apps.v1.DaemonSetUpdateStrategyArgs(type="RollingUpdate"),
            template=k8s.core.v1.PodTemplateSpecArgs(
                metadata=k8s.meta.v1.ObjectMetaArgs(labels=own_labels), spec=_pod(pools, image)
            ),
        ),
        opts=opts,
    )


def _pod(pools: Sequence[EksGpuPool], image: str) -> k8s.core.v1.PodSpecArgs:
    return k8s.core.v1.PodSpecArgs(
        priority_class_name="system-node-critical",
        automount_service_account_token=False,
        host_network=True,
        affinity=on_pools(pools),
        tolerations=tolerations(pools),
        containers=[
            k8s.core.v1.ContainerArgs(
                name="plugin",
                image=image,
                # As AWS's chart has them: it enters the adapters' devices of the node.
                security_context=k8s.core.v1.SecurityContextArgs(privileged=True, run_as_user=0),
                resources=k8s.core.v1.ResourceRequirementsArgs(requests={"cpu": "10m", "memory": "20Mi"}),
                volume_mounts=[
                    k8s.core.v1.VolumeMountArgs(name=volume, mount_path=path) for volume, path in _FOLDERS.items()
                ],
            )
        ],
        volumes=[
            k8s.core.v1.VolumeArgs(name=volume, host_path=k8s.core.v1.HostPathVolumeSourceArgs(path=path))
            for volume, path in _FOLDERS.items()
        ],
    )
