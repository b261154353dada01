"""Server-side apply of one object, with all that can come in its way."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.client import ApiError
from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.providers.diffing import parse_path, value_at, with_value
from gpu_clusters.rehearsal.providers.kubernetes.client import Client, Endpoint, UnknownKindError
from gpu_clusters.rehearsal.providers.kubernetes.objects import (
    PATCH_FORCE,
    Kind,
    annotation,
    id_of,
    mapping,
    mappings,
    name_of,
    namespace_of,
    with_metadata,
)
from gpu_clusters.rehearsal.providers.kubernetes.waiting import until_gone
from gpu_clusters.rehearsal.providers.values import Properties

# A definition that was made a moment ago, or an API server that has just started, needs this long to serve a kind.
_KIND_SECONDS: Final = 5
_APPLY: Final = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Application:
    """One object to be applied.

    Attributes:
        manager: the field manager in whose name its fields are set.
        force: take fields over from other managers.
        preview: a dry run.
        seconds: the time limit of waits, such as for a namespace that is being deleted.
    """

    kind: Kind
    manifest: Properties
    manager: str
    force: bool
    preview: bool
    seconds: float


class Applier:
    """Applies objects to one cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def endpoint(self, kind: Kind) -> Endpoint:
        """Where a kind lives, given a moment to appear.

        Raises:
            UnknownKindError: the server doesn't serve it, and no definition says that it will.
        """
        deadline = time.monotonic() + _KIND_SECONDS
        while True:
            try:
                return self._client.endpoint(kind)
            except UnknownKindError:
                if time.monotonic() > deadline and not self.is_defined(kind):
                    raise
                if time.monotonic() > deadline + _KIND_SECONDS:
                    raise
                self._client.sleep(0.1)

    def is_defined(self, kind: Kind) -> bool:
        """Whether a CustomResourceDefinition makes this kind: a server that has just started serves it late."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        return any(
            text(item, "spec", "group") == kind.group and text(item, "spec", "names", "kind") == kind.name
            for item in self._client.items(path, {})
        )

    def existing(self, kind: Kind, manifest: Properties) -> Properties | None:
        """The object that stands where the manifest wants to, None if there is none."""
        return self._client.get(self.path(kind, manifest))

    def path(self, kind: Kind, manifest: Properties) -> str:
        """The URL's path of an object."""
        return self.endpoint(kind).path(namespace_of(manifest), name_of(manifest))

    def apply(self, application: Application) -> Properties:
        """Apply, and again if the object or its namespace was just being deleted.

        Raises:
            ApiError: the server refused.
        """
        endpoint = self.endpoint(application.kind)
        manifest = application.manifest
        if not endpoint.namespaced:
            manifest = with_metadata(manifest, namespace=None)
        path = endpoint.path(namespace_of(manifest), name_of(manifest))
        forced = application.force or annotation(manifest, PATCH_FORCE) == "true"
        query = {"fieldManager": application.manager, "force": "true" if forced else "false"}
        if application.preview:
            return self._patch(path, {**query, "dryRun": "All"}, manifest)
        return self._apply(path, query, manifest, application.seconds)

    def _apply(self, path: str, query: Mapping[str, str], manifest: Properties, seconds: float) -> Properties:
        deadline = time.monotonic() + seconds
        while True:
            try:
                live = self._patch(path, query, manifest)
            except ApiError as error:
                if not is_terminating_namespace(error) or time.monotonic() > deadline:
                    raise
                self._await_namespace(namespace_of(manifest), deadline)
                continue
            if not text(live, "metadata", "deletionTimestamp"):
                return live
            # What is applied to an object that is being deleted goes with it.
            until_gone(self._client, path, text(live, "metadata", "uid"), deadline - time.monotonic())

    def _await_namespace(self, namespace: str, deadline: float) -> None:
        path = f"/api/v1/namespaces/{namespace}"
        live = self._client.get(path)
        if live is not None and text(live, "metadata", "deletionTimestamp"):
            until_gone(self._client, path, text(live, "metadata", "uid"), deadline - time.monotonic())
        self._client.sleep(0.1)

    def _patch(self, path: str, query: Mapping[str, str], manifest: Properties) -> Properties:
        try:
            return self._client.request("PATCH", path, query, manifest, content_type=_APPLY)
        except ApiError as error:
            raise conflict_explained(error) from error


def conflict_explained(error: ApiError) -> OperationError:
    """A conflict of field managers with the fields and their managers as lines of their own; others unchanged."""
    fields = [f"{text(cause, 'field')}: {text(cause, 'message')}" for cause in error.causes]
    if error.reason == "Conflict" and fields:
        error.details = tuple(fields)
    return error


def is_terminating_namespace(error: ApiError) -> bool:
    """Whether the server refused because the namespace is being deleted."""
    return any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes)


def is_missing_namespace(error: ApiError) -> bool:
    """Whether the server refused because the namespace doesn't exist."""
    return error.code == 404 and "namespaces" in error.api_message


def manages(live: Properties, manager: str) -> bool:
    """Whether a field manager has applied an object before."""
    entries = mappings(live, "metadata", "managedFields")
    return any(entry.get("manager") == manager and entry.get("operation") == "Apply" for entry in entries)


def already_exists(kind: Kind, live: Properties) -> OperationError:
    """The refusal to take over an object that this resource didn't make."""
    managers = {text(entry, "manager") for entry in mappings(live, "metadata", "managedFields")}
    told = f" (managed by {', '.join(sorted(managers))})" if managers else ""
    return OperationError(
        f"{kind.name} {id_of(live)} already exists{told}",
        "give it another name, import it (`pulumi import`), set some of its fields with a Patch resource, or set "
        "`upsert_existing_objects` on the Provider",
    )


def with_live_values(manifest: Properties, live: Properties, paths: Sequence[str]) -> Properties:
    """The manifest with the live values of fields that the program leaves to others (`ignore_changes`)."""
    for path in map(parse_path, paths):
        value = value_at(live, path)
        if path and value is not None and mapping(manifest):
            manifest = with_value(manifest, path, value)
    return manifest
