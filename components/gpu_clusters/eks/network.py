"""The network of a cluster: a VPC with its subnets and ways out, or one that is there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_aws as aws

from gpu_clusters.eks.args import EksClusterArgs
from gpu_clusters.eks.autoscaling import Karpenter
from gpu_clusters.eks.networks import ExistingNetwork, NewNetwork

#: AWS services that nodes and add-ons call (EKS user guide, "Deploy private clusters with limited internet access", and
#: for `eks-auth` "Learn how EKS Pod Identity grants pods access"; `eks` is the API that AL2023's nodeadm may ask).
_ENDPOINTS: Final = ("ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "elasticloadbalancing", "logs", "sts")
#: Those that Karpenter calls as well (Karpenter, "Getting Started with Karpenter", private clusters).
_KARPENTER_ENDPOINTS: Final = ("sqs", "ssm")
#: Endpoints whose names begin with `cn.` in China; others there don't (aws/aws-cdk, `vpc-endpoint.ts`,
#: `getDefaultEndpointPrefix`; eksctl-io/eksctl, `endpoint_service.go`, has the same of those that it knows).
_CN_ENDPOINTS: Final = frozenset({"ec2", "ecr.api", "ecr.dkr", "eks", "sqs", "sts"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNetwork:
    """Where a cluster is.

    Attributes:
        vpc_id: the VPC.
        private_subnets: the subnet of nodes and of the control plane's interfaces, by zone id.
        ready: what nodes need to reach AWS's services.
    """

    vpc_id: pulumi.Input[str]
    private_subnets: Mapping[str, pulumi.Input[str]]
    ready: Sequence[pulumi.Resource]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vpc:
    """What all parts of a new network are made with."""

    name: str
    args: EksClusterArgs
    network: NewNetwork
    vpc: aws.ec2.Vpc
    tags: Mapping[str, str]
    opts: pulumi.ResourceOptions
    routes: list[pulumi.Resource] = field(default_factory=list["pulumi.Resource"])

    def tagged(self, what: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**self.tags, "Name": f"{self.name}-{what}", **(extra or {})}


def cluster_network(
    name: str, args: EksClusterArgs, tags: Mapping[str, str], opts: pulumi.ResourceOptions
) -> ClusterNetwork:
    """The network that the arguments describe."""
    if isinstance(args.network, ExistingNetwork):
        subnets = {zone: args.network.private_subnets[zone] for zone in args.zones}
        return ClusterNetwork(vpc_id=args.network.vpc_id, private_subnets=subnets, ready=())
    vpc = aws.ec2.Vpc(
        f"{name}-vpc",
        cidr_block=args.network.cidr,
        enable_dns_support=True,
        # Nodes register by their host names, and private endpoints are found by theirs.
        enable_dns_hostnames=True,
        tags={**tags, "Name": name},
        opts=opts,
    )
    made = _Vpc(name=name, args=args, network=args.network, vpc=vpc, tags=tags, opts=opts)
    gateways = _nat_gateways(made) if args.network.nat != "none" else {}
    tables: list[aws.ec2.RouteTable] = []
    subnets: dict[str, pulumi.Input[str]] = {}
    for zone in args.zones:
        subnet, table = _private_subnet(made, zone, gateways.get(zone))
        subnets[zone] = subnet.id
        tables.append(table)
    _s3_endpoint(made, tables)
    if args.network.has_interface_endpoints:
        _interface_endpoints(made, list(subnets.values()))
    return ClusterNetwork(vpc_id=vpc.id, private_subnets=subnets, ready=tuple(made.routes))


def _private_subnet(
    made: _Vpc, zone: str, gateway: aws.ec2.NatGateway | None
) -> tuple[aws.ec2.Subnet, aws.ec2.RouteTable]:
    subnet = aws.ec2.Subnet(
        f"{made.name}-private-{zone}",
        vpc_id=made.vpc.id,
        availability_zone_id=zone,
        cidr_block=str(made.network.private_range(zone)),
        # A node with several network interfaces, as EFA needs, can't have a public address.
        map_public_ip_on_launch=False,
        tags=made.tagged(f"private-{zone}", {"kubernetes.io/role/internal-elb": "1"}),
        opts=made.opts,
    )
    table = aws.ec2.RouteTable(
        f"{made.name}-private-{zone}", vpc_id=made.vpc.id, tags=made.tagged(f"private-{zone}"), opts=made.opts
    )
    made.routes.append(
        aws.ec2.RouteTableAssociation(
            f"{made.name}-private-{zone}", subnet_id=subnet.id, route_table_id=table.id, opts=made.opts
        )
    )
    if gateway is not None:
        made.routes.append(
            aws.ec2.Route(
                f"{made.name}-private-{zone}",
                route_table_id=table.id,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=gateway.id,
                opts=made.opts,
            )
        )
    return subnet, table


def _nat_gateways(made: _Vpc) -> dict[str, aws.ec2.NatGateway]:
    """The NAT gateway that each zone uses, with the public subnets in which they are."""
    internet = aws.ec2.InternetGateway(
        f"{made.name}-internet", vpc_id=made.vpc.id, tags=made.tagged("internet"), opts=made.opts
    )
    table = aws.ec2.RouteTable(f"{made.name}-public", vpc_id=made.vpc.id, tags=made.tagged("public"), opts=made.opts)
    route = aws.ec2.Route(
        f"{made.name}-public",
        route_table_id=table.id,
        destination_cidr_block="0.0.0.0/0",
        gateway_id=internet.id,
        opts=made.opts,
    )
    public = {zone: _public_subnet(made, zone, table) for zone in made.args.zones}
    if made.network.nat == "perZone":
        return {zone: _nat_gateway(made, zone, subnet, route) for zone, subnet in public.items()}
    # The first by id, so that the order of `zones` doesn't move it.
    first = min(public)
    return dict.fromkeys(made.args.zones, _nat_gateway(made, first, public[first], route))


def _public_subnet(made: _Vpc, zone: str, table: aws.ec2.RouteTable) -> aws.ec2.Subnet:
    subnet = aws.ec2.Subnet(
        f"{made.name}-public-{zone}",
        vpc_id=made.vpc.id,
        availability_zone_id=zone,
        cidr_block=str(made.network.public_range(zone)),
        # Load balancers and NAT gateways have addresses of their own.
        map_public_ip_on_launch=False,
        tags=made.tagged(f"public-{zone}", {"kubernetes.io/role/elb": "1"}),
        opts=made.opts,
    )
    made.routes.append(
        aws.ec2.RouteTableAssociation(
            f"{made.name}-public-{zone}", subnet_id=subnet.id, route_table_id=table.id, opts=made.opts
        )
    )
    return subnet


def _nat_gateway(made: _Vpc, zone: str, subnet: aws.ec2.Subnet, route: aws.ec2.Route) -> aws.ec2.NatGateway:
    address = aws.ec2.Eip(f"{made.name}-nat-{zone}", domain="vpc", tags=made.tagged(f"nat-{zone}"), opts=made.opts)
    return aws.ec2.NatGateway(
        f"{made.name}-nat-{zone}",
        allocation_id=address.id,
        subnet_id=subnet.id,
        tags=made.tagged(f"nat-{zone}"),
        opts=pulumi.ResourceOptions.merge(made.opts, pulumi.ResourceOptions(depends_on=[route])),
    )


def _s3_endpoint(made: _Vpc, tables: Sequence[aws.ec2.RouteTable]) -> None:
    made.routes.append(
        aws.ec2.VpcEndpoint(
            f"{made.name}-s3",
            vpc_id=made.vpc.id,
            service_name=_service(made.args.region, "s3"),
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            tags=made.tagged("s3"),
            opts=made.opts,
        )
    )


def _interface_endpoints(made: _Vpc, subnet_ids: Sequence[pulumi.Input[str]]) -> None:
    group = aws.ec2.SecurityGroup(
        f"{made.name}-endpoints",
        description="AWS services from within the VPC",
        vpc_id=made.vpc.id,
        tags=made.tagged("endpoints"),
        opts=made.opts,
    )
    made.routes.append(
        aws.vpc.SecurityGroupIngressRule(
            f"{made.name}-endpoints",
            security_group_id=group.id,
            cidr_ipv4=made.network.cidr,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            tags=made.tagged("endpoints"),
            opts=made.opts,
        )
    )
    extra = _KARPENTER_ENDPOINTS if isinstance(made.args.node_management, Karpenter) else ()
    for service in (*_ENDPOINTS, *extra):
        made.routes.append(
            aws.ec2.VpcEndpoint(
                f"{made.name}-{service.replace('.', '-')}",
                vpc_id=made.vpc.id,
                service_name=_service(made.args.region, service),
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=list(subnet_ids),
                security_group_ids=[group.id],
                tags=made.tagged(service),
                opts=made.opts,
            )
        )


def _service(region: str, service: str) -> str:
    name = f"com.amazonaws.{region}.{service}"
    return f"cn.{name}" if region.startswith("cn-") and service in _CN_ENDPOINTS else name
