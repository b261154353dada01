"""Helm releases: what needs no cluster. `helm` is a script here, save where it is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from fake_programs import Machine, script
from gpu_clusters.errors import OperationError, UsageError
from gpu_clusters.rehearsal.providers import (
    UNKNOWN,
    Change,
    Properties,
    PropertyChange,
    Resource,
    Secret,
    State,
    Tagged,
)
from gpu_clusters.rehearsal.providers.kubernetes.charts import DependencyError, NoHelmError, located, rendered
from gpu_clusters.rehearsal.providers.kubernetes.client import Client
from gpu_clusters.rehearsal.providers.kubernetes.helm import HelmReleases
from gpu_clusters.rehearsal.providers.kubernetes.objects import kind_of
from gpu_clusters.rehearsal.providers.kubernetes.records import policies, weight
from gpu_clusters.rehearsal.providers.kubernetes.specs import RELEASE, ReleaseSpec, merged, spec_of
from gpu_clusters.rehearsal.world import Journal, Unchecked

_RESOURCE = Resource(f"urn:pulumi:dev::p::{RELEASE}::app", RELEASE, "app")
_RENDERED = """---
# Source: tiny/crds/a.yaml
kind: CustomResourceDefinition
apiVersion: apiextensions.k8s.io/v1
metadata: {name: a}
---
kind: CustomResourceDefinition
apiVersion: apiextensions.k8s.io/v1
metadata: {name: b}
---
# Source: tiny/templates/crds/c.yaml
kind: CustomResourceDefinition
apiVersion: apiextensions.k8s.io/v1
metadata: {name: c}
---
# Source: tiny/templates/web.yaml
kind: Deployment
apiVersion: apps/v1
metadata: {name: web, namespace: there}
---
# Source: tiny/templates/empty.yaml
---
# Source: tiny/templates/hook.yaml
kind: Job
apiVersion: batch/v1
metadata: {name: h, annotations: {helm.sh/hook: pre-install}}
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path, monkeypatch)
    for name in ("HELM_CACHE_HOME", "HELM_REPOSITORY_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "Chart.yaml").write_text("name: tiny")
    return tmp_path / "tiny"


def _install_helm(machine: Machine, says: str = _RENDERED, *, fails: bool = False) -> None:
    (machine.records / "answer").write_text(says)
    script(
        machine.bin / "helm",
        'if [ "$1" = version ]; then echo v3.22.0; exit 0; fi\n'
        f'echo "$*" > {machine.records}/asked; /bin/cat > {machine.records}/values\n'
        f"/bin/cat {machine.records}/answer {'>&2; exit 1' if fails else ''}",
    )


def _spec(**inputs: object) -> ReleaseSpec:
    return spec_of(cast(Properties, {"name": "app", "namespace": "ns", "chart": "tiny", **inputs}))


def _releases(journal: Journal) -> HelmReleases:
    return HelmReleases(cast(Client, None), "default", journal)


def test_what_helm_prints_is_told_apart(machine: Machine, chart: Path) -> None:
    _install_helm(machine)
    rendering = rendered(_spec(values={"a": None, "b": 1}), chart, api_versions=["g/v1"], is_upgrade=True)
    names = [[item["metadata"] for item in items] for items in (rendering.definitions, rendering.objects)]
    assert names == [[{"name": "a"}, {"name": "b"}], [{"name": "c"}, {"name": "web", "namespace": "there"}]]
    assert [item["kind"] for item in rendering.hooks] == ["Job"]
    assert rendering.resource_names == {
        "CustomResourceDefinition.apiextensions.k8s.io/apiextensions.k8s.io/v1": ["a", "b", "c"],
        "Deployment.apps/apps/v1": ["there/web"],
    }
    assert (machine.records / "asked").read_text().split() == [
        *("template", "app", str(chart), "--namespace", "ns", "--values", "-", "--kube-version", "1.36"),
        *("--include-crds", "--is-upgrade", "--api-versions", "g/v1"),
    ]
    assert json.loads((machine.records / "values").read_text()) == {"b": 1}


@pytest.mark.parametrize(
    ("said", "error", "problem"),
    [
        ("Error: values don't meet the schema\nmore", OperationError, "helm can't render the chart: values don't meet"),
        (
            "Error: found in Chart.yaml, but missing in charts/ directory: x",
            DependencyError,
            "found in Chart.yaml, but",
        ),
        ("", OperationError, "helm can't render the chart: helm ended with 1"),
    ],
)
def test_what_helm_refuses_is_said_in_its_words(
    machine: Machine, chart: Path, said: str, error: type[OperationError], problem: str
) -> None:
    _install_helm(machine, said, fails=True)
    with pytest.raises(error) as caught:
        rendered(_spec(), chart)
    assert type(caught.value) is error
    assert caught.value.problem.startswith(problem)


def test_yaml_that_cannot_be_read_is_an_error_with_its_template(machine: Machine, chart: Path) -> None:
    _install_helm(machine, "---\n# Source: tiny/templates/web.yaml\na: [\n")
    with pytest.raises(OperationError, match=r"tiny/templates/web\.yaml makes YAML that can't be read"):
        rendered(_spec(), chart)


def test_without_helm_it_says_so(machine: Machine, chart: Path) -> None:
    script(machine.bin / "go", "echo 'go version go1.26.0 linux/amd64'; [ $1 = version ] || exit 1")
    with pytest.raises(NoHelmError, match=r"helm 3\.22\.0 couldn't be built"):
        rendered(_spec(), chart)


@pytest.mark.usefixtures("machine")
def test_a_chart_is_found_as_a_path_or_in_helms_cache(
    chart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "own.tgz"
    cached = tmp_path / "home" / ".cache" / "helm" / "repository" / "keda-2.21.0.tgz"
    prefixed = tmp_path / "elsewhere" / "cert-manager-v1.21.2.tgz"
    for path in (archive, cached, prefixed):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / ".cache"))
    assert located(_spec(chart="tiny")) == chart
    assert located(_spec(chart="./tiny")) == chart
    assert located(_spec(chart=str(archive))) == archive
    assert located(_spec(chart="kedacore/keda", version="2.21.0")) == cached
    assert located(_spec(chart="keda", version="2.21.0", repositoryOpts={"repo": "https://kedacore.example"})) == cached
    assert located(_spec(chart="keda", version="2.20.0")) is None
    assert located(_spec(chart="keda")) is None
    assert located(_spec(chart="tiny", repositoryOpts={"repo": "https://charts.example"})) is None
    monkeypatch.setenv("HELM_REPOSITORY_CACHE", str(prefixed.parent))
    assert located(_spec(chart="cert-manager", version="1.21.2")) == prefixed


