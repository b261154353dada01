"""`kubernetes:helm.sh/v3:Release` in a rehearsal: rendered where the chart is at hand, else accepted and told.

No repository or registry is ever asked. The rules are those of Helm 3 and of pulumi-kubernetes
(provider/pkg/provider/helm_release.go).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, NoReturn, cast

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.objects import mappings, text
from gpu_clusters.rehearsal.providers.diffing import differences
from gpu_clusters.rehearsal.providers.interface import (
    Checked,
    CheckFailure,
    Difference,
    Options,
    Resource,
    ResourceNotReadyError,
    State,
)
from gpu_clusters.rehearsal.providers.kubernetes.charts import (
    DependencyError,
    NoHelmError,
    Rendering,
    kind_in,
    located,
    metadata_of,
    rendered,
)
from gpu_clusters.rehearsal.providers.kubernetes.client import Client
from gpu_clusters.rehearsal.providers.kubernetes.crds import addon_of, asked_for, definitions
from gpu_clusters.rehearsal.providers.kubernetes.installing import SERVED_BY_PODS, Installer
from gpu_clusters.rehearsal.providers.kubernetes.objects import mapping, name_of, namespace_of, short_hash
from gpu_clusters.rehearsal.providers.kubernetes.records import Record, Records
from gpu_clusters.rehearsal.providers.kubernetes.specs import DEFAULT_SECONDS, ReleaseSpec, spec_of
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Value, has_unknown, mark_secrets
from gpu_clusters.rehearsal.world import Journal, Unchecked

# Helm takes 53 characters; the suffix has nine (https://helm.sh/docs/chart_template_guide/getting_started/).
_LONGEST_PREFIX: Final = 44
_REPLACING: Final = (("name",), ("namespace",))


class HelmReleases:
    """The Helm releases of one cluster; implements `ConfiguredProvider` for them.

    Args:
        namespace: where a release goes that names no namespace.
        journal: what couldn't be checked is written down there.
    """

    def __init__(self, client: Client, namespace: str, journal: Journal) -> None:
        self._client = client
        self._namespace = namespace
        self._journal = journal
        self._records = Records(client)

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:
        """Fill in name, namespace and time limit; render, so that a changed chart is a change of the release."""
        prefix = resource.name[:_LONGEST_PREFIX].rstrip("-.")
        name = text(old or {}, "name") or f"{prefix}-{short_hash(resource.urn)}"
        inputs: Properties = {**new, "name": new.get("name") or name}
        inputs["namespace"] = new.get("namespace") or self._namespace
        if new.get("skipAwait") is not True:
            inputs["timeout"] = new.get("timeout") or DEFAULT_SECONDS
        if has_unknown(inputs):
            return Checked(inputs)
        try:
            # Without what the cluster serves, as pulumi-kubernetes does it: that may change with the release itself.
            rendering = self._rendered(spec_of(inputs), lambda spec, chart: rendered(spec, chart))
        except OperationError as error:
            return Checked(inputs, [CheckFailure("chart", f"{error.problem}; {error.remedy}")])
        if rendering is not None:
            inputs["checksum"] = rendering.checksum
            inputs["resourceNames"] = cast(Value, rendering.resource_names)
        return Checked(inputs)

    def diff(self, resource: Resource, state: State, new: Properties) -> Difference:  # noqa: ARG002
        return Difference(differences(state.inputs, new, lambda path: path in _REPLACING))

    def create(self, resource: Resource, inputs: Properties, options: Options) -> State:
        if options.preview:
            return State("", {**inputs, "status": UNKNOWN})
        spec, urn = spec_of(inputs), short_hash(resource.urn)
        before = self._records.latest(spec.namespace, spec.name)
        if before is not None and before.urn != urn:
            raise OperationError(
                f"release {spec.id}: cannot re-use a name that is still in use", "give the release another name"
            )
        return self._deployed(spec, inputs, options, before, urn)

    def update(self, resource: Resource, state: State, new: Properties, options: Options) -> State:
        if options.preview:
            return State(state.id, {**new, "status": UNKNOWN})
        spec = spec_of(new)
        return self._deployed(
            spec, new, options, self._records.latest(spec.namespace, spec.name), short_hash(resource.urn)
        )

    def read(self, resource: Resource, state: State) -> State:  # noqa: ARG002
        namespace, _, name = state.id.rpartition("/")
        record = self._records.latest(namespace or self._namespace, name)
        if record is None:
            return State("", {})
        inputs = state.inputs or {
            "name": record.name,
            "namespace": record.namespace,
            "chart": text(record.chart, "name"),
            "version": text(record.chart, "version"),
            "values": record.values,
        }
        return State(state.id, _outputs(inputs, record), inputs)

    def delete(self, resource: Resource, state: State, options: Options) -> None:  # noqa: ARG002
        namespace, _, name = state.id.rpartition("/")
        record = self._records.latest(namespace, name)
        if record is None:
            return
        spec = spec_of({key: value for key, value in state.outputs.items() if key != "valueYamlFiles"})
        self._uninstall(spec, record, Installer(self._client, spec, options.timeout or spec.seconds))

    def invoke(self, token: str, arguments: Properties) -> Properties:  # noqa: ARG002
        """`kubernetes:helm:template`: the objects of a chart that a program makes itself (`helm.v3.Chart`).

        Raises:
            OperationError: the chart can't be rendered.
        """
        options = cast("Properties", json.loads(text(arguments, "jsonOpts") or "{}"))
        fetch = mapping(options, "fetch_opts")
        spec = spec_of(
            {
                "name": options.get("release_name") or "release",
                "namespace": options.get("namespace") or self._namespace,
                "chart": options.get("path") or options.get("chart") or "",
                "version": options.get("version") or fetch.get("version") or "",
                "repositoryOpts": {"repo": options.get("repo") or fetch.get("repo") or ""},
                "values": options.get("values") or {},
                "skipCrds": options.get("skip_crd_rendering") is True,
            }
        )
        rendering = self._rendered(spec, lambda spec, chart: rendered(spec, chart))
        if rendering is None:
            return {"result": [*self._known_definitions(spec)]}
        return {"result": [*rendering.definitions, *rendering.objects]}

    def cancel(self) -> None:
        self._client.cancel()

    def _rendered(self, spec: ReleaseSpec, render: Callable[[ReleaseSpec, Path], Rendering]) -> Rendering | None:
        """What the chart makes; None if it isn't at hand, which is written down."""
        chart = located(spec)
        if chart is None:
            self._note(spec, f"{spec.described} isn't on this machine")
            return None
        if spec.post_renderer:
            self._note(spec, f"the post-renderer {spec.post_renderer} isn't run in a rehearsal")
        try:
            return render(spec, chart)
        except NoHelmError as error:
            self._note(spec, f"{spec.described} isn't rendered for want of helm: {error.problem}")
            return None
        except DependencyError as error:
            if not spec.fetches_dependencies:
                raise
            self._note(spec, f"{spec.described} needs charts that aren't on this machine: {error.problem}")
            return None

    def _deployed(
        self, spec: ReleaseSpec, inputs: Properties, options: Options, before: Record | None, urn: str
    ) -> State:
        upgrade = before is not None
        rendering = self._rendered(
            spec,
            lambda spec, chart: rendered(spec, chart, api_versions=self._custom_kinds(), is_upgrade=upgrade),
        )
        chart = located(spec) if rendering else None
        named: Properties = {"name": spec.chart.rpartition("/")[2], "version": spec.version}
        installer = Installer(self._client, spec, options.timeout or spec.seconds)
        installer.make_namespace()
        installer.define(rendering.definitions if rendering else self._known_definitions(spec))
        record = Record(
            name=spec.name,
            namespace=spec.namespace,
            revision=before.revision + 1 if before else 1,
            status="failed",
            chart=metadata_of(chart) if chart else named,
            values=spec.values,
            objects=installer.placed(rendering.objects) if rendering else (),
            hooks=installer.placed(rendering.hooks) if rendering else (),
            urn=urn,
        )
        self._note_left_out(spec, rendering)
        try:
            self._install(spec, installer, record, before)
        except OperationError as error:
            self._fail(spec, inputs, installer, record, before, error)
        return self._recorded(inputs, record, "deployed")

    def _install(self, spec: ReleaseSpec, installer: Installer, record: Record, before: Record | None) -> None:
        action = "upgrade" if before else "install"
        hooks = record.hooks if (spec.upgrade_hooks if before else spec.install_hooks) else ()
        installer.run_hooks(hooks, f"pre-{action}")
        installer.make(record.objects)
        if before is not None:
            now = {_identity(item) for item in record.objects}
            installer.remove([item for item in before.objects if _identity(item) not in now])
        installer.run_hooks(hooks, f"post-{action}")

    def _fail(
        self,
        spec: ReleaseSpec,
        inputs: Properties,
        installer: Installer,
        record: Record,
        before: Record | None,
        error: OperationError,
    ) -> NoReturn:
        """A release that failed half-way is there, as in Helm; an atomic one is taken back."""
        if spec.atomic and before is None:
            self._uninstall(spec, record, installer)
            raise error
        state = self._recorded(inputs, record, "failed")
        problem = f"release {spec.id} was installed, but failed: {error.problem}"
        raise ResourceNotReadyError(state, problem, error.remedy, error.details) from error

    def _uninstall(self, spec: ReleaseSpec, record: Record, installer: Installer) -> None:
        hooks = record.hooks if spec.install_hooks else ()
        installer.run_hooks(hooks, "pre-delete")
        installer.remove(record.objects)
        installer.run_hooks(hooks, "post-delete")
        self._records.remove(record)

    def _recorded(self, inputs: Properties, record: Record, status: str) -> State:
        record = replace(record, status=status)
        self._records.write(record)
        return State(f"{record.namespace}/{record.name}", _outputs(inputs, record), inputs)

    def _known_definitions(self, spec: ReleaseSpec) -> list[Properties]:
        """The definitions that a chart would bring which isn't at hand; none where that isn't known."""
        addon = addon_of(spec.chart)
        if addon is None or spec.skip_crds or not asked_for(addon, spec.values):
            return []
        try:
            return definitions(addon)
        except OperationError as error:
            self._note(spec, f"its CustomResourceDefinitions couldn't be had: {error.problem}")
            return []

    def _custom_kinds(self) -> list[str]:
        """What the cluster serves beside what every cluster does, for a chart's `.Capabilities.APIVersions`."""
        found: set[str] = set()
        for item in self._client.items("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {}):
            for version in mappings(item, "spec", "versions"):
                served = f"{text(item, 'spec', 'group')}/{text(version, 'name')}"
                found |= {served, f"{served}/{text(item, 'spec', 'names', 'kind')}"}
        return sorted(found)

    def _note_left_out(self, spec: ReleaseSpec, rendering: Rendering | None) -> None:
        for item in rendering.objects if rendering else ():
            if item.get("kind") in SERVED_BY_PODS:
                what = f"{item.get('kind')} {name_of(item)}"
                self._note(spec, f"{what} is left out: the pods that would serve it run no program in a rehearsal")
        for hook in rendering.hooks if rendering else ():
            if hook.get("kind") in ("Job", "Pod"):
                self._note(spec, f"what the hook {hook.get('kind')} {name_of(hook)} does isn't done, only that it ends")

    def _note(self, spec: ReleaseSpec, reason: str) -> None:
        self._journal.note(Unchecked(resource=f"release {spec.name}", reason=reason))


def _identity(item: Properties) -> tuple[str, str, str, str]:
    kind = kind_in(item)
    return kind.group, kind.name, namespace_of(item), name_of(item)


def _outputs(inputs: Properties, record: Record) -> Properties:
    outputs: Properties = {**inputs, "status": record.as_status}
    if version := text(record.chart, "version"):
        outputs["version"] = version
    return mark_secrets(outputs, inputs)
