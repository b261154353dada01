"""Any provider that the simulation doesn't know: it takes every resource, checks none, and says so."""

from __future__ import annotations

from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.diffing import differences
from gpu_clusters.rehearsal.providers.interface import (
    Checked,
    ConfiguredProvider,
    Difference,
    Options,
    PropertyChange,
    Resource,
    State,
)
from gpu_clusters.rehearsal.providers.plausible import digest, plausible
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties
from gpu_clusters.rehearsal.world import Journal, Unchecked

#: Their values are chance: a changed input makes a new one (pulumi-random and pulumi-tls replace on any change).
_MADE_ANEW: Final = ("random:", "tls:")


class SimulatedGeneric:
    """Stands in for a provider of which only the name is known. It answers for the SDK `name` in any version.

    A resource's outputs are its inputs; those of the packages `random` and `tls` also have what their programs use,
    derived from the resource's URN. Every type that is taken this way is noted as unchecked, once.
    """

    def __init__(self, name: str, version: str, journal: Journal) -> None:
        self._name, self._version, self._journal = name, version, journal

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> str:
        return self._version

    def check_config(self, inputs: Properties) -> Checked:
        """Accept any configuration: nothing is ever connected to."""
        return Checked(inputs)

    def diff_config(self, old: Properties, new: Properties) -> Difference:
        """A changed configuration is an update."""
        return Difference(differences(old, new))

    def configure(self, inputs: Properties) -> ConfiguredProvider:  # noqa: ARG002 - nothing is ever connected to
        """Make a provider that keeps nothing: what it has made is in the engine's state."""
        return _GenericResources(self._name, self._journal)


class _GenericResources:
    def __init__(self, name: str, journal: Journal) -> None:
        self._name, self._journal = name, journal

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:  # noqa: ARG002
        self._journal.note(
            Unchecked(
                resource=resource.type,
                reason="the simulation doesn't know this type: accepted with any inputs; outputs are the inputs alone"
                if not resource.type.startswith(_MADE_ANEW)
                else "accepted with any inputs; its values are simulated",
            )
        )
        return Checked(new)

    def diff(self, resource: Resource, state: State, new: Properties) -> Difference:
        changes = differences(state.inputs, new)
        if resource.type.startswith(_MADE_ANEW):
            changes = {path: PropertyChange(change.change, replaces=True) for path, change in changes.items()}
        return Difference(changes)

    def create(self, resource: Resource, inputs: Properties, options: Options) -> State:
        values = plausible(resource.type, resource.urn, inputs)
        outputs = {**inputs, **(dict.fromkeys(values, UNKNOWN) if options.preview else values)}
        own = values.get("id")
        return State(own if isinstance(own, str) else f"{resource.name}-{digest(resource.urn)[:8]}", outputs)

    def read(self, resource: Resource, state: State) -> State:  # noqa: ARG002
        return State(state.id, state.outputs or {"id": state.id}, state.inputs)

    def update(self, resource: Resource, state: State, new: Properties, options: Options) -> State:  # noqa: ARG002
        return State(state.id, {**plausible(resource.type, resource.urn, new), **new})

    def delete(self, resource: Resource, state: State, options: Options) -> None:
        """Nothing is there."""

    def invoke(self, token: str, arguments: Properties) -> Properties:  # noqa: ARG002
        raise OperationError(
            f"a rehearsal can't answer {token}: it asks the real {self._name}",
            "pass what it looks up as an argument or a configuration value of the stack",
        )

    def cancel(self) -> None:
        """Nothing ever waits."""
