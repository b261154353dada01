"""Helm releases in a rehearsal: the real engine, helm and API server, and a chart that the tests write."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import cast

import pulumi
import pulumi_kubernetes as k8s
import pytest
from cluster_api import Api, Json, at
from gpu_clusters.controlplane import Sandbox
from gpu_clusters.errors import OperationError
from gpu_clusters.kube.kubeconfig import Cluster, parse
from gpu_clusters.rehearsal.providers import (
    ConfiguredProvider,
    Options,
    Properties,
    Resource,
    ResourceNotReadyError,
    State,
    serve,
)
from gpu_clusters.rehearsal.providers.kubernetes import SimulatedKubernetes
from gpu_clusters.rehearsal.providers.kubernetes.crds import crds_for
from gpu_clusters.rehearsal.providers.kubernetes.specs import RELEASE
from gpu_clusters.rehearsal.world import Journal, Unchecked
from gpu_clusters.toolchain import Program, ensure
from pulumi import automation as auto

_LABELS: Json = {"app": "web"}
_CONTAINER: Json = {"name": "web", "image": "web:1"}
_TEMPLATES: dict[str, Json] = {
    "deployment": {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "{{ .Release.Name }}-web"},
        "spec": {
            "selector": {"matchLabels": _LABELS},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {"containers": [_CONTAINER], "tolerations": [{"operator": "Exists"}]},
            },
        },
    },
    "service": {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "{{ .Release.Name }}-web"},
        "spec": {"selector": _LABELS, "ports": [{"port": 80}]},
    },
    "settings": {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "{{ .Release.Name }}-settings"},
        "data": {"greeting": "{{ .Values.greeting }}", "namespace": "{{ .Release.Namespace }}"},
    },
    "hook": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "{{ .Release.Name }}-migration",
            "annotations": {"helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-delete-policy": "hook-succeeded"},
        },
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [_CONTAINER]}}},
    },
    "webhook": {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "{{ .Release.Name }}-guard"},
        "webhooks": [],
    },
}
_DEFINITION: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "toys.helm.example"},
    "spec": {
        "group": "helm.example",
        "scope": "Namespaced",
        "names": {"kind": "Toy", "plural": "toys", "singular": "toy", "listKind": "ToyList"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}


_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def write_chart(folder: Path, templates: dict[str, Json], *, values: Json | None = None) -> Path:
    """A chart of JSON templates; JSON is YAML."""
    files: dict[str, Json] = {
        "Chart.yaml": {"apiVersion": "v2", "name": "tiny", "version": "1.2.3", "appVersion": "7"},
        "values.yaml": values or {"greeting": "hello"},
        "crds/toys.yaml": _DEFINITION,
        **{f"templates/{name}.yaml": template for name, template in templates.items()},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return folder


class OneCluster:
    """The clusters of a rehearsal: the shared sandbox, whatever a program asks for, and nobody who watches it."""

    def __init__(self, sandbox: Sandbox, journal: Journal) -> None:
        self._sandbox = sandbox
        self.journal = journal

    def connect(self, wanted: Cluster | None) -> Cluster:
        assert wanted is not None
        return parse(self._sandbox.kubeconfig())

    def changed(self, server: str) -> None:
        assert server

    def hopeless(self, server: str) -> Mapping[str, str]:
        assert server
        return {}


class Rehearsal:
    """A provider on the shared sandbox as a rehearsal would have it, and what it writes down."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.journal = Journal()
        self.provider = SimulatedKubernetes(world=OneCluster(sandbox, self.journal))
        self.releases: ConfiguredProvider = self.provider.configure({"kubeconfig": sandbox.kubeconfig()})

    def check(self, name: str, **inputs: object) -> Properties:
        checked = self.releases.check(_resource(name), None, cast(Properties, {"name": name, **inputs}))
        assert not checked.failures, checked.failures
        return checked.inputs

    def install(self, name: str, **inputs: object) -> State:
        return self.releases.create(_resource(name), self.check(name, **inputs), Options())

    @property
    def unchecked(self) -> list[str]:
        return [f"{entry.resource}: {entry.reason}" for entry in self.journal.unchecked]


@pytest.fixture
def rehearsal(sandbox: Sandbox) -> Rehearsal:
    return Rehearsal(sandbox)


@pytest.fixture(scope="module", autouse=True)
def tidy(api: Api) -> Generator[None]:
    """A node for this module, and no definitions left over for others."""
    before = _definitions(api)
    api.node("helm-node", {"cpu": "8", "memory": "32Gi", "pods": "110"})
    yield
    for name in _definitions(api) - before:
        api.delete(f"{_DEFINITIONS}/{name}")
    api.delete("/api/v1/nodes/helm-node")


@pytest.fixture(scope="module", autouse=True)
def command_line() -> Generator[None]:
    """The pulumi command on PATH."""
    path = ensure([Program.PULUMI])[Program.PULUMI].path
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
        yield


def _resource(name: str) -> Resource:
    return Resource(f"urn:pulumi:dev::helm::{RELEASE}::{name}", RELEASE, name)


