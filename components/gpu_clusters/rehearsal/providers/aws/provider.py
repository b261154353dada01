"""The simulated aws provider: it keeps what programs make, refuses what AWS would refuse, and calls nobody."""

from __future__ import annotations

import json
from typing import Final

from gpu_clusters.eks.regions import is_region
from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.aws.checks import failures
from gpu_clusters.rehearsal.providers.aws.conflicts import conflicts
from gpu_clusters.rehearsal.providers.aws.deleting import refuse_deletion
from gpu_clusters.rehearsal.providers.aws.eks import ClusterEffects
from gpu_clusters.rehearsal.providers.aws.identities import DEFAULTS, Identity, identity, kinds, named, text
from gpu_clusters.rehearsal.providers.aws.lookups import answer
from gpu_clusters.rehearsal.providers.aws.made import Account, Existing, MadeHere
from gpu_clusters.rehearsal.providers.aws.making import Making, masked
from gpu_clusters.rehearsal.providers.aws.outputs import outputs
from gpu_clusters.rehearsal.providers.aws.places import Place
from gpu_clusters.rehearsal.providers.aws.replacing import difference
from gpu_clusters.rehearsal.providers.diffing import differences
from gpu_clusters.rehearsal.providers.interface import (
    Checked,
    CheckFailure,
    ConfiguredProvider,
    Difference,
    Options,
    PropertyChange,
    Resource,
    State,
)
from gpu_clusters.rehearsal.providers.plausible import digest
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Value, has_unknown, reveal, reveal_all
from gpu_clusters.rehearsal.world import Unchecked, World

_REGION: Final = "region"
_NO_REGION: Final = CheckFailure(
    _REGION, "the provider has no region: set `aws:region` in the stack's configuration, or `region` of aws.Provider"
)
#: What the simulation heeds of a provider's inputs, and what means nothing without a network.
_HEEDED: Final = frozenset({_REGION, "defaultTags", "version"})
_MEANINGLESS: Final = frozenset(
    {
        *("accessKey", "secretKey", "token", "profile", "sharedConfigFiles", "sharedCredentialsFiles", "maxRetries"),
        *("assumeRole", "assumeRoles", "assumeRoleWithWebIdentity", "endpoints", "httpProxy", "httpsProxy", "noProxy"),
        *("skipCredentialsValidation", "skipMetadataApiCheck", "skipRegionValidation", "skipRequestingAccountId"),
        *("retryMode", "customCaBundle", "insecure", "useDualstackEndpoint", "useFipsEndpoint", "stsRegion"),
        *("ec2MetadataServiceEndpoint", "ec2MetadataServiceEndpointMode", "s3UsePathStyle", "pluginDownloadURL"),
    }
)


class SimulatedAws:
    """Stands in for pulumi-aws. What all its providers make is one account; nothing outside is ever reached.

    Args:
        world: the clusters of the rehearsal.
    """

    name = "aws"
    #: That of the pulumi_aws release whose rules were followed.
    version = "7.51.1"

    def __init__(self, world: World) -> None:
        self._world = world
        self._account = Account()
        self._effects = ClusterEffects(world)
        self._is_protection_lifted = False

    def lift_deletion_protection(self) -> None:
        """Let a destroy delete what AWS would protect."""
        self._is_protection_lifted = True

    def check_config(self, inputs: Properties) -> Checked:
        """Refuse a provider without a region; credentials are never looked at."""
        plain = _plain(inputs)
        for key in sorted(plain.keys() - _HEEDED - _MEANINGLESS):
            reason = "the simulation doesn't heed this setting of the provider"
            self._world.journal.note(Unchecked(resource=f"aws provider, {key}", reason=reason))
        region = plain.get(_REGION)
        if region is UNKNOWN:
            return Checked(inputs)
        if not isinstance(region, str) or not region:
            return Checked(inputs, [_NO_REGION])
        if not is_region(region):
            return Checked(
                inputs, [CheckFailure(_REGION, f"{region!r} isn't a region of AWS's; name one as us-west-2")]
            )
        return Checked(inputs)

    def diff_config(self, old: Properties, new: Properties) -> Difference:
        """Another region is another place: everything made there is replaced."""
        changes = differences(_plain(old), _plain(new))
        return Difference(
            {path: PropertyChange(change.change, replaces=path == _REGION) for path, change in changes.items()}
        )

    def configure(self, inputs: Properties) -> ConfiguredProvider:
        """Make a provider of one region.

        Raises:
            OperationError: it has none.
        """
        plain = _plain(inputs)
        region = text(plain, _REGION)
        if not region:
            raise OperationError("the simulated aws provider has no region", _NO_REGION.reason)
        tags = plain.get("defaultTags")
        default_tags = tags.get("tags") if isinstance(tags, dict) else None
        return AwsResources(self, region, default_tags if isinstance(default_tags, dict) else {})

    @property
    def world(self) -> World:
        """The clusters of the rehearsal."""
        return self._world

    @property
    def account(self) -> Account:
        """Everything that was made."""
        return self._account

    @property
    def effects(self) -> ClusterEffects:
        """What EKS does to the clusters."""
        return self._effects

    @property
    def is_protection_lifted(self) -> bool:
        """Whether everything may be deleted."""
        return self._is_protection_lifted


