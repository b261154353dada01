"""DeviceLayer: what a cluster needs so that pods can ask for its GPUs."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s

from gpu_clusters import labels
from gpu_clusters.cluster import Platform
from gpu_clusters.devices.choice import measured_pools, needs_plugin, plugin_config, plugin_environment
from gpu_clusters.devices.dcgm import dcgm_exporter
from gpu_clusters.devices.placement import tolerations
from gpu_clusters.images import Image, Images
from gpu_clusters.pools import GpuPool, Mig

#: The namespace of the device layer. Its pods touch the kubelet's folders, so Pod Security is `privileged` here.
NAMESPACE = "gpu-clusters-devices"


class DeviceLayer(pulumi.ComponentResource):
    """What the nodes of GPU pools need beside driver and container toolkit.

    The NVIDIA device plugin: one DaemonSet for each pool that needs it, and none where the platform brings one
    (`PlatformManaged`), so that there are never two on a node. NVIDIA's DCGM exporter for all pools with NVIDIA GPUs,
    where the platform doesn't measure them itself.

    Made once per cluster, by the cluster's side.

    Args:
        pools: the cluster's GPU pools.
        platform: its facts.
        images: where images come from.
    """

    def __init__(
        self,
        name: str,
        pools: Sequence[GpuPool],
        *,
        platform: Platform,
        images: Images,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("gpu-clusters:devices:DeviceLayer", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        served = [pool for pool in pools if needs_plugin(pool, platform)]
        measured = measured_pools(pools, platform)
        if served or measured:
            namespace = k8s.core.v1.Namespace(
                f"{name}-namespace",
                metadata=k8s.meta.v1.ObjectMetaArgs(
                    name=NAMESPACE,
                    labels={
                        labels.MANAGED_BY: labels.MANAGED_BY_VALUE,
                        "pod-security.kubernetes.io/enforce": "privileged",
                    },
                ),
                opts=child,
            )
            in_namespace = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
            for pool in served:
                _plugin(name, pool, platform, images, in_namespace)
            if measured:
                dcgm_exporter(name, measured, namespace=NAMESPACE, platform=platform, images=images, opts=in_namespace)
        self.register_outputs({})


def _plugin(name: str, pool: GpuPool, platform: Platform, images: Images, opts: pulumi.ResourceOptions) -> None:
    object_name = f"nvidia-device-plugin-{pool.name}"
    selector = {"app.kubernetes.io/name": "nvidia-device-plugin", labels.POOL: pool.name}
    config = plugin_config(pool)
    if config is not None:
        k8s.core.v1.ConfigMap(
            f"{name}-{pool.name}-config",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=object_name, namespace=NAMESPACE, labels=_labels(selector)),
            data={"config.json": json.dumps(config, indent=2)},
            opts=opts,
        )
    k8s.apps.v1.DaemonSet(
        f"{name}-{pool.name}",
        metadata=k8s.meta.v1.ObjectMetaArgs(name=object_name, namespace=NAMESPACE, labels=_labels(selector)),
        spec=k8s.apps.v1.DaemonSetSpecArgs(
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector),
            update_strategy=k8s.apps.v1.DaemonSetUpdateStrategyArgs(type="RollingUpdate"),
            template=k8s.core.v1.PodTemplateSpecArgs(
                metadata=k8s.meta.v1.ObjectMetaArgs(labels=_labels(selector)),
                spec=_pod(pool, platform, images, object_name if config else None),
            ),
        ),
        opts=opts,
    )


def _pod(pool: GpuPool, platform: Platform, images: Images, config_map: str | None) -> k8s.core.v1.PodSpecArgs:
    socket_dir = platform.device_plugin_socket_dir
    volumes = [
        k8s.core.v1.VolumeArgs(
            name="device-plugins", host_path=k8s.core.v1.HostPathVolumeSourceArgs(path=socket_dir, type="Directory")
        )
    ]
    mounts = [k8s.core.v1.VolumeMountArgs(name="device-plugins", mount_path=socket_dir)]
    if config_map:
        volumes.append(
            k8s.core.v1.VolumeArgs(name="config", config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(name=config_map))
        )
        mounts.append(k8s.core.v1.VolumeMountArgs(name="config", mount_path="/config", read_only=True))
    return k8s.core.v1.PodSpecArgs(
        priority_class_name="system-node-critical",
        runtime_class_name=platform.runtime_class,
        automount_service_account_token=False,
        node_selector={labels.POOL: pool.name},
        tolerations=tolerations([pool]),
        containers=[
            k8s.core.v1.ContainerArgs(
                name="plugin",
                image=images.reference(Image.DEVICE_PLUGIN),
                env=[
                    k8s.core.v1.EnvVarArgs(name=name, value=value) for name, value in plugin_environment(pool).items()
                ],
                security_context=_security(pool, with_config=config_map is not None),
                volume_mounts=mounts,
            )
        ],
        volumes=volumes,
    )


def _security(pool: GpuPool, *, with_config: bool) -> k8s.core.v1.SecurityContextArgs:
    # The plugin needs SYS_ADMIN to see MIG devices, and with a configuration file; else nothing at all.
    needs_admin = with_config or isinstance(pool.sharing, Mig)
    return k8s.core.v1.SecurityContextArgs(
        allow_privilege_escalation=None if needs_admin else False,
        capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"], add=["SYS_ADMIN"] if needs_admin else None),
    )


def _labels(selector: dict[str, str]) -> dict[str, str]:
    return {labels.MANAGED_BY: labels.MANAGED_BY_VALUE, **selector}
