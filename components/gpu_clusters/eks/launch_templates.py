"""The launch template of a node group: machine, disk, fabric, capacity and metadata of its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from gpu_clusters.eks.context import NodeContext
from gpu_clusters.eks.machines import AmiFamily
from gpu_clusters.eks.pool_facts import ami_family, fabric, machine_names
from gpu_clusters.eks.pools import EksGpuPool, EksSystemPool
from gpu_clusters.eks.userdata import ClusterDetails, user_data
from gpu_clusters.pools import CapacityBlock, Reservation

#: What an instance brings into being; tags of the template alone reach none of these, and costs are theirs.
_TAGGED = ("instance", "volume", "network-interface")


def gpu_launch_template(
    name: str,
    pool: EksGpuPool,
    context: NodeContext,
    *,
    efa_group: aws.ec2.SecurityGroup | None,
    placement: aws.ec2.PlacementGroup | None,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> aws.ec2.LaunchTemplate:
    """The launch template of a GPU pool.

    Args:
        efa_group: the security group of EFA traffic where the pool has EFA.
        placement: its placement group if it has one.
        tags: of the template and of all that its nodes are made of.

    A single machine stands here rather than in the node group, so that another one rolls the nodes and doesn't replace
    the group (aws/containers-roadmap issue 746). A managed group takes neither an instance profile nor subnets here.
    """
    names = machine_names(pool)
    target = pool.capacity if isinstance(pool.capacity, (Reservation, CapacityBlock)) else None
    return aws.ec2.LaunchTemplate(
        name,
        name_prefix=f"{name[:100]}-",
        update_default_version=True,
        instance_type=names[0] if len(names) == 1 else None,
        image_id=pool.ami_id,
        user_data=_user_data(pool, context),
        block_device_mappings=_disks(
            ami_family(pool), pool.disk_gib, iops=pool.disk_iops, throughput=pool.disk_throughput_mib_s
        ),
        metadata_options=_metadata(pool.imds_hop_limit),
        network_interfaces=_interfaces(pool, context, efa_group) if efa_group else None,
        placement=aws.ec2.LaunchTemplatePlacementArgs(group_name=placement.name) if placement else None,
        instance_market_options=aws.ec2.LaunchTemplateInstanceMarketOptionsArgs(market_type="capacity-block")
        if isinstance(target, CapacityBlock)
        else None,
        capacity_reservation_specification=_reservation(target.id) if target else None,
        tag_specifications=_tag_specifications(tags),
        tags=tags,
        opts=opts,
    )


def system_launch_template(
    name: str, pool: EksSystemPool, *, tags: Mapping[str, str], opts: pulumi.ResourceOptions
) -> aws.ec2.LaunchTemplate:
    """The launch template of a pool without GPUs."""
    return aws.ec2.LaunchTemplate(
        name,
        name_prefix=f"{name[:100]}-",
        update_default_version=True,
        instance_type=pool.machines[0] if len(pool.machines) == 1 else None,
        block_device_mappings=_disks(pool.ami, pool.disk_gib),
        metadata_options=_metadata(pool.imds_hop_limit),
        tag_specifications=_tag_specifications(tags),
        tags=tags,
        opts=opts,
    )


def _disks(
    os: AmiFamily, size_gib: int, *, iops: int | None = None, throughput: int | None = None
) -> Sequence[aws.ec2.LaunchTemplateBlockDeviceMappingArgs]:
    """One encrypted volume: AL2023's root, or Bottlerocket's second volume, where it keeps images and pods."""
    return [
        aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
            device_name="/dev/xvdb" if os == "bottlerocket" else "/dev/xvda",
            ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                volume_size=size_gib,
                volume_type="gp3",
                iops=iops,
                throughput=throughput,
                encrypted="true",
                delete_on_termination="true",
            ),
        )
    ]


def _metadata(hop_limit: int) -> aws.ec2.LaunchTemplateMetadataOptionsArgs:
    return aws.ec2.LaunchTemplateMetadataOptionsArgs(
        http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=hop_limit
    )


def _interfaces(
    pool: EksGpuPool, context: NodeContext, efa_group: aws.ec2.SecurityGroup
) -> Sequence[aws.ec2.LaunchTemplateNetworkInterfaceArgs]:
    """All interfaces with both security groups: groups of the node group don't reach those that a template lists.

    A public address can't be had with several interfaces (terraform-aws-modules/terraform-aws-eks issue 3533).
    """
    return [
        aws.ec2.LaunchTemplateNetworkInterfaceArgs(
            network_card_index=item.card,
            device_index=item.device,
            interface_type=item.kind,
            security_groups=[context.cluster_security_group_id, efa_group.id],
            associate_public_ip_address="false" if (item.card, item.device) == (0, 0) else None,
            delete_on_termination="true",
        )
        for item in fabric(pool)
    ]


def _reservation(reservation_id: str) -> aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs:
    return aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs(
        capacity_reservation_target=aws.ec2.LaunchTemplateCapacityReservationSpecificationCapacityReservationTargetArgs(
            capacity_reservation_id=reservation_id
        )
    )


def _tag_specifications(tags: Mapping[str, str]) -> Sequence[aws.ec2.LaunchTemplateTagSpecificationArgs]:
    return [aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags) for kind in _TAGGED]


def _user_data(pool: EksGpuPool, context: NodeContext) -> pulumi.Input[str] | None:
    if pool.ami_id is None:
        return user_data(pool)
    cluster = context.cluster
    return pulumi.Output.all(
        cluster.endpoint,
        cluster.certificate_authority.data,
        cluster.kubernetes_network_config.service_ipv4_cidr,
    ).apply(
        lambda known: (
            user_data(
                pool,
                ClusterDetails(
                    name=context.cluster_name, endpoint=known[0], certificate_authority=known[1], service_cidr=known[2]
                ),
            )
            or ""
        )
    )
