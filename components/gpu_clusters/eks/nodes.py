"""Managed node groups: one per pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

import pulumi
import pulumi_aws as aws

from gpu_clusters import labels
from gpu_clusters.cluster import node_labels
from gpu_clusters.eks.autoscaler_tags import GPU_LABEL, tag_autoscaling_group
from gpu_clusters.eks.context import NodeContext
from gpu_clusters.eks.launch_templates import gpu_launch_template, system_launch_template
from gpu_clusters.eks.machines import ami_type, family_of
from gpu_clusters.eks.pool_facts import (
    deletes_first,
    ephemeral_gb,
    extended_resources,
    gpu_taints,
    machine_names,
    pool_ami_type,
    pool_zones,
    update_strategy,
    uses_efa,
)
from gpu_clusters.eks.pool_findings import report_pool_findings
from gpu_clusters.eks.pools import EksGpuPool, EksSystemPool
from gpu_clusters.pools import CapacityBlock, Nodes, Spot

#: On every resource of a cluster, for cost allocation; the pool's tag is its label.
CLUSTER_TAG: Final = f"{labels.DOMAIN}/cluster"

#: EKS's spelling of Kubernetes's effects.
_EFFECTS: Final = {
    "NoSchedule": "NO_SCHEDULE",
    "PreferNoSchedule": "PREFER_NO_SCHEDULE",
    "NoExecute": "NO_EXECUTE",
}
#: An update waits this long for one node to drain (EKS user guide, "Understand each phase of node updates": 15 minutes)
#: and about as long for one to come.
_UPDATE_MINUTES_PER_NODE: Final = 30
#: The provider appends 26 characters, and EKS takes 63.
_NAME_PREFIX_MAX: Final = 37


@dataclass(frozen=True, slots=True, kw_only=True)
class EfaGroup:
    group: aws.ec2.SecurityGroup
    rules: tuple[pulumi.Resource, ...]


def gpu_node_groups(
    name: str,
    pools: Sequence[EksGpuPool],
    context: NodeContext,
    opts: pulumi.ResourceOptions,
    *,
    autoscaler_tags: bool = False,
) -> list[aws.eks.NodeGroup]:
    """A managed node group, with its launch template, for each GPU pool, and what only might go wrong as findings.

    A group's machine (where it has one only), image release, disk, fabric, reservation and user data are changed by an
    update that rolls its nodes, `max_unavailable` at a time; pools of reserved capacity stop old nodes before they
    start new ones, and so never have more than `nodes.max`. What replaces a group is said at `EksGpuPool`; a group of
    reserved capacity is deleted before its successor is made, which needs no spare capacity and leaves a gap.

    Args:
        name: the cluster's logical name; groups are `<name>-<pool>`.
        opts: with the parent and the provider of all resources.
        autoscaler_tags: whether the cluster autoscaler scales the groups: their Auto Scaling groups get tags by which
            it knows what a node would have while there is none.
    """
    zones = tuple(context.subnet_ids)
    if isinstance(opts.parent, pulumi.ComponentResource):
        report_pool_findings(opts.parent, pools, zones)
    efa = efa_group(name, context, opts) if any(uses_efa(pool, zones) for pool in pools) else None
    return [_gpu_node_group(name, pool, context, efa, opts, autoscaler_tags=autoscaler_tags) for pool in pools]


def system_node_group(
    name: str,
    pool: EksSystemPool,
    context: NodeContext,
    opts: pulumi.ResourceOptions,
    *,
    autoscaler_tags: bool = False,
) -> aws.eks.NodeGroup:
    """The managed node group without GPUs and without taints, in all zones of the cluster."""
    logical = f"{name}-{pool.name}"
    tags = pool_tags(pool.name, pool.tags, context)
    template = system_launch_template(logical, pool, tags=tags, opts=opts)
    on_nodes = {**pool.labels, labels.POOL: pool.name}
    group = aws.eks.NodeGroup(
        logical,
        cluster_name=context.cluster.name,
        node_group_name_prefix=_name_prefix(pool.name),
        node_role_arn=context.node_role.arn,
        subnet_ids=list(context.subnet_ids.values()),
        ami_type=ami_type(family_of(pool.machines[0]), pool.ami),
        version=context.kubernetes_version,
        release_version=pool.release_version,
        capacity_type="ON_DEMAND",
        instance_types=_several(pool.machines),
        launch_template=_reference(template),
        scaling_config=_scaling(pool.nodes),
        update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=pool.max_unavailable),
        node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
        labels=on_nodes,
        tags=tags,
        opts=pulumi.ResourceOptions.merge(
            opts,
            _group_options(
                context,
                pool.nodes,
                is_ours=False,
                is_several=len(pool.machines) > 1,
                max_unavailable=pool.max_unavailable,
            ),
        ),
    )
    if autoscaler_tags:
        tag_autoscaling_group(logical, group, labels=on_nodes, taints=(), resources={}, opts=opts)
    return group


def _gpu_node_group(
    name: str,
    pool: EksGpuPool,
    context: NodeContext,
    efa: EfaGroup | None,
    opts: pulumi.ResourceOptions,
    *,
    autoscaler_tags: bool,
) -> aws.eks.NodeGroup:
    zones = tuple(context.subnet_ids)
    logical = f"{name}-{pool.name}"
    tags = pool_tags(pool.name, pool.tags, context)
    fabric = efa if uses_efa(pool, zones) else None
    template = gpu_launch_template(
        logical,
        pool,
        context,
        efa_group=fabric.group if fabric else None,
        placement=_placement_group(logical, pool, tags, opts),
        tags=tags,
        opts=opts,
    )
    on_nodes = {**node_labels(pool), **({GPU_LABEL: pool.gpu.value} if autoscaler_tags else {})}
    group = aws.eks.NodeGroup(
        logical,
        cluster_name=context.cluster.name,
        node_group_name_prefix=_name_prefix(pool.name),
        node_role_arn=context.node_role.arn,
        subnet_ids=[context.subnet_ids[zone] for zone in pool_zones(pool, zones)],
        ami_type=pool_ami_type(pool),
        # With an image of the user's own, that image is the version.
        version=context.kubernetes_version if pool.ami_id is None else None,
        release_version=pool.release_version,
        capacity_type=_capacity_type(pool),
        instance_types=_several(machine_names(pool)),
        launch_template=_reference(template),
        scaling_config=_scaling(pool.nodes, pool.desired),
        update_config=aws.eks.NodeGroupUpdateConfigArgs(
            max_unavailable=pool.max_unavailable, update_strategy=update_strategy(pool).upper()
        ),
        node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=pool.repair),
        labels=on_nodes,
        taints=[
            aws.eks.NodeGroupTaintArgs(key=taint.key, value=taint.value, effect=_EFFECTS[taint.effect])
            for taint in gpu_taints(pool)
        ],
        tags=tags,
        opts=pulumi.ResourceOptions.merge(opts, _gpu_group_options(pool, context, fabric)),
    )
    if autoscaler_tags:
        resources = {**extended_resources(pool, zones), "ephemeral-storage": f"{ephemeral_gb(pool)}G"}
        tag_autoscaling_group(logical, group, labels=on_nodes, taints=gpu_taints(pool), resources=resources, opts=opts)
    return group


def _gpu_group_options(pool: EksGpuPool, context: NodeContext, fabric: EfaGroup | None) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(
        _group_options(
            context,
            pool.nodes,
            is_ours=pool.desired is not None,
            is_several=len(machine_names(pool)) > 1,
            max_unavailable=pool.max_unavailable,
        ),
        pulumi.ResourceOptions(
            delete_before_replace=deletes_first(pool), depends_on=list(fabric.rules) if fabric else None
        ),
    )


def _group_options(
    context: NodeContext, nodes: Nodes, *, is_ours: bool, is_several: bool, max_unavailable: int
) -> pulumi.ResourceOptions:
    minutes = max(60, _UPDATE_MINUTES_PER_NODE * ceil(nodes.max / max_unavailable))
    return pulumi.ResourceOptions(
        depends_on=list(context.before_nodes),
        # An elastic group's number belongs to whoever scales it. Where there is nothing to scale, or the user names the
        # number, it is the program's.
        ignore_changes=None if is_ours or nodes.min == nodes.max else ["scalingConfig.desiredSize"],
        # EKS refuses to move the machine between group and template (terraform-aws-modules/terraform-aws-eks 1514).
        replacement_trigger="several machines" if is_several else "one machine",
        custom_timeouts=pulumi.CustomTimeouts(update=f"{minutes}m"),
    )


def efa_group(name: str, context: NodeContext, opts: pulumi.ResourceOptions) -> EfaGroup:
    """The security group of EFA traffic: everything to and from itself, as EFA needs it.

    Source: EC2 user guide, "Get started with EFA and MPI", step "Prepare an EFA-enabled security group".
    """
    tags = {**context.tags, CLUSTER_TAG: context.cluster_name, "Name": f"{context.cluster_name}-efa"}
    group = aws.ec2.SecurityGroup(
        f"{name}-efa", description="EFA traffic between GPU nodes", vpc_id=context.vpc_id, tags=tags, opts=opts
    )
    ingress = aws.vpc.SecurityGroupIngressRule(
        f"{name}-efa-in",
        security_group_id=group.id,
        referenced_security_group_id=group.id,
        ip_protocol="-1",
        tags=tags,
        opts=opts,
    )
    egress = aws.vpc.SecurityGroupEgressRule(
        f"{name}-efa-out",
        security_group_id=group.id,
        referenced_security_group_id=group.id,
        ip_protocol="-1",
        tags=tags,
        opts=opts,
    )
    return EfaGroup(group=group, rules=(ingress, egress))


def _placement_group(
    logical: str, pool: EksGpuPool, tags: Mapping[str, str], opts: pulumi.ResourceOptions
) -> aws.ec2.PlacementGroup | None:
    if not pool.placement_group:
        return None
    return aws.ec2.PlacementGroup(logical, strategy="cluster", tags=tags, opts=opts)


def pool_tags(pool_name: str, own: Mapping[str, str], context: NodeContext) -> dict[str, str]:
    """The AWS tags of everything that belongs to a pool, for cost allocation."""
    name = f"{context.cluster_name}-{pool_name}"
    return {**context.tags, "Name": name, **own, CLUSTER_TAG: context.cluster_name, labels.POOL: pool_name}


def _name_prefix(pool_name: str) -> str:
    return f"{pool_name[: _NAME_PREFIX_MAX - 1]}-"


def _several(names: Sequence[str]) -> list[str] | None:
    return list(names) if len(names) > 1 else None


def _capacity_type(pool: EksGpuPool) -> str:
    # A capacity reservation is on-demand capacity that the launch template aims at.
    if isinstance(pool.capacity, CapacityBlock):
        return "CAPACITY_BLOCK"
    return "SPOT" if isinstance(pool.capacity, Spot) else "ON_DEMAND"


def _reference(template: aws.ec2.LaunchTemplate) -> aws.eks.NodeGroupLaunchTemplateArgs:
    return aws.eks.NodeGroupLaunchTemplateArgs(id=template.id, version=template.latest_version.apply(str))


def _scaling(nodes: Nodes, desired: int | None = None) -> aws.eks.NodeGroupScalingConfigArgs:
    return aws.eks.NodeGroupScalingConfigArgs(
        min_size=nodes.min, max_size=nodes.max, desired_size=nodes.min if desired is None else desired
    )
