"""Which part of the provider a resource is for: Helm's releases are told from all others by their type."""

from __future__ import annotations

from typing import Final

from gpu_clusters.rehearsal.providers.interface import (
    Checked,
    ConfiguredProvider,
    Difference,
    Options,
    Resource,
    State,
)
from gpu_clusters.rehearsal.providers.kubernetes.helm import HelmReleases
from gpu_clusters.rehearsal.providers.kubernetes.specs import RELEASE
from gpu_clusters.rehearsal.providers.values import Properties

_TEMPLATE: Final = "kubernetes:helm:template"


class WithReleases:
    """The resources of a rehearsal's cluster, Helm releases among them; implements `ConfiguredProvider`."""

    def __init__(self, objects: ConfiguredProvider, releases: HelmReleases) -> None:
        self._objects = objects
        self._releases = releases

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:
        return self._of(resource).check(resource, old, new)

    def diff(self, resource: Resource, state: State, new: Properties) -> Difference:
        return self._of(resource).diff(resource, state, new)

    def create(self, resource: Resource, inputs: Properties, options: Options) -> State:
        return self._of(resource).create(resource, inputs, options)

    def read(self, resource: Resource, state: State) -> State:
        return self._of(resource).read(resource, state)

    def update(self, resource: Resource, state: State, new: Properties, options: Options) -> State:
        return self._of(resource).update(resource, state, new, options)

    def delete(self, resource: Resource, state: State, options: Options) -> None:
        self._of(resource).delete(resource, state, options)

    def invoke(self, token: str, arguments: Properties) -> Properties:
        provider = self._releases if token == _TEMPLATE else self._objects
        return provider.invoke(token, arguments)

    def cancel(self) -> None:
        self._objects.cancel()
        self._releases.cancel()

    def _of(self, resource: Resource) -> ConfiguredProvider:
        return self._releases if resource.type == RELEASE else self._objects
