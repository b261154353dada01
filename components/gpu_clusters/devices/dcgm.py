"""NVIDIA's DCGM exporter: metrics of every GPU, for Prometheus to fetch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from gpu_clusters import labels
from gpu_clusters.cluster import Platform
from gpu_clusters.devices.placement import on_pools, tolerations
from gpu_clusters.images import Image, Images
from gpu_clusters.pools import GpuPool

#: Where the exporter answers, on every node that it runs on (its own default).
METRICS_PORT: Final = 9400

_NAME: Final = "dcgm-exporter"
_POD_RESOURCES: Final = "/var/lib/kubelet/pod-resources"


def dcgm_exporter(
    name: str,
    pools: Sequence[GpuPool],
    *,
    namespace: str,
    platform: Platform,
    images: Images,
    opts: pulumi.ResourceOptions,
) -> None:
    """The exporter as a DaemonSet on the nodes of these pools, and a headless Service by which it is found.

    Its pods keep SYS_ADMIN: profiling metrics need it (`dcgm-exporter.yaml` of NVIDIA/dcgm-exporter), and on
    Bottlerocket the container sees no GPU without it (bottlerocket-os/bottlerocket issue 3992).
    """
    selector = {"app.kubernetes.io/name": _NAME}
    metadata = k8s.meta.v1.ObjectMetaArgs(name=_NAME, namespace=namespace, labels=_labels(selector))
    not_awaited = k8s.meta.v1.ObjectMetaArgs(
        name=_NAME,
        namespace=namespace,
        labels=_labels(selector),
        # Pools that have no nodes yet give it no endpoints, and nothing is wrong then.
        annotations={"pulumi.com/skipAwait": "true"},
    )
    k8s.apps.v1.DaemonSet(
        f"{name}-dcgm",
        metadata=metadata,
        spec=k8s.apps.v1.DaemonSetSpecArgs(
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector),
            update_strategy=k8s.apps.v1.DaemonSetUpdateStrategyArgs(type="RollingUpdate"),
            template=k8s.core.v1.PodTemplateSpecArgs(
                metadata=k8s.meta.v1.ObjectMetaArgs(labels=_labels(selector)),
                spec=k8s.core.v1.PodSpecArgs(
                    priority_class_name="system-node-critical",
                    runtime_class_name=platform.runtime_class,
                    automount_service_account_token=False,
                    affinity=on_pools(pools),
                    tolerations=tolerations(pools),
                    containers=[_container(images)],
                    volumes=[
                        k8s.core.v1.VolumeArgs(
                            name="pod-resources",
                            host_path=k8s.core.v1.HostPathVolumeSourceArgs(path=_POD_RESOURCES, type="Directory"),
                        )
                    ],
                ),
            ),
        ),
        opts=opts,
    )
    k8s.core.v1.Service(
        f"{name}-dcgm",
        metadata=not_awaited,
        spec=k8s.core.v1.ServiceSpecArgs(
            # One address for all would show the GPUs of one node after the other.
            cluster_ip="None",
            selector=selector,
            ports=[k8s.core.v1.ServicePortArgs(name="metrics", port=METRICS_PORT, target_port="metrics")],
        ),
        opts=opts,
    )


def _container(images: Images) -> k8s.core.v1.ContainerArgs:
    node_name = k8s.core.v1.EnvVarSourceArgs(field_ref=k8s.core.v1.ObjectFieldSelectorArgs(field_path="spec.nodeName"))
    return k8s.core.v1.ContainerArgs(
        name="exporter",
        image=images.reference(Image.DCGM_EXPORTER),
        env=[
            k8s.core.v1.EnvVarArgs(name="DCGM_EXPORTER_LISTEN", value=f":{METRICS_PORT}"),
            k8s.core.v1.EnvVarArgs(name="DCGM_EXPORTER_KUBERNETES", value="true"),
            k8s.core.v1.EnvVarArgs(name="NODE_NAME", value_from=node_name),
        ],
        ports=[k8s.core.v1.ContainerPortArgs(name="metrics", container_port=METRICS_PORT)],
        # As its chart has them (`deployment/values.yaml` of NVIDIA/dcgm-exporter).
        resources=k8s.core.v1.ResourceRequirementsArgs(
            requests={"cpu": "100m", "memory": "128Mi"}, limits={"cpu": "200m", "memory": "512Mi"}
        ),
        security_context=k8s.core.v1.SecurityContextArgs(
            run_as_non_root=False,
            run_as_user=0,
            capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"], add=["SYS_ADMIN"]),
        ),
        volume_mounts=[k8s.core.v1.VolumeMountArgs(name="pod-resources", mount_path=_POD_RESOURCES, read_only=True)],
    )


def _labels(selector: dict[str, str]) -> dict[str, str]:
    return {labels.MANAGED_BY: labels.MANAGED_BY_VALUE, **selector}
