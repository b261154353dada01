"""Helm charts that are on this machine: finding them, and rendering them with `helm template`.

Nothing is ever downloaded: a chart that isn't here isn't rendered, and neither is one whose dependencies aren't.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs
import yaml

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.kubernetes.objects import Kind, annotation, mapping, name_of, namespace_of
from gpu_clusters.rehearsal.providers.kubernetes.records import HOOK
from gpu_clusters.rehearsal.providers.kubernetes.specs import ReleaseSpec
from gpu_clusters.rehearsal.providers.kubernetes.yamls import documents
from gpu_clusters.rehearsal.providers.values import Properties
from gpu_clusters.toolchain import Program, ensure
from gpu_clusters.toolchain.finding import kubernetes_series

_SECONDS: Final = 120
_SOURCE: Final = re.compile(r"^# Source: (\S+)$", re.MULTILINE)
_SEPARATOR: Final = re.compile(r"^---\s*$", re.MULTILINE)
#: What Helm says of a chart in whose folder `charts/` something is missing (helm/helm, pkg/action/install.go).
_MISSING_DEPENDENCY: Final = "missing in charts/ directory"


class NoHelmError(OperationError):
    """`helm` is neither on this machine nor can it be built."""


class DependencyError(OperationError):
    """A chart is here, but charts that it depends on aren't."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """What a chart makes with a release's values.

    Attributes:
        definitions: of its folder `crds/`, which Helm installs once and never changes or deletes.
        objects: in the order in which they are made.
        hooks: objects with the annotation `helm.sh/hook`.
        text: all of it, as Helm printed it.
    """

    definitions: tuple[Properties, ...] = ()
    objects: tuple[Properties, ...] = ()
    hooks: tuple[Properties, ...] = ()
    text: str = ""

    @property
    def checksum(self) -> str:
        """Changes whenever the chart's result does."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def resource_names(self) -> dict[str, list[str]]:
        """`{"Deployment.apps/apps/v1": ["web"]}`, as pulumi-kubernetes groups them."""
        names: dict[str, set[str]] = {}
        for item in (*self.definitions, *self.objects):
            kind = kind_in(item)
            group_kind = f"{kind.name}.{kind.group}" if kind.group else kind.name
            name = "/".join(part for part in (namespace_of(item), name_of(item)) if part)
            names.setdefault(f"{group_kind}/{kind.api_version}", set()).add(name)
        return {key: sorted(found) for key, found in sorted(names.items())}


def kind_in(item: Properties) -> Kind:
    """The kind that a manifest names."""
    group, _, version = str(item.get("apiVersion")).rpartition("/")
    return Kind(group, version, str(item.get("kind")))


def located(spec: ReleaseSpec) -> Path | None:
    """The folder or archive of a release's chart: as a path, else in Helm's own cache; None if it isn't here.

    Raises:
        OperationError: the chart is given as a path, and there is nothing.
    """
    chart = spec.chart.strip()
    if not spec.repository:
        path = Path(chart)
        if path.is_file() or (path / "Chart.yaml").is_file():
            return path.absolute()
        if path.is_absolute() or chart.startswith("."):
            raise OperationError(f"there is no chart at {path.absolute()}", "correct the path in `chart`")
    name, version = chart.rpartition("/")[2], spec.version.strip().removeprefix("v")
    if not version:
        return None
    kept = (_helm_cache() / f"{name}-{prefix}{version}.tgz" for prefix in ("", "v"))
    return next((path for path in kept if path.is_file()), None)


def rendered(
    spec: ReleaseSpec, chart: Path, *, api_versions: Sequence[str] = (), is_upgrade: bool = False
) -> Rendering:
    """Render a chart as Helm would for a cluster of this sandbox's version.

    Args:
        api_versions: what the cluster serves beside what every cluster does, as `group/version` or
            `group/version/Kind`.

    Raises:
        NoHelmError: there is no `helm`.
        DependencyError: charts that it depends on aren't here.
        OperationError: the chart can't be rendered with these values, in Helm's own words.
    """
    arguments = ["template", spec.name, str(chart), "--namespace", spec.namespace, "--values", "-"]
    arguments += ["--kube-version", "{}.{}".format(*kubernetes_series())]
    arguments += [] if spec.skip_crds else ["--include-crds"]
    arguments += ["--is-upgrade"] if is_upgrade else []
    arguments += [part for version in api_versions for part in ("--api-versions", version)]
    text = _helm(arguments, json.dumps(spec.values))
    definitions: list[Properties] = []
    objects: list[Properties] = []
    hooks: list[Properties] = []
    source = ""
    for part in _SEPARATOR.split(text):
        found = _SOURCE.search(part)
        source = found[1] if found else source
        is_definition = "/crds/" in source and "/templates/" not in source
        for item in _read(part, source):
            (definitions if is_definition else hooks if annotation(item, HOOK) else objects).append(item)
    return Rendering(definitions=tuple(definitions), objects=tuple(objects), hooks=tuple(hooks), text=text)


def metadata_of(chart: Path) -> Properties:
    """The chart's own `Chart.yaml`: `name`, `version`, `appVersion`, ...

    Raises:
        OperationError: it can't be read.
    """
    items = _read(_helm(["show", "chart", str(chart)]), "Chart.yaml")
    return mapping(items[0]) if items else {}


def _read(text: str, source: str) -> list[Properties]:
    try:
        return documents(text)
    except yaml.YAMLError as error:
        raise OperationError(
            f"{source} makes YAML that can't be read: {error}", "correct the chart's values"
        ) from error


def _helm(arguments: Sequence[str], values: str = "") -> str:
    """What Helm prints. It gets folders of its own, so that no plugin or setting of the user's changes the result."""
    try:
        program = ensure([Program.HELM])[Program.HELM].path
    except OperationError as error:
        raise NoHelmError(error.problem, error.remedy, error.details) from error
    with tempfile.TemporaryDirectory() as home:
        names = ("HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
        environment = dict.fromkeys(names, home) | {"KUBECONFIG": os.devnull}
        try:
            done = subprocess.run(
                [str(program), *arguments],
                input=values,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                env=environment,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OperationError(f"helm can't be run: {error}", "see `gpu-clusters doctor`") from error
    if done.returncode == 0:
        return done.stdout
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    problem = lines[0].removeprefix("Error: ") if lines else f"helm ended with {done.returncode}"
    if _MISSING_DEPENDENCY in problem:
        raise DependencyError(problem, "put them into the chart (`helm dependency build`)")
    raise OperationError(f"helm can't render the chart: {problem}", "correct the chart or its values", lines[1:])


def _helm_cache() -> Path:
    """Where `helm` keeps archives that it has downloaded (https://helm.sh/docs/helm/helm/)."""
    if folder := os.environ.get("HELM_REPOSITORY_CACHE"):
        return Path(folder)
    return Path(os.environ.get("HELM_CACHE_HOME") or platformdirs.user_cache_path("helm")) / "repository"
