"""A cluster on EKS with many GPU pools: the pools once by the library and once by hand, under the recording monitor.

The cluster around them is the library's in both. Prints the seconds of processor time that the run took, imports left
out. Called by bench_eks.py.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Sequence

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s
from gpu_clusters import Gpu, GpuPool, Nodes
from gpu_clusters.eks import AccessEntry, EksCluster, EksClusterArgs
from gpu_clusters.preview.recorder import Recording, record

DEPLOYER = AccessEntry(principal_arn="arn:aws:iam::111122223333:role/deployer", policy="clusterAdmin")
NODE_CONFIG = {
    "apiVersion": "node.eks.aws/v1alpha1",
    "kind": "NodeConfig",
    "spec": {"instance": {"localStorage": {"strategy": "RAID0"}}, "featureGates": {"FastImagePull": True}},
}


def pool(number: int) -> GpuPool:
    return GpuPool(name=f"pool-{number}", gpu=Gpu.L4, nodes=Nodes(max=4))


def cluster(pools: int) -> EksCluster:
    return EksCluster(
        "eks",
        EksClusterArgs(
            region="us-west-2",
            zones=["usw2-az1", "usw2-az2"],
            kubernetes_version="1.33",
            access=[DEPLOYER],
            gpu_pools=[pool(number) for number in range(pools)],
        ),
    )


def library(count: int) -> None:
    cluster(count)


def by_hand(count: int) -> None:
    # With one pool, since the first one also brings what there is once for all.
    around = cluster(1)
    own = aws.Provider("by-hand", region="us-west-2")
    for number in range(1, count):
        Pool(f"pool-{number}", around, own)


class Pool(pulumi.ComponentResource):
    """The same resources as the library makes for one pool, spelled out."""

    def __init__(self, name: str, around: EksCluster, provider: aws.Provider) -> None:
        super().__init__("by-hand:index:Pool", name)
        on_aws = pulumi.ResourceOptions(parent=self, provider=provider)
        tags = {"gpu-clusters.dev/cluster": "eks", "gpu-clusters.dev/pool": name, "Name": f"eks-{name}"}
        template = _launch_template(name, tags, on_aws)
        group = _node_group(name, tags, template, around, on_aws)
        _autoscaler_tags(name, group, on_aws)
        _device_plugin(name, pulumi.ResourceOptions(parent=self, provider=around.kubernetes))
        self.register_outputs({})


def _launch_template(name: str, tags: dict[str, str], opts: pulumi.ResourceOptions) -> aws.ec2.LaunchTemplate:
    parts = [
        "Content-Type: multipart/mixed; boundary=gpu",
        "MIME-Version: 1.0",
        "",
        "--gpu",
        "Content-Type: application/node.eks.aws",
        "",
        json.dumps(NODE_CONFIG, indent=2),
        "--gpu--",
    ]
    return aws.ec2.LaunchTemplate(
        name,
        name_prefix=f"eks-{name}-",
        update_default_version=True,
        instance_type="g6.2xlarge",
        user_data=base64.b64encode("\n".join(parts).encode()).decode(),
        block_device_mappings=[
            aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                device_name="/dev/xvda",
                ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                    volume_size=200, volume_type="gp3", encrypted="true", delete_on_termination="true"
                ),
            )
        ],
        metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
        ),
        tag_specifications=[
            aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags)
            for kind in ("instance", "volume", "network-interface")
        ],
        tags=tags,
        opts=opts,
    )


def _node_group(
    name: str,
    tags: dict[str, str],
    template: aws.ec2.LaunchTemplate,
    around: EksCluster,
    opts: pulumi.ResourceOptions,
) -> aws.eks.NodeGroup:
    return aws.eks.NodeGroup(
        name,
        cluster_name="eks",
        node_group_name_prefix=f"{name}-",
        node_role_arn=around.node_role_arn,
        # Two values that are known once the cluster is there, as subnets of a network by hand would be.
        subnet_ids=[around.vpc_id, around.vpc_id],
        ami_type="AL2023_x86_64_NVIDIA",
        version="1.33",
        capacity_type="ON_DEMAND",
        launch_template=aws.eks.NodeGroupLaunchTemplateArgs(id=template.id, version=template.latest_version.apply(str)),
        scaling_config=aws.eks.NodeGroupScalingConfigArgs(min_size=0, max_size=4, desired_size=0),
        update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1, update_strategy="DEFAULT"),
        node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
        labels=_labels(name),
        taints=[aws.eks.NodeGroupTaintArgs(key="nvidia.com/gpu", value="present", effect="NO_SCHEDULE")],
        tags=tags,
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                ignore_changes=["scalingConfig.desiredSize"],
                custom_timeouts=pulumi.CustomTimeouts(create="30m", update="120m", delete="60m"),
            ),
        ),
    )


def _autoscaler_tags(name: str, group: aws.eks.NodeGroup, opts: pulumi.ResourceOptions) -> None:
    said = {
        **{f"label/{key}": value for key, value in _labels(name).items()},
        "taint/nvidia.com/gpu": "present:NoSchedule",
        "resources/nvidia.com/gpu": "1",
        "resources/ephemeral-storage": "250G",
    }
    for key, value in said.items():
        aws.autoscaling.Tag(
            f"{name}/{key}",
            autoscaling_group_name=group.resources.apply(_autoscaling_group),
            tag=aws.autoscaling.TagTagArgs(
                key=f"k8s.io/cluster-autoscaler/node-template/{key}", value=value, propagate_at_launch=False
            ),
            opts=opts,
        )


def _autoscaling_group(resources: Sequence[aws.eks.outputs.NodeGroupResource]) -> str:
    groups = resources[0].autoscaling_groups or []
    return groups[0].name or ""


def _labels(name: str) -> dict[str, str]:
    return {"gpu-clusters.dev/gpu": "l4", "gpu-clusters.dev/pool": name, "k8s.amazonaws.com/accelerator": "l4"}


def _device_plugin(name: str, opts: pulumi.ResourceOptions) -> None:
    chosen = {"app.kubernetes.io/name": "nvidia-device-plugin", "gpu-clusters.dev/pool": name}
    labels = {"app.kubernetes.io/managed-by": "gpu-clusters", **chosen}
    folder = "/var/lib/kubelet/device-plugins"
    k8s.apps.v1.DaemonSet(
        f"{name}-plugin",
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=f"nvidia-device-plugin-{name}", namespace="gpu-clusters-devices", labels=labels
        ),
        spec=k8s.apps.v1.DaemonSetSpecArgs(
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=chosen),
            update_strategy=k8s.apps.v1.DaemonSetUpdateStrategyArgs(type="RollingUpdate"),
            template=k8s.core.v1.PodTemplateSpecArgs(
                metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels),
                spec=k8s.core.v1.PodSpecArgs(
                    priority_class_name="system-node-critical",
                    automount_service_account_token=False,
                    node_selector={"gpu-clusters.dev/pool": name},
                    tolerations=[
                        k8s.core.v1.TolerationArgs(key=key, operator="Exists")
                        for key in ("CriticalAddonsOnly", "nvidia.com/gpu")
                    ],
                    containers=[_plugin_container(folder)],
                    volumes=[
                        k8s.core.v1.VolumeArgs(
                            name="device-plugins",
                            host_path=k8s.core.v1.HostPathVolumeSourceArgs(path=folder, type="Directory"),
                        )
                    ],
                ),
            ),
        ),
        opts=opts,
    )


def _plugin_container(folder: str) -> k8s.core.v1.ContainerArgs:
    environment = {
        "MIG_STRATEGY": "none",
        "NVIDIA_VISIBLE_DEVICES": "all",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    }
    return k8s.core.v1.ContainerArgs(
        name="plugin",
        image="nvcr.io/nvidia/k8s-device-plugin:v0.20.0",
        env=[k8s.core.v1.EnvVarArgs(name=key, value=value) for key, value in environment.items()],
        security_context=k8s.core.v1.SecurityContextArgs(
            allow_privilege_escalation=False, capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"])
        ),
        volume_mounts=[k8s.core.v1.VolumeMountArgs(name="device-plugins", mount_path=folder)],
    )


def _custom(recording: Recording) -> int:
    return sum(resource.custom and not resource.type.startswith("pulumi:") for resource in recording.resources)


def main() -> None:
    """Run one side and print its seconds; both must make as many resources."""
    which, count = sys.argv[1], int(sys.argv[2])
    run = {"library": library, "by-hand": by_hand}[which]
    small = record(lambda: run(2), project="eks", stack_name="warm")
    start = time.process_time()
    recording = record(lambda: run(count), project="eks", stack_name="measured")
    seconds = time.process_time() - start
    per_pool = (_custom(recording) - _custom(small)) / (count - 2)
    sys.stdout.write(json.dumps({"seconds": seconds, "resourcesPerPool": per_pool}))


if __name__ == "__main__":
    main()
