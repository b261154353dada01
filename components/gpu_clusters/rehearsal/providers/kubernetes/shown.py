"""What the engine is shown of Kubernetes objects: differences and outputs."""

from __future__ import annotations

from typing import Final, cast

import yaml

from gpu_clusters.errors import UsageError
from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.providers.diffing import differences
from gpu_clusters.rehearsal.providers.interface import Difference, State
from gpu_clusters.rehearsal.providers.kubernetes import immutable
from gpu_clusters.rehearsal.providers.kubernetes.objects import (
    AUTONAMED,
    Kind,
    annotation,
    from_server,
    mapping,
    name_of,
    namespace_of,
    with_metadata,
)
from gpu_clusters.rehearsal.providers.values import Properties, Secret, Value, mark_secrets, reveal_all

#: Where the state keeps the field manager.
FIELD_MANAGER: Final = "__fieldManager"


def difference(kind: Kind, state: State, new: Properties, namespace: str) -> Difference:
    """Compare checked inputs with those of before.

    Args:
        namespace: what a missing namespace means.
    """
    old = _placed(state.inputs, namespace)
    new = _placed(new, namespace)
    changes = differences(old, new, lambda path: immutable.replaces(kind, old, path))
    replaced = any(change.replaces for change in changes.values())
    revealed, before = reveal_all(new), reveal_all(old)
    same_place = (name_of(revealed), namespace_of(revealed)) == (name_of(before), namespace_of(before))
    autonamed = annotation(revealed, AUTONAMED) == "true"
    return Difference(changes, delete_before_replace=replaced and same_place and not autonamed)


def invoke(token: str, arguments: Properties) -> Properties:
    """The provider functions that need no cluster.

    Raises:
        UsageError: another function, or YAML that can't be read.
    """
    if token != "kubernetes:yaml:decode":  # noqa: S105
        raise UsageError(
            f"the simulated kubernetes provider has no function {token}",
            "declare the objects as resources, or bring the stack up with the real provider",
        )
    arguments = reveal_all(arguments)
    try:
        documents = list(cast("list[Value]", yaml.safe_load_all(text(arguments, "text"))))
    except yaml.YAMLError as error:
        raise UsageError(f"the YAML can't be read: {error}", "correct it") from error
    return {"result": [item for item in documents if item]}


def without_managed_fields(live: Properties) -> Properties:
    """A live object without the record of who manages its fields."""
    return with_metadata(live, managedFields=None)


def recorded_outputs(live: Properties, inputs: Properties, manager: str) -> Properties:
    """What the state keeps of a live object: secret where its inputs are, and with its field manager.

    The manager is kept, as pulumi-kubernetes does, since a renamed resource still owns its fields by the old name.
    """
    shown = cast(Properties, from_server(without_managed_fields(live)))
    shown = mark_secrets(shown, inputs)
    if live.get("kind") == "Secret" and live.get("apiVersion") == "v1" and "data" in shown:
        shown["data"] = hidden(shown["data"])
    return {**shown, FIELD_MANAGER: manager}


def hidden(value: Value) -> Value:
    """The value, marked secret."""
    return value if isinstance(value, Secret) else Secret(value)


def _placed(inputs: Properties, namespace: str) -> Properties:
    metadata = inputs.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("namespace"):
        return inputs
    return {**inputs, "metadata": {**mapping(metadata), "namespace": namespace}}
