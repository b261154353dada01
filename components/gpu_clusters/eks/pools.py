"""Node pools on EKS: a `GpuPool` with what EKS adds to it, each field with a default of its own.  No Pulumi."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from gpu_clusters._spec import range_problems, spec
from gpu_clusters.eks import pool_checks
from gpu_clusters.eks.pool_facts import ami_family
from gpu_clusters.errors import ConfigError
from gpu_clusters.pools import CpuPool, GpuPool, Nodes, PlatformManaged


@spec
class EksGpuPool(GpuPool):
    """A `GpuPool` with EKS's overrides. All have defaults: a plain `GpuPool` is this pool with none of them set.

    A managed node group keeps its machine in its launch template where it has one machine only, so a change of machine,
    image release, disk, user data or fabric rolls the nodes in place, `max_unavailable` at a time. These replace the
    group as a whole: the image's operating system (`ami`, `ami_type`), the kind of `capacity`, `zones`, and the list of
    machines where there are several or there were (terraform-aws-modules/terraform-aws-eks issue 2744;
    `internal/service/eks/node_group.go` of hashicorp/terraform-provider-aws, fields with ForceNew).

    Args:
        machines: EC2 instance types; each has exactly the pool's GPU and number. On-demand nodes are tried in this
            order, spot nodes where AWS has most capacity for the price (EKS user guide, "Managed node group capacity
            types"). Default: the one with the fewest vCPUs, then the least memory, of those with at least 1.25 times
            the memory of their GPUs; for `Spot` also those with up to 4 times its vCPUs, since spot capacity comes and
            goes by type.
        ami: the nodes' operating system. Default `al2023`: every machine that EKS has an image for runs on it.
            `bottlerocket` brings its own device plugin, and partitions MIG at boot.
        ami_type: EKS's name of the image, where `ami` doesn't say enough, e.g. `BOTTLEROCKET_x86_64_NVIDIA_FIPS`.
            Default: as machine and `ami` need it.
        ami_id: an image of your own that is built like EKS's AL2023 (it has nodeadm), e.g. for g7, whose GPUs need
            NVIDIA's driver 595. Default none.
        release_version: EKS's release of the image, e.g. `1.35.2-20260801`. Default none: the newest when the group is
            made, and it stays until the Kubernetes version changes.
        disk_gib: the disk for images and pods in GiB. Default 200: images for inference and training have tens of GiB,
            and EKS's own default of 20 doesn't hold one (terraform-aws-eks issue 3180).
        disk_throughput_mib_s: its throughput in MiB/s, 125 to 2,000. Default none: gp3's own 125. Where the machine has
            local NVMe disks, images are there and this matters little; where not, AWS recommends 600 or more for
            `fast_image_pull` (awslabs/amazon-eks-ami, `nodeadm/doc/examples.md`).
        disk_iops: its operations per second, 3,000 to 80,000 (EC2 API reference, EbsBlockDevice). Default none: gp3's
            own 3,000.
        local_nvme: `raid0` (the default) makes one volume of the machine's NVMe disks for images, logs and ephemeral
            storage; its content is lost with the node. `none` leaves them alone. Nothing is done where there are none.
        fast_image_pull: pull and unpack layers of images in parallel (AL2023's gate FastImagePull, which AWS calls
            experimental, and which small machines ignore; Bottlerocket's SOCI snapshotter). Default none: on for
            AL2023, off for Bottlerocket, whose older releases don't know the setting and wouldn't boot.
        zones: zone ids (`usw2-az1`). Default: that of a reservation, else all zones of the cluster.
        efa: whether nodes get all EFA interfaces of their machine. Default none: where the pool may have several nodes,
            all in one zone, and its machines take EFA; EFA doesn't cross zones.
        placement_group: put the nodes close together in a cluster placement group. Default false: EFA doesn't need it,
            and it makes capacity harder to get (eksctl issue 7949).
        max_unavailable: nodes that an update takes down at once, 1 to 100. Default 1.
        update_strategy: `default` starts new nodes before it stops old ones, so it needs spare capacity: twice the
            group's zones or `max_unavailable` nodes, whichever is more, beyond `nodes.max` too (EKS user guide,
            "Understand each phase of node updates"). `minimal` stops old ones first (EKS API reference,
            NodegroupUpdateConfig). Default: `minimal` for reservations and Capacity Blocks, else `default`.
        replacement: the order where the group itself is replaced. `deleteFirst` needs no spare capacity and leaves a
            gap; `createFirst` needs twice the nodes. Default: `deleteFirst` for reservations and Capacity Blocks.
        repair: whether EKS replaces or reboots nodes that its node monitoring agent finds unhealthy, e.g. for an Xid
            error of a GPU. Default true.
        imds_hop_limit: network hops to the machine's metadata service, 1 to 64. Default 1: pods, which are tenants'
            models, can't take the node's role. Controllers that need 2 (terraform-aws-eks issue 3333) run on the
            system pool.
        max_pods: pods per node. Default none: EKS's, from the machine's interfaces.
        desired: nodes to have now. Default none: `nodes.min` when the group is made, and then whatever an autoscaler or
            a person makes of it. With a number, every update sets it.
        tags: further AWS tags of the pool's resources, for cost allocation.
    """

    machines: Sequence[str] = ()
    ami: Literal["al2023", "bottlerocket"] | None = None
    ami_type: str | None = None
    ami_id: str | None = None
    release_version: str | None = None
    disk_gib: int = 200
    disk_throughput_mib_s: int | None = None
    disk_iops: int | None = None
    local_nvme: Literal["raid0", "none"] = "raid0"
    fast_image_pull: bool | None = None
    zones: Sequence[str] = ()
    efa: bool | None = None
    placement_group: bool = False
    max_unavailable: int = 1
    update_strategy: Literal["default", "minimal"] | None = None
    replacement: Literal["createFirst", "deleteFirst"] | None = None
    repair: bool = True
    imds_hop_limit: int = 1
    max_pods: int | None = None
    desired: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    def _problems(self) -> Iterator[ConfigError]:
        yield from GpuPool._problems(self)
        yield from pool_checks.own_problems(self)


@spec
class EksSystemPool(CpuPool):
    """The nodes without GPUs and taints, on which DNS, storage drivers and controllers run.

    Without one CoreDNS stays DEGRADED (terraform-aws-modules/terraform-aws-eks issue 3001).

    Args:
        nodes: how many. Default 2 to 4: CoreDNS has two replicas, which should be on two nodes.
        machines: EC2 instance types, all of one architecture. Default `m6i.xlarge`, 4 vCPUs and 16 GiB: room for DNS,
            storage drivers and an autoscaler. It isn't in every region, nor is m5 or m7i: of 30 regions,
            ap-southeast-4 and eu-south-2 lack it (DescribeInstanceTypeOfferings in moto 5.2.5), so name another
            there, e.g. `m5.xlarge`.
        ami: `al2023` (the default) or `bottlerocket`.
        release_version: EKS's release of the image. Default none: the newest when the group is made.
        disk_gib: the disk in GiB. Default 50.
        imds_hop_limit: network hops to the metadata service, 1 to 64. Default 2, since controllers in pods ask it for
            region and VPC (terraform-aws-eks issue 3333).
        max_unavailable: nodes that an update takes down at once, 1 to 100. Default 1.
        tags: further AWS tags of the pool's resources.
    """

    nodes: Nodes = Nodes(min=2, max=4)
    machines: Sequence[str] = ("m6i.xlarge",)
    ami: Literal["al2023", "bottlerocket"] = "al2023"
    release_version: str | None = None
    disk_gib: int = 50
    imds_hop_limit: int = 2
    max_unavailable: int = 1
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    def _problems(self) -> Iterator[ConfigError]:
        yield from CpuPool._problems(self)
        yield from range_problems("nodes.min", self.nodes.min, 1)
        yield from pool_checks.system_problems(self)


def eks_pool(pool: GpuPool, *, devices_built_in: bool = False) -> EksGpuPool:
    """A pool with all of EKS's fields, and with the device layer that its image has.

    Args:
        pool: any pool; a plain one gets the defaults.
        devices_built_in: whether the platform brings the device plugin whatever the image, as EKS Auto Mode does.
            Bottlerocket's images bring it in any case.

    Raises:
        ConfigErrors: EKS can't have such a pool.
    """
    # EksGpuPool has every field of GpuPool by inheritance, so this can't miss one.
    found = pool if isinstance(pool, EksGpuPool) else EksGpuPool(**_fields(pool))
    if found.devices is None and (devices_built_in or ami_family(found) == "bottlerocket"):
        return dataclasses.replace(found, devices=PlatformManaged())
    return found


def _fields(pool: GpuPool) -> dict[str, Any]:
    return {item.name: getattr(pool, item.name) for item in dataclasses.fields(pool)}
