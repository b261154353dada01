"""Objects of a Helm release on a cluster: made, waited for and deleted in Helm's order and by its rules."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

from gpu_clusters import labels
from gpu_clusters.errors import OperationError
from gpu_clusters.kube.client import ApiError
from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.providers.kubernetes.applying import Application, Applier
from gpu_clusters.rehearsal.providers.kubernetes.charts import kind_in
from gpu_clusters.rehearsal.providers.kubernetes.client import Client, UnknownKindError
from gpu_clusters.rehearsal.providers.kubernetes.crds import without_webhook
from gpu_clusters.rehearsal.providers.kubernetes.objects import (
    annotation,
    id_of,
    mapping,
    name_of,
    namespace_of,
    with_metadata,
)
from gpu_clusters.rehearsal.providers.kubernetes.records import events, policies, weight
from gpu_clusters.rehearsal.providers.kubernetes.specs import ReleaseSpec
from gpu_clusters.rehearsal.providers.kubernetes.waiting import until_gone, until_ready
from gpu_clusters.rehearsal.providers.values import Properties

#: Their servers are pods, and a sandbox's pods run no program: every request that they guard would fail.
SERVED_BY_PODS: Final = ("APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_MANAGER: Final = "helm"
_DEFINITION: Final = "CustomResourceDefinition"
_RELEASE_NAME: Final = "meta.helm.sh/release-name"
_RELEASE_NAMESPACE: Final = "meta.helm.sh/release-namespace"
# What `helm install --wait` waits for (https://helm.sh/docs/helm/helm_install/), and definitions.
_AWAITED: Final = ("DaemonSet", "Deployment", "PersistentVolumeClaim", "Pod", "StatefulSet", _DEFINITION)


class Installer:
    """Makes and deletes the objects of one release.

    Args:
        seconds: how long all of it may take.
    """

    def __init__(self, client: Client, spec: ReleaseSpec, seconds: float) -> None:
        self._client = client
        self._applier = Applier(client)
        self._spec = spec
        self._deadline = time.monotonic() + seconds

    def make_namespace(self) -> None:
        """Make the release's namespace where it has to, or find it.

        Raises:
            OperationError: there is none, and it isn't to be made.
        """
        name = self._spec.namespace
        if self._client.get(f"/api/v1/namespaces/{name}") is not None:
            return
        if not self._spec.create_namespace:
            raise OperationError(
                f'release {self._spec.name}: namespaces "{name}" not found',
                "create the namespace first (`depends_on`), or set `create_namespace`",
            )
        self._await(self._apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))

    def define(self, definitions: Iterable[Properties]) -> None:
        """Install definitions that aren't there; Helm never changes one."""
        made = [
            self._apply(without_webhook(item))
            for item in definitions
            if self._applier.existing(kind_in(item), item) is None
        ]
        for live in made:
            self._await(live)

    def placed(self, items: Iterable[Properties]) -> tuple[Properties, ...]:
        """Objects with their namespace and Helm's marks, save those that a rehearsal must leave out.

        Raises:
            UnknownKindError: the cluster doesn't serve a kind.
        """
        return tuple(self._placed(item) for item in items if item.get("kind") not in SERVED_BY_PODS)

    def make(self, items: Sequence[Properties]) -> None:
        """Apply objects, then wait for them where that was asked for.

        Raises:
            OperationError: one is another's, was refused, or isn't ready in time.
        """
        for item in items:
            self._refuse_foreign(item)
        made = [self._apply(_ending(item) if self._spec.awaits_jobs else item) for item in items]
        for live in made:
            if self._is_awaited(live):
                self._await(live)

    def remove(self, items: Sequence[Properties]) -> None:
        """Delete objects, the last first, save those that their chart keeps; wait until they are gone."""
        kept = ("keep",)
        gone = [item for item in reversed(items) if annotation(item, "helm.sh/resource-policy") not in kept]
        started = [found for item in gone if (found := self._delete(item)) is not None]
        for path, uid in started if self._spec.awaited else ():
            until_gone(self._client, path, uid, self._left())

    def run_hooks(self, hooks: Iterable[Properties], event: str) -> None:
        """Run the hooks of an event one after the other: a Job or Pod to its end, which is a good one in a sandbox.

        Raises:
            OperationError: one was refused, or didn't end in time.
        """
        for hook in sorted(
            (hook for hook in hooks if event in events(hook)), key=lambda hook: (weight(hook), name_of(hook))
        ):
            if "before-hook-creation" in policies(hook):
                self._delete_and_wait(hook)
            live = self._apply(_ending(hook))
            if live.get("kind") in ("Job", "Pod"):
                self._await(live)
            if "hook-succeeded" in policies(hook):
                self._delete_and_wait(hook)

    def _placed(self, item: Properties) -> Properties:
        namespaced = self._applier.endpoint(kind_in(item)).namespaced
        namespace = (namespace_of(item) or self._spec.namespace) if namespaced else None
        marks = {_RELEASE_NAME: self._spec.name, _RELEASE_NAMESPACE: self._spec.namespace}
        metadata = mapping(item, "metadata")
        return with_metadata(
            without_webhook(item) if item.get("kind") == _DEFINITION else item,
            namespace=namespace,
            labels={**mapping(metadata, "labels"), "app.kubernetes.io/managed-by": "Helm"},
            annotations={**mapping(metadata, "annotations"), **marks},
        )

    def _is_awaited(self, live: Properties) -> bool:
        kind = live.get("kind")
        if kind == "Job":
            return self._spec.awaits_jobs
        if kind == "Service":
            return self._spec.awaited and text(live, "spec", "type") == "LoadBalancer"
        return kind == _DEFINITION or (self._spec.awaited and kind in _AWAITED)

    def _refuse_foreign(self, item: Properties) -> None:
        live = self._applier.existing(kind_in(item), item)
        if live is None or annotation(live, _RELEASE_NAME) == self._spec.name:
            return
        raise OperationError(
            f"release {self._spec.name}: {item.get('kind')} {id_of(item)} exists and isn't this release's",
            "delete it, or give the release another name or other values",
        )

    def _apply(self, item: Properties) -> Properties:
        application = Application(
            kind=kind_in(item), manifest=item, manager=_MANAGER, force=True, preview=False, seconds=self._left()
        )
        live = self._applier.apply(application)
        # A server leaves both out in some answers.
        return {"apiVersion": item["apiVersion"], "kind": item["kind"], **live}

    def _await(self, live: Properties) -> None:
        kind = kind_in(live)
        until_ready(self._client, kind, self._applier.path(kind, live), live, self._left())

    def _delete_and_wait(self, item: Properties) -> None:
        if (found := self._delete(item)) is not None:
            until_gone(self._client, *found, self._left())

    def _delete(self, item: Properties) -> tuple[str, str] | None:
        """Begin to delete an object: its path and UID; None if there is none."""
        try:
            path = self._applier.path(kind_in(item), item)
        except UnknownKindError:
            # Its definition went, and it with it.
            return None
        live = self._client.get(path)
        if live is None:
            return None
        try:
            self._client.request("DELETE", path, body={"propagationPolicy": "Background"})
        except ApiError as error:
            if error.code != 404:
                raise
        return path, text(live, "metadata", "uid")

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 1)


def _ending(hook: Properties) -> Properties:
    """A Job or Pod whose containers end well once they have started, where it doesn't say how they end."""
    if hook.get("kind") == "Pod":
        told = {labels.SANDBOX_EXIT_CODE: "0", **mapping(hook, "metadata", "annotations")}
        return with_metadata(hook, annotations=dict(told))
    if hook.get("kind") != "Job":
        return hook
    template = mapping(hook, "spec", "template")
    told = {labels.SANDBOX_EXIT_CODE: "0", **mapping(template, "metadata", "annotations")}
    return {**hook, "spec": {**mapping(hook, "spec"), "template": with_metadata(template, annotations=dict(told))}}
