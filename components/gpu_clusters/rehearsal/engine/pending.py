"""Operations that an engine had begun when it was killed.

The engine keeps those that create something in the stack's state, since it can't know whether the thing was made, and
only ever asks a person about them. What a Kubernetes object is called is known beforehand, so they can be settled
without one: each is entered into the state as if it had been made, and a refresh drops those that were not. That way
an object whose creation was cut short is neither made twice nor forgotten, even if the program no longer wants it.
"""

from __future__ import annotations

from collections.abc import Mapping

from gpu_clusters.rehearsal.engine.project import as_mapping, as_mappings

_KUBERNETES = "kubernetes:"


def settled(deployment: Mapping[str, object]) -> dict[str, object]:
    """An exported deployment without pending operations; refresh the stack once it has been imported."""
    resources = as_mappings(deployment.get("resources"))
    known = {resource.get("urn") for resource in resources}
    for operation in as_mappings(deployment.get("pending_operations")):
        resource = as_mapping(operation.get("resource"))
        identity = _identity(resource)
        # A new object in the place of an old one has its URN: the next run makes it again, under the same name.
        if operation.get("type") != "creating" or identity is None or resource.get("urn") in known:
            continue
        known.add(resource.get("urn"))
        resources.append({**resource, "id": identity, "outputs": resource.get("inputs")})
    return {**deployment, "resources": resources, "pending_operations": []}


def _identity(resource: Mapping[str, object]) -> str | None:
    """`namespace/name` or `name`, as pulumi-kubernetes identifies objects; None if it isn't one or has no name yet."""
    if not str(resource.get("type", "")).startswith(_KUBERNETES):
        return None
    metadata = as_mapping(as_mapping(resource.get("inputs")).get("metadata"))
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not isinstance(name, str):
        return None
    return f"{namespace}/{name}" if isinstance(namespace, str) else name
