"""What a rehearsal never lets run: commands on this machine, and providers that are code of the program itself."""

from __future__ import annotations

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.generic import SimulatedGeneric
from gpu_clusters.rehearsal.providers.interface import Checked, ConfiguredProvider, Options, Resource, State
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties
from gpu_clusters.rehearsal.world import Journal, Unchecked

_LOCAL = "command:local:"
_REMOTE = "command:remote:"
_OUTPUTS = ("stdout", "stderr")


class SimulatedCommand(SimulatedGeneric):
    """Stands in for pulumi-command: refuses `command:local`, takes `command:remote` without speaking to any host."""

    def __init__(self, version: str, journal: Journal) -> None:
        super().__init__("command", version, journal)

    def configure(self, inputs: Properties) -> ConfiguredProvider:
        return _Commands(super().configure(inputs), self._journal)


class RefusedProvider(SimulatedGeneric):
    """Refuses every resource of a package, for one reason."""

    def __init__(self, name: str, version: str, journal: Journal, *, problem: str, remedy: str) -> None:
        super().__init__(name, version, journal)
        self._problem, self._remedy = problem, remedy

    def configure(self, inputs: Properties) -> ConfiguredProvider:
        return _Refused(super().configure(inputs), self._problem, self._remedy)


def dynamic_providers(version: str, journal: Journal) -> RefusedProvider:
    """Dynamic providers of Python programs: their methods would run in a host of their own, with anything in reach."""
    return RefusedProvider(
        "pulumi-python",
        version,
        journal,
        problem="a rehearsal doesn't run dynamic providers: their code could reach anything",
        remedy="rehearse the stack without this resource, e.g. by a value of its configuration",
    )


class _Wrapped:
    """A provider, all but what a subclass does itself."""

    def __init__(self, inner: ConfiguredProvider) -> None:
        self._inner = inner
        self.diff, self.read, self.delete, self.cancel = inner.diff, inner.read, inner.delete, inner.cancel
        self.update = inner.update


class _Refused(_Wrapped):
    def __init__(self, inner: ConfiguredProvider, problem: str, remedy: str) -> None:
        super().__init__(inner)
        self._problem, self._remedy = problem, remedy

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:  # noqa: ARG002
        return Checked(new)

    def create(self, resource: Resource, inputs: Properties, options: Options) -> State:  # noqa: ARG002
        raise OperationError(self._problem, self._remedy)

    def invoke(self, token: str, arguments: Properties) -> Properties:  # noqa: ARG002
        raise OperationError(self._problem, self._remedy)


class _Commands(_Wrapped):
    def __init__(self, inner: ConfiguredProvider, journal: Journal) -> None:
        super().__init__(inner)
        self._journal = journal

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:
        if not resource.type.startswith(_REMOTE):
            return Checked(new) if resource.type.startswith(_LOCAL) else self._inner.check(resource, old, new)
        reason = "accepted, but no host was spoken to: what the command prints is empty here"
        self._journal.note(Unchecked(resource=f"{resource.type} {resource.name}", reason=reason))
        return Checked(new)

    def create(self, resource: Resource, inputs: Properties, options: Options) -> State:
        if resource.type.startswith(_LOCAL):
            raise _local(resource.type)
        state = self._inner.create(resource, inputs, options)
        empty = dict.fromkeys(_OUTPUTS, UNKNOWN if options.preview else "")
        return State(state.id, {**empty, **state.outputs})

    def invoke(self, token: str, arguments: Properties) -> Properties:
        if token.startswith(_LOCAL):
            raise _local(token)
        return self._inner.invoke(token, arguments)


def _local(token: str) -> OperationError:
    return OperationError(
        f"a rehearsal runs no command on this machine: {token} could do anything",
        "rehearse the stack without it, e.g. by a value of its configuration",
    )
