"""The resources of a sandbox that was deleted: they went with it, and all that is left to do is to say so."""

from __future__ import annotations

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.kubeconfig import Cluster
from gpu_clusters.rehearsal.providers.interface import Checked, Difference, Options, Resource, State
from gpu_clusters.rehearsal.providers.kubernetes.checking import Checker
from gpu_clusters.rehearsal.providers.kubernetes.objects import kind_of
from gpu_clusters.rehearsal.providers.kubernetes.shown import difference, invoke
from gpu_clusters.rehearsal.providers.values import Properties, reveal_all


class GoneResources:
    """Implements `ConfiguredProvider` for a cluster that isn't there any more: nothing can be made in it, what was in
    it is gone."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._sandbox = cluster.sandbox
        self._namespace = namespace
        self._checker = Checker(None, namespace)

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:
        return self._checker.check(resource, old, new)

    def diff(self, resource: Resource, state: State, new: Properties) -> Difference:
        return difference(kind_of(resource.type, reveal_all(new)), state, new, self._namespace)

    def create(self, resource: Resource, inputs: Properties, options: Options) -> State:
        if options.preview:
            return State("", inputs)
        raise self._error(resource)

    def read(self, resource: Resource, state: State) -> State:  # noqa: ARG002
        return State("", {})

    def update(self, resource: Resource, state: State, new: Properties, options: Options) -> State:
        if options.preview:
            return State(state.id, new)
        raise self._error(resource)

    def delete(self, resource: Resource, state: State, options: Options) -> None:
        pass

    def invoke(self, token: str, arguments: Properties) -> Properties:
        return invoke(token, arguments)

    def cancel(self) -> None:
        pass

    def _error(self, resource: Resource) -> OperationError:
        return OperationError(
            f"{resource.name} can't be made: the sandbox {self._sandbox} was deleted since this kubeconfig was written",
            f"run `gpu-clusters sandbox start --name {self._sandbox}` and give the Provider its new kubeconfig",
        )
