"""What a `kubernetes:helm.sh/v3:Release` asks for, read from its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import yaml

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.objects import number, text
from gpu_clusters.rehearsal.providers.kubernetes.objects import mapping
from gpu_clusters.rehearsal.providers.kubernetes.yamls import documents
from gpu_clusters.rehearsal.providers.values import Properties, Tagged, Value, reveal_all

RELEASE: Final = "kubernetes:helm.sh/v3:Release"
#: pulumi-kubernetes's own limit for a release, in seconds (its provider/pkg/provider/helm_release.go).
DEFAULT_SECONDS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSpec:
    """A release, its values merged.

    Attributes:
        repository: a URL, or the name of a repository that the user has added; empty for a path or `oci://`.
        seconds: how long may be waited for its objects.
        awaited: whether its objects are waited for.
        hooks: whether its hooks run when it is installed, and when it is upgraded: Pulumi has a setting for each.
    """

    name: str
    namespace: str
    chart: str
    version: str
    repository: str
    values: Properties
    seconds: float
    awaited: bool
    awaits_jobs: bool
    atomic: bool
    create_namespace: bool
    skip_crds: bool
    install_hooks: bool
    upgrade_hooks: bool
    fetches_dependencies: bool
    post_renderer: str

    @property
    def id(self) -> str:
        """As the engine knows it: `namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def described(self) -> str:
        """`chart keda 2.21.0`."""
        return f"chart {self.chart} {self.version}".rstrip()


def spec_of(inputs: Properties) -> ReleaseSpec:
    """Read checked inputs, all of them known.

    Raises:
        OperationError: a file of values can't be read.
    """
    given = reveal_all(inputs)
    atomic = given.get("atomic") is True
    awaited = atomic or given.get("skipAwait") is not True
    return ReleaseSpec(
        name=text(given, "name"),
        namespace=text(given, "namespace"),
        chart=text(given, "chart"),
        version=text(given, "version"),
        repository=text(given, "repositoryOpts", "repo"),
        values=_values(given),
        seconds=number(given, "timeout") or DEFAULT_SECONDS,
        awaited=awaited,
        awaits_jobs=awaited and given.get("waitForJobs") is True,
        atomic=atomic,
        create_namespace=given.get("createNamespace") is True,
        skip_crds=given.get("skipCrds") is True,
        install_hooks=given.get("disableWebhooks") is not True,
        upgrade_hooks=given.get("disableCRDHooks") is not True,
        fetches_dependencies=given.get("dependencyUpdate") is True,
        post_renderer=text(given, "postrender"),
    )


def merged(base: Properties, over: Properties) -> Properties:
    """Two trees of values; where both say something, the second holds."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _values(given: Properties) -> Properties:
    values: Properties = {}
    files = given.get("valueYamlFiles")
    for file in files if isinstance(files, list) else []:
        values = merged(values, _read(file))
    own = mapping(given, "values")
    return merged(values, own if given.get("allowNullValues") is True else _without_nulls(own))


def _read(file: Value) -> Properties:
    fields = file.fields if isinstance(file, Tagged) else {}
    path = text(fields, "path")
    if text(fields, "uri"):
        raise OperationError(
            f"values of {text(fields, 'uri')} aren't fetched in a rehearsal", "keep the file in the project"
        )
    try:
        items = documents(Path(path).read_text("utf-8") if path else text(fields, "text"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OperationError(f"values can't be read from {path or 'an asset'}: {error}", "correct the file") from error
    return items[0] if items else {}


def _without_nulls(values: Properties) -> Properties:
    return cast("Properties", _denulled(values))


def _denulled(value: Value) -> Value:
    if isinstance(value, dict):
        return {key: _denulled(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_denulled(item) for item in value if item is not None]
    return value
