"""The simulated AWS provider: `aws:*` resources of a rehearsal, checked by AWS's own models and never sent anywhere."""

from __future__ import annotations

from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.aws.account import Account
from gpu_clusters.rehearsal.providers.aws.clusters import Activity
from gpu_clusters.rehearsal.providers.aws.reading import text
from gpu_clusters.rehearsal.providers.aws.resources import AwsResources, Protection
from gpu_clusters.rehearsal.providers.diffing import differences
from gpu_clusters.rehearsal.providers.interface import (
    Checked,
    CheckFailure,
    ConfiguredProvider,
    Difference,
    PropertyChange,
)
from gpu_clusters.rehearsal.providers.values import Properties, has_unknown, reveal_all
from gpu_clusters.rehearsal.world import Unchecked, World

__all__ = ["SimulatedAws"]

_REGION: Final = "region"
#: What is used, or means nothing where no call is made (pulumi_aws 7.51.1, `Provider`).
_KNOWN: Final = frozenset(
    (
        *("accessKey", "allowedAccountIds", "assumeRoleWithWebIdentity", "assumeRoles", "customCaBundle"),
        *("ec2MetadataServiceEndpoint", "ec2MetadataServiceEndpointMode", "endpoints", "forbiddenAccountIds"),
        *("httpProxy", "httpsProxy", "insecure", "maxRetries", "noProxy", "profile", _REGION, "retryMode"),
        *("s3UsEast1RegionalEndpoint", "s3UsePathStyle", "secretKey", "sharedConfigFiles", "sharedCredentialsFiles"),
        *("skipCredentialsValidation", "skipMetadataApiCheck", "skipRegionValidation", "skipRequestingAccountId"),
        *("stsRegion", "token", "tokenBucketRateLimiterCapacity", "useDualstackEndpoint", "useFipsEndpoint", "version"),
    )
)
_TAGS: Final = frozenset(("defaultTags", "ignoreTags", "tagPolicyCompliance", "userAgents"))


class SimulatedAws:
    """Stands in for pulumi-aws, with its names and rules, where nothing may reach AWS.

    Everything belongs to the account 000000000000. Inputs are checked against the SDK's names and the models in
    botocore, references against what the program has made; ids, ARNs and addresses depend on the resource's URN alone.

    Args:
        world: where clusters and node groups are played.
    """

    name = "aws"
    #: That of the pulumi_aws release whose properties are in `data/aws_simulated_properties.csv`.
    version = "7.51.1"

    def __init__(self, world: World) -> None:
        self._world, self._account = world, Account()
        self._protection, self._activity = Protection(), Activity()

    def lift_deletion_protection(self) -> None:
        """From now on what is protected is deleted all the same: for the destroy that ends a rehearsal."""
        self._protection.is_lifted = True

    def check_config(self, inputs: Properties) -> Checked:
        """A region is required; credentials are ignored."""
        for key in sorted(inputs.keys() - _KNOWN):
            what = "doesn't add or ignore tags by it" if key in _TAGS else "doesn't know it"
            self._world.journal.note(Unchecked(resource=f"provider aws: {key}", reason=f"the simulation {what}"))
        if not inputs.get(_REGION):
            reason = "no region is set; set `aws:region` in the stack's configuration, or `region` of the Provider"
            return Checked(inputs, [CheckFailure(_REGION, reason)])
        return Checked(inputs)

    def diff_config(self, old: Properties, new: Properties) -> Difference:
        """Another region is another provider, with other resources; all else is an update."""
        changes = differences(old, new)
        return Difference(
            {path: PropertyChange(change.change, replaces=path == _REGION) for path, change in changes.items()}
        )

    def configure(self, inputs: Properties) -> ConfiguredProvider:
        """A provider of that region. All share one account.

        Raises:
            OperationError: there is no region.
        """
        region = text(reveal_all(inputs), _REGION)
        if not region and not has_unknown(inputs.get(_REGION)):
            raise OperationError(
                "the simulated aws provider has no region", "set `aws:region` in the stack's configuration"
            )
        self._activity = Activity() if self._activity.cancelled.is_set() else self._activity
        return AwsResources(self._world, self._account, self._activity, region, self._protection)
