"""The resources of one region of the simulated account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.aws.account import Account, Thing, automatic_name, digits
from gpu_clusters.rehearsal.providers.aws.catalogue import ResourceType, properties, resource_type
from gpu_clusters.rehearsal.providers.aws.checking import model_failures
from gpu_clusters.rehearsal.providers.aws.clusters import Activity, EksInWorld, eks_outputs
from gpu_clusters.rehearsal.providers.aws.eks_checks import eks_failures
from gpu_clusters.rehearsal.providers.aws.lookups import Lookups
from gpu_clusters.rehearsal.providers.aws.node_groups import LAUNCH_TEMPLATE
from gpu_clusters.rehearsal.providers.aws.outputs import new_outputs, previewed, updated_outputs
from gpu_clusters.rehearsal.providers.aws.reading import flag, number, text
from gpu_clusters.rehearsal.providers.aws.references import References, holders
from gpu_clusters.rehearsal.providers.aws.rules import rule_failures, same_value
from gpu_clusters.rehearsal.providers.diffing import Path, differences
from gpu_clusters.rehearsal.providers.interface import (
    Checked,
    CheckFailure,
    Difference,
    Options,
    Resource,
    State,
)
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Value, has_unknown, mark_secrets, reveal_all
from gpu_clusters.rehearsal.world import Unchecked, World

#: Of a launch template: a change of anything else makes a new version (terraform-provider-aws
#: internal/service/ec2/ec2_launch_template.go).
_NOT_VERSIONED: Final = frozenset(("tags", "tagsAll", "name", "namePrefix", "defaultVersion", "updateDefaultVersion"))
_UNKNOWN_TYPE: Final = "the simulation doesn't know this type: accepted with any inputs; outputs are the inputs alone"


class AwsResources:
    """One configured provider. Safe to use from many threads.

    Args:
        is_protected: whether deletion protection still counts.
    """

    def __init__(self, world: World, account: Account, activity: Activity, region: str, protection: Protection) -> None:
        self._world, self._account, self._region = world, account, region
        self._activity, self._protection = activity, protection
        self._references = References(account, region, world.journal)
        self._lookups = Lookups(account, region, world.journal)
        self._eks = EksInWorld(world, account, region, activity)

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:
        """Fill in an automatic name; find everything that AWS or the SDK would refuse."""
        kind = resource_type(resource.type)
        if kind is None:
            self._world.journal.note(Unchecked(resource=resource.type, reason=_UNKNOWN_TYPE))
            return Checked(new)
        named = self._named(kind, resource, old, new)
        plain = reveal_all(named)
        if kind.name:
            self._account.plan(kind.token, self._region, text(plain, kind.name))
        previous = reveal_all(old) if old else None
        found = [
            *model_failures(kind, plain),
            *rule_failures(kind, plain),
            *self._references.failures(kind, resource.urn, plain),
            *eks_failures(kind.token, previous, plain, self._account, self._region),
        ]
        return Checked(named, _once(found))

    def diff(self, resource: Resource, state: State, new: Properties) -> Difference:
        """What a change would do; what replaces a resource is in the table of types."""
        kind = resource_type(resource.type)
        replaced_by = kind.replaced_by if kind else frozenset[str]()

        def replaces(path: Path) -> bool:
            keys = ".".join(step for step in path if isinstance(step, str))
            return any(keys == each or keys.startswith(f"{each}.") for each in replaced_by)

        return Difference(differences(_comparable(state.inputs, new), new, replaces))

    def create(self, resource: Resource, inputs: Properties, options: Options) -> State:
        """Make it, in the world too where it is a cluster or its nodes."""
        kind = resource_type(resource.type)
        if kind is None:
            return _unknown_state(resource, inputs, options)
        plain = reveal_all(inputs)
        generation = 0 if options.preview else self._account.generation(resource.urn, "id")
        identity, outputs = new_outputs(kind, self._region, resource.urn, plain, self._account, generation)
        thing = Thing(kind, identity, resource.urn, self._region, plain, outputs)
        outputs = eks_outputs(thing, self._account)
        if options.preview:
            return State("", mark_secrets(_complete(kind, previewed(outputs, plain)), inputs))
        self._refuse_twice(thing)
        with self._activity:
            more = self._eks.create(replace(thing, outputs=outputs))
            made = replace(thing, outputs={**outputs, **more})
            self._account.put(made)
        return State(identity, mark_secrets(made.outputs, inputs))

    def read(self, resource: Resource, state: State) -> State:
        """As it was made: nothing changes it outside the program."""
        kind = resource_type(resource.type)
        if kind is None:
            return State(state.id, state.outputs or {"id": state.id}, state.inputs)
        thing = self._account.get(kind.token, self._region, state.id)
        if thing is not None:
            return State(state.id, mark_secrets(thing.outputs, state.inputs), state.inputs or thing.inputs)
        if self._account.was_deleted(kind.token, state.id):
            return State("", {})
        self._world.journal.note(Unchecked(resource=state.id, reason="not made by this stack: taken to exist"))
        return State(state.id, state.outputs or {"id": state.id}, state.inputs)

    def update(self, resource: Resource, state: State, new: Properties, options: Options) -> State:
        """Change it; a node group rolls its nodes where their template is another one."""
        kind = resource_type(resource.type)
        if kind is None:
            return State(state.id, {**state.outputs, **new})
        before, plain = reveal_all(state.outputs), reveal_all(new)
        outputs = updated_outputs(before, reveal_all(state.inputs), plain)
        if kind.token == LAUNCH_TEMPLATE and _is_new_version(reveal_all(state.inputs), plain):
            latest = (number(before, "latestVersion") or 0) + 1
            changed: Properties = {"latestVersion": UNKNOWN if options.preview else latest}
            if flag(plain, "updateDefaultVersion"):
                changed["defaultVersion"] = changed["latestVersion"]
            outputs = {**outputs, **changed}
        if not options.preview:
            thing = Thing(kind, state.id, resource.urn, self._region, plain, outputs)
            with self._activity:
                self._eks.update(thing)
                self._account.put(thing)
        return State(state.id, mark_secrets(outputs, new))

    def delete(self, resource: Resource, state: State, options: Options) -> None:  # noqa: ARG002
        """Delete it, unless something holds it or it is protected."""
        kind = resource_type(resource.type)
        thing = self._account.get(kind.token, self._region, state.id) if kind else None
        if thing is None:
            return
        if flag(thing.outputs, "deletionProtection") and not self._protection.is_lifted:
            raise OperationError(
                f"{thing.id} has deletion protection, so AWS doesn't delete it",
                "set `deletion_protection` to false and update it first",
            )
        held = holders(self._account, thing)
        if held:
            names = ", ".join(sorted(one.id for one in held)[:4])
            raise OperationError(
                f"AWS doesn't delete {thing.id} (DependencyViolation): {names} still needs it",
                "delete what needs it first; in a program, pass outputs rather than texts, so that the order is known",
            )
        with self._activity:
            self._eks.delete(thing)
            self._account.remove(thing.kind.token, self._region, thing.id)

    def invoke(self, token: str, arguments: Properties) -> Properties:
        """Answer a lookup from the listed ones."""
        return self._lookups.answer(token, reveal_all(arguments))

    def cancel(self) -> None:
        """End all waiting."""
        self._activity.cancelled.set()

    def _named(self, kind: ResourceType, resource: Resource, old: Properties | None, new: Properties) -> Properties:
        if not kind.name or new.get(kind.name) is not None or (kind.prefix and new.get(kind.prefix) is not None):
            return new
        if old and isinstance(old.get(kind.name), str):
            return {**new, kind.name: old[kind.name]}
        name = automatic_name(kind, self._region, resource.name, resource.urn, self._account)
        return {**new, kind.name: name}

    def _refuse_twice(self, thing: Thing) -> None:
        there = self._account.get(thing.kind.token, self._region, thing.id)
        same_name = self._account.named(thing.kind.token, self._region, thing.name) if _is_unique(thing) else None
        found = there or same_name
        if found is not None and found.urn != thing.urn:
            raise OperationError(f"{thing.name or thing.id} is there already (AlreadyExists)", "give it another name")
        if found is not None and thing.id in (found.id, thing.name):
            raise OperationError(
                f"{thing.name or thing.id} is there already, and is to be replaced by one of the same name",
                "leave the name out, or set `delete_before_replace`",
            )


class Protection:
    """Whether deletion protection counts: a rehearsal lifts it before it destroys what it has made."""

    def __init__(self) -> None:
        self.is_lifted = False


def _is_unique(thing: Thing) -> bool:
    # Names of node groups are unique in a cluster only, and so are their ids.
    return bool(thing.name) and "clusterName" not in thing.outputs and thing.kind.service != "events"


def _once(found: Sequence[CheckFailure]) -> tuple[CheckFailure, ...]:
    return tuple(dict.fromkeys(found))


def _unknown_state(resource: Resource, inputs: Properties, options: Options) -> State:
    identity = f"{resource.name}-{digits(resource.urn, 8)}"
    return State("" if options.preview else identity, {**inputs, "id": UNKNOWN if options.preview else identity})


def _complete(kind: ResourceType, outputs: Properties) -> Properties:
    """Optional inputs that nobody gave are what AWS fills in, which a preview doesn't know."""
    known = [path for path in properties(kind.token) if "." not in path and "[" not in path]
    return {**{name: outputs.get(name) for name in known if name in outputs}, **outputs}


def _is_new_version(old: Properties, new: Properties) -> bool:
    changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    return bool(changed - _NOT_VERSIONED)


def _comparable(old: Properties, new: Properties) -> Properties:
    """The old inputs with what means the same to AWS spelled as in the new ones: sets in another order, and JSON."""
    return {key: _aligned(key, value, new[key]) if key in new else value for key, value in old.items()}


def _aligned(key: str, old: Value, new: Value) -> Value:
    if has_unknown(new):
        return old
    if isinstance(old, dict) and isinstance(new, dict):
        return {name: _aligned(name, item, new[name]) if name in new else item for name, item in old.items()}
    if isinstance(old, list) and isinstance(new, list):
        is_set = key not in _ORDERED and all(isinstance(item, str) for item in (*old, *new))
        return new if is_set and sorted(map(str, old)) == sorted(map(str, new)) else old
    return new if type(old) is type(new) and same_value(old, new) else old


#: Lists in which the order counts: the first machine is tried first.
_ORDERED: Final = frozenset(("instanceTypes",))
