"""Kubernetes objects as property values, and what the annotations on them ask for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, cast

from gpu_clusters.errors import UsageError
from gpu_clusters.kube import objects
from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.providers.values import Properties, Value, reveal

_PREFIX: Final = "pulumi.com/"
#: The annotations that pulumi-kubernetes documents.
AUTONAMED: Final = _PREFIX + "autonamed"
SKIP_AWAIT: Final = _PREFIX + "skipAwait"
TIMEOUT_SECONDS: Final = _PREFIX + "timeoutSeconds"
PATCH_FORCE: Final = _PREFIX + "patchForce"
PATCH_FIELD_MANAGER: Final = _PREFIX + "patchFieldManager"
DELETION_PROPAGATION: Final = _PREFIX + "deletionPropagationPolicy"

_SERVER_METADATA: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)


@dataclass(frozen=True)
class Kind:
    """A group, version and kind.

    Attributes:
        patch: the resource sets some fields of an object that somebody else made (`DeploymentPatch`).
    """

    group: str
    version: str
    name: str
    patch: bool = False

    @property
    def api_version(self) -> str:
        """As manifests write it: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.api_version} {self.name}"


def kind_of(token: str, inputs: Properties) -> Kind:
    """The kind that a type token stands for: `kubernetes:core/v1:Pod`, `kubernetes:apps/v1:DeploymentPatch`.

    Raises:
        UsageError: it isn't a resource that this provider simulates.
    """
    _, module, name = token.split(":", 2)
    group, _, version = module.partition("/")
    if group in {"helm.sh", "kustomize", "yaml"} or not version:
        raise UsageError(
            f"the simulated kubernetes provider has no {token}",
            "use the objects that it renders, or bring the stack up with the real provider",
        )
    written = text(inputs, "kind")
    patch = name.endswith("Patch") and written != name
    name = name.removesuffix("Patch") if patch else name
    if name.endswith("List") and isinstance(inputs.get("items"), list):
        raise UsageError(
            f"the simulated kubernetes provider doesn't make {name} objects",
            "make each of its items a resource of its own",
        )
    return Kind("" if group == "core" else group, version, name, patch)


def mapping(value: Value, *path: str) -> Properties:
    """The object at a path, empty if there is none."""
    return cast("Properties", objects.mapping(value, *path))


def mappings(value: Value, *path: str) -> list[Properties]:
    """The objects in the list at a path."""
    return cast("list[Properties]", objects.mappings(value, *path))


def name_of(obj: Properties) -> str:
    """`metadata.name`."""
    return text(obj, "metadata", "name")


def namespace_of(obj: Properties) -> str:
    """`metadata.namespace`, empty for a cluster-scoped object."""
    return text(obj, "metadata", "namespace")


def id_of(obj: Properties) -> str:
    """`namespace/name` or `name`, as pulumi-kubernetes has it."""
    return "/".join(part for part in (namespace_of(obj), name_of(obj)) if part)


def annotation(obj: Properties, key: str) -> str:
    """The value of an annotation, empty if there is none."""
    return text(obj, "metadata", "annotations", key)


def condition(obj: Properties, name: str) -> Properties:
    """The entry of `status.conditions` with a type, empty if there is none."""
    return cast("Properties", objects.condition(obj, name))


def with_metadata(obj: Properties, **fields: Value) -> Properties:
    """A copy with some fields of its metadata set, or dropped where the value is None."""
    metadata = {**mapping(obj, "metadata"), **fields}
    return {**obj, "metadata": {key: item for key, item in metadata.items() if item is not None}}


def without_server_fields(obj: Properties) -> Properties:
    """A live object as a program could have written it."""
    metadata = {key: item for key, item in mapping(obj, "metadata").items() if key not in _SERVER_METADATA}
    return {**{key: item for key, item in obj.items() if key != "status"}, "metadata": metadata}


def to_server(value: Value) -> Value:
    """Take secret marks off and give fields the names that the API server knows (`x-kubernetes-list-type`)."""
    return _renamed(reveal(value), "x_kubernetes_", "x-kubernetes-")


def from_server(value: Value) -> Value:
    """Give fields the names that the SDKs know (`x_kubernetes_list_type`)."""
    return _renamed(value, "x-kubernetes-", "x_kubernetes_")


def short_hash(*parts: str) -> str:
    """Eight hexadecimal digits that are the same whenever the parts are."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]


def _renamed(value: Value, old: str, new: str) -> Value:
    if isinstance(value, list):
        return [_renamed(item, old, new) for item in value]
    if not isinstance(value, dict):
        return value
    return {_renamed_key(key, old, new): _renamed(item, old, new) for key, item in value.items()}


def _renamed_key(key: str, old: str, new: str) -> str:
    if not key.startswith(old):
        return key
    name = key.removeprefix(old)
    return new + (name.replace("_", "-") if new.endswith("-") else name.replace("-", "_"))
