"""Checks whose failures come out when a resource is made: the engine ends a whole run at the first failed check."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_clusters.errors import GpuClustersError, OperationError
from gpu_clusters.rehearsal.providers.interface import (
    Change,
    Checked,
    CheckFailure,
    ConfiguredProvider,
    Difference,
    Options,
    PropertyChange,
    Resource,
    SimulatedProvider,
    State,
)
from gpu_clusters.rehearsal.providers.values import Properties


class DeferredChecks:
    """A provider that refuses a resource when it would be made, so that one run brings all refusals at once."""

    def __init__(self, inner: SimulatedProvider) -> None:
        self._inner = inner
        self.check_config, self.diff_config = inner.check_config, inner.diff_config

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def version(self) -> str:
        return self._inner.version

    def configure(self, inputs: Properties) -> ConfiguredProvider:
        """Make a provider that works."""
        return _Deferring(self._inner.configure(inputs))


class _Deferring:
    def __init__(self, inner: ConfiguredProvider) -> None:
        self._inner = inner
        self._failures: dict[str, Sequence[CheckFailure]] = {}
        self.read, self.delete, self.invoke, self.cancel = inner.read, inner.delete, inner.invoke, inner.cancel

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:
        try:
            checked = self._inner.check(resource, old, new)
        except GpuClustersError as error:
            checked = Checked(new, [CheckFailure("", str(error))])
        self._failures[resource.urn] = checked.failures
        return Checked(checked.inputs)

    def diff(self, resource: Resource, state: State, new: Properties) -> Difference:
        failures = self._failures.get(resource.urn)
        if failures:
            # Else nobody would be told: a resource that doesn't change isn't updated.
            return Difference({failure.property or "inputs": PropertyChange(Change.UPDATE) for failure in failures})
        return self._inner.diff(resource, state, new)

    def create(self, resource: Resource, inputs: Properties, options: Options) -> State:
        self._refuse(resource)
        return self._inner.create(resource, inputs, options)

    def update(self, resource: Resource, state: State, new: Properties, options: Options) -> State:
        self._refuse(resource)
        return self._inner.update(resource, state, new, options)

    def _refuse(self, resource: Resource) -> None:
        failures = self._failures.get(resource.urn)
        if failures:
            first, *others = [f"{failure.property}: {failure.reason}".removeprefix(": ") for failure in failures]
            raise _RefusalError(first, others)


class _RefusalError(OperationError):
    """Failures of a check: a line for each, with the property, the problem and the remedy."""

    def __init__(self, first: str, others: Sequence[str]) -> None:
        super().__init__(first, "", others)

    def __str__(self) -> str:
        return self.problem