def _definitions(api: Api) -> set[str]:
    items = cast("list[dict[str, dict[str, str]]]", api.get(_DEFINITIONS)["items"])
    return {item["metadata"]["name"] for item in items}


def test_a_release_comes_up_stays_changes_and_goes(tmp_path: Path, sandbox: Sandbox, api: Api) -> None:
    chart = write_chart(tmp_path / "chart", _TEMPLATES)
    rehearsal, values = Rehearsal(sandbox), {"greeting": "hello"}
    maps, deployments = "/api/v1/namespaces/tiny/configmaps", "/apis/apps/v1/namespaces/tiny/deployments"

    def program() -> None:
        provider = k8s.Provider("sandbox", kubeconfig=sandbox.kubeconfig())
        release = k8s.helm.v3.Release(
            "app",
            name="app",
            chart=str(chart),
            namespace="tiny",
            create_namespace=True,
            values=values,
            opts=pulumi.ResourceOptions(provider=provider),
        )
        pulumi.export("status", release.status)
        pulumi.export("names", release.resource_names)

    with serve([rehearsal.provider]) as server:
        stack = _stack(tmp_path, program, server.debug_providers)
        first = stack.up()
        assert first.outputs["status"].value == {
            "appVersion": "7",
            "chart": "tiny",
            "name": "app",
            "namespace": "tiny",
            "revision": 1,
            "status": "deployed",
            "version": "1.2.3",
        }
        assert first.outputs["names"].value["Deployment.apps/apps/v1"] == ["app-web"]
        assert at(api.get(f"{maps}/app-settings"), "data") == {"greeting": "hello", "namespace": "tiny"}
        assert at(api.get(f"{deployments}/app-web"), "status", "readyReplicas") == 1
        assert set(stack.up().summary.resource_changes or {}) == {"same"}
        values["greeting"] = "bye"
        (chart / "templates" / "service.yaml").unlink()
        assert {str(key) for key in stack.up().summary.resource_changes or {}} == {"same", "update"}
        assert at(api.get(f"{maps}/app-settings"), "data", "greeting") == "bye"
        assert not api.exists("/api/v1/namespaces/tiny/services/app-web")
        assert set(stack.refresh().summary.resource_changes or {}) == {"same"}
        stack.destroy()
    assert not api.exists(f"{maps}/app-settings")
    assert not api.exists(f"{deployments}/app-web")
    assert api.exists(f"{_DEFINITIONS}/toys.helm.example")
    assert api.exists("/api/v1/namespaces/tiny")
    assert rehearsal.journal.unchecked == [
        Unchecked(
            resource="release app",
            reason="ValidatingWebhookConfiguration app-guard is left out: the pods that would serve it run no program"
            " in a rehearsal",
        ),
        Unchecked(resource="release app", reason="what the hook Job app-migration does isn't done, only that it ends"),
    ]


def test_helm_itself_finds_what_was_installed(tmp_path: Path, sandbox: Sandbox, rehearsal: Rehearsal, api: Api) -> None:
    chart = write_chart(tmp_path / "chart", {"settings": _TEMPLATES["settings"]})
    rehearsal.install("listed", chart=str(chart), namespace="listed", createNamespace=True)
    (tmp_path / "kubeconfig").write_text(sandbox.kubeconfig())
    helm = str(ensure([Program.HELM])[Program.HELM].path)
    command = [helm, "--kubeconfig", str(tmp_path / "kubeconfig"), "--namespace", "listed"]
    listed = json.loads(subprocess.run([*command, "list", "--output=json"], check=True, capture_output=True).stdout)
    assert [(item["name"], item["status"], item["chart"]) for item in listed] == [("listed", "deployed", "tiny-1.2.3")]
    subprocess.run([*command, "uninstall", "listed"], check=True, capture_output=True)
    assert not api.exists("/api/v1/namespaces/listed/configmaps/listed-settings")
    assert rehearsal.releases.read(_resource("listed"), State("listed/listed", {})).id == ""


def test_karpenters_definitions_come_with_its_chart_though_that_is_not_here(rehearsal: Rehearsal, api: Api) -> None:
    pools = "/apis/karpenter.sh/v1/nodepools"
    state = rehearsal.install(
        "karpenter",
        chart="oci://public.ecr.aws/karpenter/karpenter",
        version="1.15.1",
        namespace="karpenter",
        createNamespace=True,
    )
    assert rehearsal.unchecked == [
        "release karpenter: chart oci://public.ecr.aws/karpenter/karpenter 1.15.1 isn't on this machine"
    ]
    assert at(cast(Json, state.outputs), "status", "status") == "deployed"
    status, answer = api.request("POST", pools, _node_pool("good", "200"))
    assert status == 201, answer
    status, answer = api.request("POST", pools, _node_pool("bad", "many"))
    assert status == 422
    assert "spec.weight" in str(answer["message"])
    rehearsal.releases.delete(_resource("karpenter"), state, Options())
    assert api.exists(f"{pools}/good")