@pytest.mark.parametrize("path", ["./nowhere", "/nowhere", "../nowhere"])
def test_a_path_where_nothing_is_is_an_error(path: str) -> None:
    with pytest.raises(OperationError, match="there is no chart at /"):
        located(_spec(chart=path))


def test_values_are_merged_as_pulumi_does(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: {x: 1, y: [1]}\nb: 1")
    files = [Tagged("asset", {"path": str(tmp_path / "a.yaml")}), Tagged("asset", {"text": "b: 2"})]
    own = {"a": {"y": [2, None], "z": None}, "c": Secret("s")}
    assert _spec(valueYamlFiles=files, values=own).values == {"a": {"x": 1, "y": [2]}, "b": 2, "c": "s"}
    assert _spec(values=own, allowNullValues=True).values == {"a": {"y": [2, None], "z": None}, "c": "s"}
    assert merged({"a": {"b": 1}}, {"a": 2}) == {"a": 2}


@pytest.mark.parametrize("fields", [{"path": "/nowhere"}, {"text": "a: ["}, {"uri": "https://example.com/values.yaml"}])
def test_a_file_of_values_that_cannot_be_read_is_an_error(fields: Properties) -> None:
    with pytest.raises(OperationError, match="values"):
        _spec(valueYamlFiles=[Tagged("asset", fields)])


@pytest.mark.usefixtures("machine")
def test_a_chart_that_is_not_here_is_accepted_and_told() -> None:
    journal = Journal()
    inputs: Properties = {"chart": "oci://registry.example/app", "version": "1.0.0"}
    checked = _releases(journal).check(_RESOURCE, None, inputs)
    name = checked.inputs["name"]
    assert not checked.failures
    assert checked.inputs == {**inputs, "name": name, "namespace": "default", "timeout": 300}
    assert journal.unchecked == [
        Unchecked(resource=f"release {name}", reason="chart oci://registry.example/app 1.0.0 isn't on this machine")
    ]


def test_a_name_is_the_same_in_every_run_and_the_old_one_is_kept() -> None:
    releases, inputs = _releases(Journal()), cast(Properties, {"chart": UNKNOWN})
    first = releases.check(_RESOURCE, None, inputs).inputs["name"]
    assert first == releases.check(_RESOURCE, None, inputs).inputs["name"]
    assert str(first).startswith("app-")
    assert releases.check(_RESOURCE, {"name": "old"}, inputs).inputs["name"] == "old"
    long = Resource(_RESOURCE.urn, RELEASE, "n" * 100)
    assert len(str(releases.check(long, None, inputs).inputs["name"])) == 53


def test_a_changed_chart_is_a_change_of_the_release(machine: Machine, chart: Path) -> None:
    releases, inputs = _releases(Journal()), cast(Properties, {"chart": str(chart), "name": "app"})
    _install_helm(machine)
    before = releases.check(_RESOURCE, None, inputs).inputs
    again = releases.check(_RESOURCE, before, inputs).inputs
    assert releases.diff(_RESOURCE, State("", {}, before), again).changes == {}
    _install_helm(machine, _RENDERED.replace("name: web", "name: other"))
    after = releases.check(_RESOURCE, before, inputs).inputs
    assert set(releases.diff(_RESOURCE, State("", {}, before), after).changes) == {
        "checksum",
        'resourceNames["Deployment.apps/apps/v1"][0]',
    }


def test_name_and_namespace_replace_a_release_and_values_do_not() -> None:
    old: Properties = {"name": "a", "namespace": "n", "values": {"name": 1}}
    new: Properties = {"name": "b", "namespace": "m", "values": {"name": 2}}
    assert _releases(Journal()).diff(_RESOURCE, State("", {}, old), new).changes == {
        "name": PropertyChange(Change.UPDATE, replaces=True),
        "namespace": PropertyChange(Change.UPDATE, replaces=True),
        "values.name": PropertyChange(Change.UPDATE),
    }


def test_a_chart_that_cannot_be_rendered_is_refused_at_its_input(machine: Machine, chart: Path) -> None:
    _install_helm(machine, "Error: it broke", fails=True)
    checked = _releases(Journal()).check(_RESOURCE, None, {"chart": str(chart)})
    assert [(failure.property, failure.reason) for failure in checked.failures] == [
        ("chart", "helm can't render the chart: it broke; correct the chart or its values")
    ]


def test_dependencies_are_not_downloaded_but_told(machine: Machine, chart: Path) -> None:
    said = "found in Chart.yaml, but missing in charts/ directory: x"
    _install_helm(machine, f"Error: {said}", fails=True)
    journal = Journal()
    inputs: Properties = {"chart": str(chart), "name": "app", "dependencyUpdate": True}
    assert not _releases(journal).check(_RESOURCE, None, inputs).failures
    (entry,) = journal.unchecked
    assert entry.reason == f"chart {chart} needs charts that aren't on this machine: {said}"
    assert _releases(journal).check(_RESOURCE, None, {**inputs, "dependencyUpdate": False}).failures


def test_a_post_renderer_is_told_and_never_run(machine: Machine, chart: Path, tmp_path: Path) -> None:
    _install_helm(machine)
    journal = Journal()
    post = script(tmp_path / "post", f"touch {tmp_path}/ran")
    inputs: Properties = {"chart": str(chart), "name": "app", "postrender": str(post)}
    _releases(journal).check(_RESOURCE, None, inputs)
    assert journal.unchecked == [
        Unchecked(resource="release app", reason=f"the post-renderer {post} isn't run in a rehearsal")
    ]
    assert not (tmp_path / "ran").exists()


def test_a_programs_own_rendering_gets_the_objects(machine: Machine, chart: Path) -> None:
    _install_helm(machine)
    options = {"path": str(chart), "release_name": "app", "namespace": "ns", "values": {"a": 1}}
    result = _releases(Journal()).invoke("kubernetes:helm:template", {"jsonOpts": json.dumps(options)})["result"]
    assert [item["kind"] for item in cast("list[dict[str, str]]", result)] == [
        *["CustomResourceDefinition"] * 3,
        "Deployment",
    ]


@pytest.mark.parametrize(("told", "weighs"), [("5", 5), ("-3", -3), ("", 0), ("heavy", 0)])
def test_a_hooks_weight(told: str, weighs: int) -> None:
    assert weight({"metadata": {"annotations": {"helm.sh/hook-weight": told}}}) == weighs


def test_a_hooks_object_is_deleted_before_it_is_made_anew_unless_it_says_otherwise() -> None:
    assert policies({}) == ["before-hook-creation"]
    told: Properties = {"metadata": {"annotations": {"helm.sh/hook-delete-policy": "hook-succeeded, hook-failed"}}}
    assert policies(told) == ["hook-succeeded", "hook-failed"]


def test_outside_a_rehearsal_a_release_is_refused_with_a_way_out() -> None:
    with pytest.raises(UsageError, match=r"has no kubernetes:helm\.sh/v3:Release; use the objects that it renders"):
        kind_of(RELEASE, {})