class AwsResources:
    """The provider of one region."""

    def __init__(self, aws: SimulatedAws, region: str, default_tags: Properties) -> None:
        self._aws, self._region, self._default_tags = aws, region, default_tags

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:
        inputs = named(resource, old, new, self._aws.account.generation(resource.urn))
        if resource.type not in kinds():
            reason = "the simulation doesn't know this type: accepted with any inputs; outputs are the inputs alone"
            self._aws.world.journal.note(Unchecked(resource=resource.type, reason=reason))
            return Checked(inputs)
        said = {key: value for key, value in inputs.items() if key not in (DEFAULTS, _REGION)}
        return Checked(inputs, failures(resource.type, said, self._made(new)))

    def diff(self, resource: Resource, state: State, new: Properties) -> Difference:
        self._remember(resource, state)
        return difference(resource.type, state.inputs, new)

    def create(self, resource: Resource, inputs: Properties, options: Options) -> State:
        place = self._place(inputs)
        if options.preview:
            making = self._making(resource, inputs, identity(resource, 0, inputs, place))
            return State("", masked(outputs(making, self._default_tags), inputs))
        own = identity(resource, self._aws.account.generation(resource.urn), inputs, place)
        making = self._making(resource, inputs, own)
        filled = outputs(making, self._default_tags)
        with self._aws.account.making:
            found = list(conflicts(resource.type, inputs, self._made(inputs)))
            if found:
                problem, _, remedy = found[0].reason.partition("; ")
                raise OperationError(problem, remedy, [failure.reason for failure in found[1:]])
            self._put(resource.type, own.id, inputs, filled)
        try:
            filled = self._aws.effects.created(making, filled)
        except BaseException:
            self._aws.account.drop(resource.type, own.id)
            raise
        self._aws.account.count(resource.urn)
        self._put(resource.type, own.id, inputs, filled)
        return State(own.id, filled)

    def read(self, resource: Resource, state: State) -> State:
        found = self._aws.account.get(resource.type, state.id)
        if found is not None:
            return State(found.id, self._aws.effects.now(found), state.inputs or found.inputs)
        if state.outputs:
            self._remember(resource, state)
            return State(state.id, state.outputs, state.inputs)
        reason = f"{state.id} isn't made by this stack: taken to exist, with made-up properties"
        self._aws.world.journal.note(Unchecked(resource=f"{resource.type} {resource.name}", reason=reason))
        making = self._making(resource, {}, Identity(state.id, ""))
        return State(state.id, outputs(making, {}), state.inputs)

    def update(self, resource: Resource, state: State, new: Properties, options: Options) -> State:
        own = Identity(state.id, text(state.outputs, "arn"))
        making = self._making(resource, new, own, state)
        filled = outputs(making, self._default_tags)
        if options.preview:
            known = {key: value for key, value in state.outputs.items() if filled.get(key) == value}
            return State(state.id, {**masked(filled, new), **known, **new})
        filled = self._aws.effects.updated(making, filled)
        self._put(resource.type, state.id, new, filled)
        return State(state.id, filled)

    def delete(self, resource: Resource, state: State, options: Options) -> None:  # noqa: ARG002
        existing = Existing(resource.type, state.id, reveal_all(state.inputs), reveal_all(state.outputs))
        refuse_deletion(existing, self._aws.account.all(), is_protection_lifted=self._aws.is_protection_lifted)
        self._aws.effects.deleted(existing)
        self._aws.account.drop(resource.type, state.id)

    def invoke(self, token: str, arguments: Properties) -> Properties:
        found = answer(token, reveal_all(arguments), self._place(arguments), self._made(arguments))
        self._aws.world.journal.answered(token)
        return found

    def cancel(self) -> None:
        """Nothing here waits by itself; the clusters are stopped by the rehearsal."""

    def _place(self, inputs: Properties) -> Place:
        return Place(text(inputs, _REGION) or self._region)

    def _made(self, inputs: Properties) -> MadeHere:
        return MadeHere(self._aws.account, self._place(inputs).region, self._aws.world.journal)

    def _making(self, resource: Resource, inputs: Properties, own: Identity, before: State | None = None) -> Making:
        return Making(
            type=resource.type,
            inputs=inputs,
            identity=own,
            place=self._place(inputs),
            made=self._made(inputs),
            old=reveal_all(before.outputs) if before else {},
            before=_said(before.inputs) if before else {},
            seed=digest(f"{resource.urn}#{own.id}"),
        )

    def _put(self, type_: str, id_: str, inputs: Properties, filled: Properties) -> None:
        self._aws.account.put(Existing(type_, id_, _said(inputs), reveal_all(filled)))

    def _remember(self, resource: Resource, state: State) -> None:
        """What an earlier run of the engine made is there, too."""
        if self._aws.account.get(resource.type, state.id) is None:
            self._put(resource.type, state.id, state.inputs, state.outputs)


def _said(inputs: Properties) -> Properties:
    return reveal_all({key: value for key, value in inputs.items() if key != DEFAULTS})


def _plain(inputs: Properties) -> Properties:
    """The engine writes a provider's inputs as JSON text, except those that are text already."""
    return {key: _parsed(reveal(value)) for key, value in inputs.items()}


def _parsed(value: Value) -> Value:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return UNKNOWN if has_unknown(value) and not isinstance(value, dict) else value
