"""What might go wrong with a cluster as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pulumi

from gpu_clusters.eks.addons import pinned_version
from gpu_clusters.eks.addresses import crowded_zones
from gpu_clusters.eks.args import EksClusterArgs
from gpu_clusters.eks.networks import NewNetwork
from gpu_clusters.eks.pool_facts import uses_efa
from gpu_clusters.eks.pools import EksGpuPool
from gpu_clusters.eks.versions import known_version
from gpu_clusters.errors import ProblemId
from gpu_clusters.findings import Severity, report


def report_cluster_findings(
    component: pulumi.ComponentResource, args: EksClusterArgs, pools: Sequence[EksGpuPool], today: date | None = None
) -> None:
    """Report what might go wrong with a cluster.

    Args:
        today: the day to which support is counted. Default: this one.
    """
    unpinned = [add_on for add_on in args.add_ons if pinned_version(add_on, args) is None]
    if unpinned:
        report(
            component,
            ProblemId.ADD_ON_UNPINNED,
            Severity.WARNING,
            f"EKS chooses the versions of {', '.join(unpinned)}: the catalogue has none for Kubernetes "
            f"{args.kubernetes_version}",
            "pin them in `add_on_versions` (`aws eks describe-addon-versions`)",
        )
    _report_version(component, args, today or date.today())
    _report_network(component, args, pools)


def _report_version(component: pulumi.ComponentResource, args: EksClusterArgs, today: date) -> None:
    known = known_version(args.kubernetes_version)
    if known is None:
        report(
            component,
            ProblemId.KUBERNETES_VERSION,
            Severity.WARNING,
            f"the catalogue doesn't know Kubernetes {args.kubernetes_version}, which is newer than it",
            "see that EKS has it, and pin add-ons in `add_on_versions`",
        )
    elif today >= known.end_of_standard_support:
        then = (
            "so EKS upgrades the control plane by itself"
            if args.upgrade_policy == "standard"
            else f"so it costs more per hour, until {known.end_of_extended_support}"
        )
        report(
            component,
            ProblemId.KUBERNETES_VERSION,
            Severity.WARNING,
            f"standard support of Kubernetes {known.version} ended on {known.end_of_standard_support}, {then}",
            "raise `kubernetes_version` by one",
        )


def _report_network(component: pulumi.ComponentResource, args: EksClusterArgs, pools: Sequence[EksGpuPool]) -> None:
    if isinstance(args.network, NewNetwork):
        for zone, (needed, there) in crowded_zones(args.network, pools, args.system_pool, args.zones).items():
            report(
                component,
                ProblemId.SUBNET_TOO_SMALL,
                Severity.WARNING,
                f"the subnet of {zone} has {there:,} addresses, and its nodes could run pods for {needed:,}",
                "use a larger range in `network.cidr`, more zones, or `max_pods` in the pools",
            )
    elif any(uses_efa(pool, args.zones) for pool in pools):
        report(
            component,
            ProblemId.NETWORK_UNCHECKED,
            Severity.NOTE,
            "nodes with EFA don't start in a subnet that gives out public addresses, and yours can't be seen from here",
            "see that it doesn't (`MapPublicIpOnLaunch`)",
        )
