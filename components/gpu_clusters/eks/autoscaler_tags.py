"""What the cluster autoscaler must know of a node group that has no node yet, as tags of its Auto Scaling group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
import pulumi_aws as aws

from gpu_clusters.pools import Taint

#: The label by which the autoscaler knows that a node will have GPUs before its device plugin has said so.
GPU_LABEL: Final = "k8s.amazonaws.com/accelerator"
_TEMPLATE: Final = "k8s.io/cluster-autoscaler/node-template"


def tag_autoscaling_group(
    logical: str,
    group: aws.eks.NodeGroup,
    *,
    labels: Mapping[str, str],
    taints: Sequence[Taint],
    resources: Mapping[str, str | int],
    opts: pulumi.ResourceOptions,
) -> list[aws.autoscaling.Tag]:
    """Tag a node group's Auto Scaling group, so that it can be scaled from zero.

    EKS itself sets the two tags by which the autoscaler finds the group. Its node template is of the machine and knows
    GPUs only where the machine is known to it, and none of labels, taints, EFA and disk. Source: kubernetes/autoscaler,
    `cluster-autoscaler/cloudprovider/aws/README.md`, "Auto-Discovery Setup" and "Special note on GPU instances".

    Args:
        logical: the group's logical name; each tag's is `<logical>/<what it says>`.
        resources: by resource name, in Kubernetes's quantities.
    """
    said = {
        **{f"label/{key}": value for key, value in labels.items()},
        **{f"taint/{taint.key}": f"{taint.value}:{taint.effect}" for taint in taints},
        **{f"resources/{key}": str(value) for key, value in resources.items()},
    }
    return [
        aws.autoscaling.Tag(
            f"{logical}/{key}",
            autoscaling_group_name=group.resources.apply(_autoscaling_group),
            tag=aws.autoscaling.TagTagArgs(key=f"{_TEMPLATE}/{key}", value=value, propagate_at_launch=False),
            opts=opts,
        )
        for key, value in said.items()
    ]


def _autoscaling_group(resources: Sequence[aws.eks.outputs.NodeGroupResource]) -> str:
    # A managed group has exactly one.
    groups = resources[0].autoscaling_groups or []
    return groups[0].name or ""
