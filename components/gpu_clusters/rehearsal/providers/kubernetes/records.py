"""What is installed, written down in the cluster as Helm 3 itself does, so that `helm list` tells it."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from gpu_clusters.kube.client import ApiError
from gpu_clusters.kube.objects import number, text
from gpu_clusters.rehearsal.providers.kubernetes.client import Client
from gpu_clusters.rehearsal.providers.kubernetes.objects import annotation, mapping, mappings, name_of
from gpu_clusters.rehearsal.providers.kubernetes.yamls import documents
from gpu_clusters.rehearsal.providers.values import Properties, Value

#: Helm's annotations of hooks (https://helm.sh/docs/topics/charts_hooks/).
HOOK: Final = "helm.sh/hook"
_WEIGHT: Final = "helm.sh/hook-weight"
_POLICY: Final = "helm.sh/hook-delete-policy"
_URN: Final = "gpu-clusters.dev/urn"
_TYPE: Final = "helm.sh/release.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One revision of a release.

    Attributes:
        status: Helm's own word: `deployed`, `failed`.
        chart: the chart's metadata.
        objects: in the order in which they were made.
        urn: which resource made it, as a short hash.
    """

    name: str
    namespace: str
    revision: int
    status: str
    chart: Properties
    values: Properties
    objects: tuple[Properties, ...]
    hooks: tuple[Properties, ...]
    urn: str

    @property
    def as_status(self) -> Properties:
        """The output `status` of pulumi-kubernetes."""
        return {
            "appVersion": text(self.chart, "appVersion"),
            "chart": text(self.chart, "name"),
            "name": self.name,
            "namespace": self.namespace,
            "revision": self.revision,
            "status": self.status,
            "version": text(self.chart, "version"),
        }


class Records:
    """The releases of one cluster; of each only the latest revision is kept."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def latest(self, namespace: str, name: str) -> Record | None:
        """A release as it was written last; None if there is none."""
        secrets = self._secrets(namespace, name)
        if not secrets:
            return None
        return _read(max(secrets, key=lambda secret: int(text(secret, "metadata", "labels", "version") or 0)))

    def write(self, record: Record) -> None:
        """Write a revision down; those before it go.

        Raises:
            ApiError: the server refused, e.g. since there is no such namespace.
        """
        name = f"sh.helm.release.v1.{record.name}.v{record.revision}"
        labels = {"owner": "helm", "name": record.name, "status": record.status, "version": str(record.revision)}
        secret: Properties = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": dict(labels), "annotations": {_URN: record.urn}},
            "type": _TYPE,
            "data": {"release": base64.b64encode(_packed(record)).decode()},
        }
        path = _path(record.namespace)
        query = {"fieldManager": "helm", "force": "true"}
        self._client.request("PATCH", f"{path}/{name}", query, secret, content_type="application/apply-patch+yaml")
        self._remove(path, [other for other in self._secrets(record.namespace, record.name) if name_of(other) != name])

    def remove(self, record: Record) -> None:
        """Forget a release. One that is gone already is a success."""
        self._remove(_path(record.namespace), self._secrets(record.namespace, record.name))

    def _secrets(self, namespace: str, name: str) -> list[Properties]:
        found = self._client.items(_path(namespace), {"labelSelector": f"owner=helm,name={name}"})
        return [secret for secret in found if secret.get("type") == _TYPE]

    def _remove(self, path: str, secrets: Sequence[Properties]) -> None:
        for secret in secrets:
            try:
                self._client.request("DELETE", f"{path}/{name_of(secret)}")
            except ApiError as error:
                if error.code != 404:
                    raise


def events(hook: Properties) -> list[str]:
    """When a hook runs: `pre-install`, `post-upgrade`, ..."""
    return [event.strip() for event in annotation(hook, HOOK).split(",")]


def weight(hook: Properties) -> int:
    """Where a hook stands among those of the same event; the smallest runs first."""
    told = annotation(hook, _WEIGHT)
    return int(told) if told.removeprefix("-").isdigit() else 0


def policies(hook: Properties) -> list[str]:
    """When a hook's object is deleted; Helm's default is before it is made anew."""
    told = [policy.strip() for policy in annotation(hook, _POLICY).split(",") if policy.strip()]
    return told or ["before-hook-creation"]


def _path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets"


def _packed(record: Record) -> bytes:
    now = datetime.now(UTC).isoformat()
    document: Properties = {
        "name": record.name,
        "info": {"first_deployed": now, "last_deployed": now, "deleted": "", "status": record.status},
        "chart": {"metadata": record.chart, "lock": None, "templates": [], "values": {}, "schema": None, "files": []},
        "config": record.values,
        "manifest": "".join(f"---\n{json.dumps(item)}\n" for item in record.objects),
        "hooks": [_packed_hook(hook) for hook in record.hooks],
        "version": record.revision,
        "namespace": record.namespace,
    }
    return base64.b64encode(gzip.compress(json.dumps(document).encode()))


def _packed_hook(hook: Properties) -> Properties:
    lists: dict[str, list[Value]] = {"events": [*events(hook)], "delete_policies": [*policies(hook)]}
    named: Properties = {"name": name_of(hook), "kind": hook.get("kind"), "path": "", "weight": weight(hook)}
    return {**named, "manifest": json.dumps(hook), **lists}


def _read(secret: Properties) -> Record | None:
    try:
        packed = base64.b64decode(base64.b64decode(text(secret, "data", "release")))
        document = cast("Properties", json.loads(gzip.decompress(packed)))
    except (binascii.Error, OSError, EOFError, ValueError):
        # Not written by us, or damaged: as good as none.
        return None
    hooks = [item for hook in mappings(document, "hooks") for item in documents(text(hook, "manifest"))]
    return Record(
        name=text(document, "name"),
        namespace=text(document, "namespace"),
        revision=number(document, "version") or 1,
        status=text(document, "info", "status"),
        chart=mapping(document, "chart", "metadata"),
        values=mapping(document, "config"),
        objects=tuple(documents(text(document, "manifest"))),
        hooks=tuple(hooks),
        urn=annotation(secret, _URN),
    )
