"""What a simulated provider has to say and do. The gRPC side of it is `server.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.values import Properties, Value


class Change(StrEnum):
    """How one property differs."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class PropertyChange:
    """One difference between old and new inputs.

    Attributes:
        replaces: the resource has to be replaced for it.
    """

    change: Change
    replaces: bool = False


@dataclass(frozen=True)
class Difference:
    """What an update would change.

    Attributes:
        changes: by property path, such as `spec.ports[0].port`; empty if nothing differs.
        delete_before_replace: the old resource has to go before the new one can come.
    """

    changes: Mapping[str, PropertyChange] = field(default_factory=dict[str, PropertyChange])
    delete_before_replace: bool = False


@dataclass(frozen=True)
class CheckFailure:
    """One input that can't be right.

    Attributes:
        property: its path; empty for the resource as a whole.
        reason: the problem and the remedy.
    """

    property: str
    reason: str


@dataclass(frozen=True)
class Checked:
    """The inputs with defaults filled in, and what is wrong with them."""

    inputs: Properties
    failures: Sequence[CheckFailure] = ()


@dataclass(frozen=True)
class Resource:
    """Which resource a request is about.

    Attributes:
        urn: as the engine names it.
        type: the type token, such as `kubernetes:apps/v1:Deployment`.
        name: the logical name.
    """

    urn: str
    type: str
    name: str


@dataclass(frozen=True)
class Options:
    """How an operation is to be done.

    Attributes:
        timeout: seconds, from the resource's `customTimeouts`; 0 if it has none.
        preview: nothing may be changed; properties may be unknown.
        ignore_changes: property paths whose changes outside the program are to be left alone.
    """

    timeout: float = 0
    preview: bool = False
    ignore_changes: Sequence[str] = ()


@dataclass(frozen=True)
class State:
    """A resource as it is.

    Attributes:
        id: what the provider knows it by; empty if it doesn't exist.
        outputs: its properties.
        inputs: what a program would have to say to get it; only `read` fills it in.
    """

    id: str
    outputs: Properties
    inputs: Properties = field(default_factory=dict[str, Value])


class ResourceNotReadyError(OperationError):
    """A resource was made but isn't ready: the engine records it, and the next `up` goes on from there."""

    def __init__(self, state: State, problem: str, remedy: str, reasons: Sequence[str] = ()) -> None:
        super().__init__(problem, remedy, reasons)
        self.state = state


class ConfiguredProvider(Protocol):
    """A provider that knows its configuration. Called from many threads at once.

    Every method raises OperationError (or another of this library's errors) for what can't be done.
    """

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:
        """Fill in defaults. `old`: the inputs that were checked last, None if the resource is to be made anew."""
        ...

    def diff(self, resource: Resource, state: State, new: Properties) -> Difference:
        """Compare `state.inputs` with checked inputs, some of which may be unknown."""
        ...

    def create(self, resource: Resource, inputs: Properties, options: Options) -> State:
        """Make it and wait until it is ready. Must do no harm if an earlier try was cut off half-way."""
        ...

    def read(self, resource: Resource, state: State) -> State:
        """The resource as it is now. `state` holds no outputs if the resource is being imported."""
        ...

    def update(self, resource: Resource, state: State, new: Properties, options: Options) -> State:
        """Change it and wait until it is ready."""
        ...

    def delete(self, resource: Resource, state: State, options: Options) -> None:
        """Delete it and wait until it is gone. One that is gone already is a success."""
        ...

    def invoke(self, token: str, arguments: Properties) -> Properties:
        """Call a provider function."""
        ...

    def cancel(self) -> None:
        """End all waiting, now and later. Returns at once."""
        ...


class SimulatedProvider(Protocol):
    """A provider before it is configured. One program may configure it several times, for several clusters, say."""

    @property
    def name(self) -> str:
        """The package: `kubernetes`, `aws`."""
        ...

    @property
    def version(self) -> str:
        """The version of the package's SDK that it stands in for, without a `v`."""
        ...

    def check_config(self, inputs: Properties) -> Checked:
        """Check a provider resource's inputs."""
        ...

    def diff_config(self, old: Properties, new: Properties) -> Difference:
        """Compare two configurations; a replacement replaces every resource that was made with it."""
        ...

    def configure(self, inputs: Properties) -> ConfiguredProvider:
        """Make a provider that works. Raises OperationError if the configuration can't be used."""
        ...
