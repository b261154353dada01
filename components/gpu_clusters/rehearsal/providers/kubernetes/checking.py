"""What a program's inputs become before they are compared or applied: named, placed, marked secret."""

from __future__ import annotations

import threading
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.providers.interface import Checked, CheckFailure, Resource
from gpu_clusters.rehearsal.providers.kubernetes.client import Client, UnknownKindError
from gpu_clusters.rehearsal.providers.kubernetes.objects import (
    AUTONAMED,
    Kind,
    annotation,
    kind_of,
    mapping,
    name_of,
    short_hash,
    with_metadata,
)
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Secret, reveal_all

# A name may have 253 characters, but a label made from it 63, nine of which are the suffix.
_LONGEST_PREFIX: Final = 54


class Checker:
    """Fills in what pulumi-kubernetes fills in. Safe to use from many threads.

    Args:
        client: None if the cluster is gone.
        namespace: where namespaced objects go that name no namespace.
    """

    def __init__(self, client: Client | None, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._lock = threading.Lock()
        self._old_names: dict[str, str] = {}
        self._scopes: dict[tuple[str, str], bool] = {}

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:
        """The inputs with names and namespace, or what is wrong with them."""
        kind = kind_of(resource.type, reveal_all(new))
        inputs: Properties = {"apiVersion": kind.api_version, "kind": kind.name, **new}
        self._remember_scope(kind, inputs)
        metadata = inputs.get("metadata", {})
        if isinstance(metadata, Secret) or metadata is UNKNOWN:
            return Checked(inputs)
        if mapping(metadata).get("generateName"):
            problem = "server-side apply can't use generateName; leave the name out, and one is made"
            return Checked(inputs, [CheckFailure("metadata.generateName", problem)])
        if not mapping(metadata).get("name"):
            if kind.patch:
                problem = "a Patch resource needs the name of the object whose fields it sets"
                return Checked(inputs, [CheckFailure("metadata.name", problem)])
            inputs = self._named(resource, old, inputs)
        if not mapping(inputs, "metadata").get("namespace") and self._is_namespaced(kind):
            inputs = with_metadata(inputs, namespace=self._namespace)
        return Checked(_with_secret_data(kind, inputs))

    def _named(self, resource: Resource, old: Properties | None, inputs: Properties) -> Properties:
        """Name an object `<logical name>-<suffix>`, the same in every run, so that a create that was cut off is taken
        up again and leaves no second object behind.

        A replacement is checked a second time without its old inputs: there the old name goes into the suffix.
        """
        revealed = reveal_all(old or {})
        with self._lock:
            if annotation(revealed, AUTONAMED) == "true":
                self._old_names[resource.urn] = name_of(revealed)
                name = name_of(revealed)
            else:
                suffix = short_hash(resource.urn, self._old_names.get(resource.urn, ""))
                name = f"{resource.name[:_LONGEST_PREFIX].rstrip('-.')}-{suffix}"
        annotations = mapping(inputs, "metadata").get("annotations") or {}
        if isinstance(annotations, dict):
            annotations = {**annotations, AUTONAMED: "true"}
        return with_metadata(inputs, name=name, annotations=annotations)

    def _remember_scope(self, kind: Kind, inputs: Properties) -> None:
        """Objects of a kind may be checked before the kind itself is made."""
        if kind.group == "apiextensions.k8s.io" and kind.name == "CustomResourceDefinition":
            spec = mapping(reveal_all(inputs), "spec")
            with self._lock:
                self._scopes[text(spec, "group"), text(spec, "names", "kind")] = text(spec, "scope") != "Cluster"

    def _is_namespaced(self, kind: Kind) -> bool:
        with self._lock:
            known = self._scopes.get((kind.group, kind.name))
        if known is not None or self._client is None:
            return known is not False
        try:
            return self._client.endpoint(kind, patience=0).namespaced
        except (UnknownKindError, OperationError):
            # Most are. `create` drops the namespace again if this one isn't, and `diff` takes them for the same.
            return True


def _with_secret_data(kind: Kind, inputs: Properties) -> Properties:
    if kind.group or kind.name != "Secret":
        return inputs
    hidden = {key: Secret(inputs[key]) for key in ("data", "stringData") if inputs.get(key)}
    return {**inputs, **hidden}
