"""Who may use a cluster, and from where its endpoint is reached.  No Pulumi."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

from gpu_clusters._spec import spec
from gpu_clusters.eks.regions import partition
from gpu_clusters.errors import ConfigError, ProblemId

#: AWS's policies for access entries (EKS user guide, "Review access policy permissions"), by who they are for.
AccessPolicy: TypeAlias = Literal["clusterAdmin", "admin", "edit", "view", "adminView"]
POLICY_NAMES: Final[dict[str, str]] = {
    "clusterAdmin": "AmazonEKSClusterAdminPolicy",
    "admin": "AmazonEKSAdminPolicy",
    "edit": "AmazonEKSEditPolicy",
    "view": "AmazonEKSViewPolicy",
    "adminView": "AmazonEKSAdminViewPolicy",
}
_PRINCIPAL: Final = re.compile(r"arn:(aws[a-z-]*):iam::\d{12}:(role|user)/\S+")
#: EKS refuses groups that begin so (terraform-aws-modules/terraform-aws-eks issue 2915 has its answer).
_RESERVED_GROUP: Final = "system:"


@spec
class PublicEndpoint:
    """The API server's endpoint, reachable from the internet beside the private one.

    Args:
        cidrs: from which public IPv4 ranges, e.g. an office's `203.0.113.0/24`.
        anyone: allow `0.0.0.0/0`, so that only AWS's authentication stands before the API server. Default false.
    """

    cidrs: Sequence[str]
    anyone: bool = False

    def _problems(self) -> Iterator[ConfigError]:
        if not self.cidrs:
            yield ConfigError(
                "cidrs", "it names no range, and EKS would then allow all", "name ranges", id=ProblemId.MISSING_FIELD
            )
        for index, cidr in enumerate(self.cidrs):
            yield from self._cidr_problems(f"cidrs[{index}]", cidr)

    def _cidr_problems(self, path: str, cidr: str) -> Iterator[ConfigError]:
        try:
            found = ipaddress.IPv4Network(cidr)
        except ValueError as error:
            yield ConfigError(path, f"it is not an IPv4 range: {error}", "use one such as `203.0.113.0/24`")
            return
        if found.prefixlen == 0:
            if not self.anyone:
                yield ConfigError(
                    path,
                    "it lets the whole internet reach the API server",
                    "name your own ranges, or say `anyone: true` beside it",
                    id=ProblemId.CONFLICT,
                )
        elif any(found.subnet_of(private) for private in _NOT_PUBLIC):
            yield ConfigError(
                path,
                f"{cidr} is a range of private networks, which EKS refuses here",
                "use public addresses; private networks reach the private endpoint",
                id=ProblemId.INVALID_VALUE,
            )


#: RFC 1918, carrier-grade NAT, loopback and link-local.
_NOT_PUBLIC: Final = tuple(
    ipaddress.IPv4Network(cidr)
    for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16")
)


@spec
class AccessEntry:
    """Somebody who may use the cluster's API. Nodes need none: EKS gives them theirs.

    Args:
        principal_arn: the ARN of an IAM role or user, of this account or another one. A session's ARN
            (`arn:aws:sts::...:assumed-role/...`) is none: give the role's.
        policy: what it may do: `clusterAdmin`, `admin`, `edit`, `view` or `adminView`, AWS's own policies.
            Default none: only what RBAC gives its groups.
        namespaces: where the policy holds; default everywhere.
        groups: Kubernetes groups that it belongs to, e.g. those of a tenant's viewers.
    """

    principal_arn: str
    policy: AccessPolicy | None = None
    namespaces: Sequence[str] = ()
    groups: Sequence[str] = ()

    @property
    def is_cluster_admin(self) -> bool:
        """Whether it may do everything, everywhere."""
        return self.policy == "clusterAdmin" and not self.namespaces

    def _problems(self) -> Iterator[ConfigError]:
        if not _PRINCIPAL.fullmatch(self.principal_arn):
            is_session = ":assumed-role/" in self.principal_arn
            yield ConfigError(
                "principal_arn",
                f"{self.principal_arn!r} is not the ARN of an IAM role or user"
                + (": it is that of a session" if is_session else ""),
                "use `arn:aws:iam::<account>:role/<name>`",
            )
        if self.policy is None and not self.groups:
            yield ConfigError(
                "policy",
                "with neither a policy nor groups it may do nothing",
                "name a `policy`, or `groups` that RBAC gives something",
                id=ProblemId.MISSING_FIELD,
            )
        if self.namespaces and self.policy is None:
            yield ConfigError(
                "namespaces", "they limit a policy, and there is none", "name a `policy`", id=ProblemId.CONFLICT
            )
        for index, group in enumerate(self.groups):
            if group.startswith(_RESERVED_GROUP):
                yield ConfigError(
                    f"groups[{index}]",
                    f"EKS refuses groups that begin with `{_RESERVED_GROUP}`",
                    "use a group of your own; for an administrator use `policy`",
                    id=ProblemId.CONFLICT,
                )


def access_problems(access: Sequence[AccessEntry], region: str) -> Iterator[ConfigError]:
    """What is wrong with all entries together. An entry that is given twice is refused by AWS while the cluster is made
    (terraform-aws-modules/terraform-aws-eks issue 3293)."""
    seen: set[str] = set()
    for index, entry in enumerate(access):
        if entry.principal_arn in seen:
            yield ConfigError(
                f"access[{index}].principal_arn",
                f"an earlier item is for {entry.principal_arn} already, and EKS takes one entry for each",
                "put both into one",
                id=ProblemId.DUPLICATE_NAME,
            )
        seen.add(entry.principal_arn)
        found = _PRINCIPAL.fullmatch(entry.principal_arn)
        if found and found[1] != partition(region):
            yield ConfigError(
                f"access[{index}].principal_arn",
                f"it is of the partition {found[1]}, and {region} is in {partition(region)}",
                "name a principal of the same partition; it may be of another account",
                id=ProblemId.CONFLICT,
            )
    if not any(entry.is_cluster_admin for entry in access):
        yield ConfigError(
            "access",
            "nobody may administer the cluster: EKS gives its creator nothing here, and whoever runs Pulumi must be "
            "able to install its policies and device layer",
            "add the role that runs Pulumi, with `policy: clusterAdmin`",
            id=ProblemId.MISSING_FIELD,
        )