def test_custom_resources_whose_definitions_nobody_installed_are_refused(rehearsal: Rehearsal, tmp_path: Path) -> None:
    queue: Json = {"apiVersion": "nobody.example/v1", "kind": "Queue", "metadata": {"name": "q"}, "spec": {}}
    chart = write_chart(tmp_path / "chart", {"queue": queue})
    with pytest.raises(OperationError, match=r"the API server serves no nobody\.example/v1 Queue"):
        rehearsal.install("queues", chart=str(chart), namespace="default")


@pytest.mark.parametrize("chart", ["repository/tiny", "oci://registry.example/tiny"])
def test_a_namespace_that_is_not_there_is_refused_as_helm_does(rehearsal: Rehearsal, chart: str) -> None:
    with pytest.raises(OperationError, match='namespaces "nowhere" not found'):
        rehearsal.install("lost", chart=chart, namespace="nowhere")


def test_a_name_that_is_in_use_is_refused(rehearsal: Rehearsal, tmp_path: Path) -> None:
    chart = write_chart(tmp_path / "chart", {"settings": _TEMPLATES["settings"]})
    rehearsal.install("twice", chart=str(chart), namespace="default")
    other = Resource(f"urn:pulumi:dev::helm::{RELEASE}::other", RELEASE, "other")
    inputs = rehearsal.check("twice", chart=str(chart), namespace="default")
    with pytest.raises(OperationError, match="cannot re-use a name that is still in use"):
        rehearsal.releases.create(other, inputs, Options())


def test_an_object_that_is_another_releases_is_refused(rehearsal: Rehearsal, tmp_path: Path) -> None:
    settings: Json = {**_TEMPLATES["settings"], "metadata": {"name": "shared"}}
    chart = write_chart(tmp_path / "chart", {"settings": settings})
    rehearsal.install("owner", chart=str(chart), namespace="default")
    with pytest.raises(ResourceNotReadyError, match="ConfigMap default/shared exists and isn't this release's"):
        rehearsal.install("intruder", chart=str(chart), namespace="default")


def test_what_isnt_ready_in_time_is_a_failed_release_that_the_next_up_goes_on_with(
    rehearsal: Rehearsal, tmp_path: Path
) -> None:
    chart = write_chart(tmp_path / "chart", {"deployment": _pending_deployment()})
    with pytest.raises(ResourceNotReadyError) as caught:
        rehearsal.install("stuck", chart=str(chart), namespace="default", timeout=1)
    assert (
        "release default/stuck was installed, but failed: Deployment default/stuck-web wasn't" in caught.value.problem
    )
    assert any("node affinity/selector" in line for line in caught.value.details), caught.value.details
    assert at(cast(Json, caught.value.state.outputs), "status", "status") == "failed"
    state = rehearsal.releases.update(
        _resource("stuck"),
        caught.value.state,
        rehearsal.check("stuck", chart=str(chart), namespace="default", skipAwait=True),
        Options(),
    )
    assert at(cast(Json, state.outputs), "status") == {
        "appVersion": "7",
        "chart": "tiny",
        "name": "stuck",
        "namespace": "default",
        "revision": 2,
        "status": "deployed",
        "version": "1.2.3",
    }


def test_an_atomic_release_that_fails_leaves_nothing(rehearsal: Rehearsal, tmp_path: Path, api: Api) -> None:
    chart = write_chart(tmp_path / "chart", {"deployment": _pending_deployment(), "settings": _TEMPLATES["settings"]})
    with pytest.raises(OperationError, match="Deployment default/all-web wasn't ready"):
        rehearsal.install("all", chart=str(chart), namespace="default", timeout=1, atomic=True)
    assert not api.exists("/apis/apps/v1/namespaces/default/deployments/all-web")
    assert not api.exists("/api/v1/namespaces/default/configmaps/all-settings")


def test_every_known_definition_is_accepted_by_the_api_server(rehearsal: Rehearsal) -> None:
    for chart in ("kueue", "lws", "jobset", "keda", "gateway-api", "external-secrets"):
        rehearsal.install(chart, chart=chart, namespace="default")
        assert crds_for(chart)
    assert not [line for line in rehearsal.unchecked if "couldn't be had" in line]


def _pending_deployment() -> Json:
    deployment = json.loads(json.dumps(_TEMPLATES["deployment"]))
    deployment["spec"]["template"]["spec"]["nodeSelector"] = {"no": "such-node"}
    return deployment


def _node_pool(name: str, weight: str) -> Json:
    reference = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "gpu"}
    number = int(weight) // 2 if weight.isdigit() else weight
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {"weight": number, "template": {"spec": {"nodeClassRef": reference, "requirements": []}}},
    }


def _stack(folder: Path, program: Callable[[], None], debug_providers: str) -> auto.Stack:
    (folder / "backend").mkdir()
    variables = {
        "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        "PULUMI_DEBUG_PROVIDERS": debug_providers,
    }
    options = auto.LocalWorkspaceOptions(pulumi_home=str(folder / "home"), env_vars=variables)
    return auto.create_stack("dev", "helm", program=program, opts=options)
