"""The project's own stack, by the real engine on a real API server: what the server then says."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import cast

import pytest
from cluster_api import Api, Json, at, until
from engine_project import Project
from gpu_clusters.controlplane import Sandbox

ROOT = Path(__file__).parents[2]
IMAGE = "docker.io/vllm/vllm-openai:v0.33.0"
GPU_POD: Json = {
    "nodeSelector": {"gpu-clusters.dev/gpu": "l4"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
}


def items(answer: Json) -> list[Json]:
    return cast("list[Json]", answer["items"])


def name_of(item: Json) -> str:
    return str(at(item, "metadata")["name"])


@pytest.fixture(scope="module")
def project(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Generator[Project]:
    """This project's files with its stack, pointed at the tests' sandbox, and brought up."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(ROOT / name, folder)
    (folder / "stacks").mkdir()
    text = (ROOT / "stacks" / "Pulumi.sandbox.yaml").read_text()
    text = text.replace("    platform: sandbox\n", f"    platform: sandbox\n    sandbox: {sandbox.name}\n")
    (folder / "stacks" / "Pulumi.sandbox.yaml").write_text(text)
    made = Project(folder, "gpu-clusters", sandbox.name)
    made.run("up", "--stack", "sandbox")
    yield made
    made.run("destroy", "--stack", "sandbox", "--remove")


def edited(project: Project, old: str, new: str) -> None:
    path = project.folder / "stacks" / "Pulumi.sandbox.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refusal(api: Api, namespace: str, spec: Json) -> str:
    """What the API server says to a pod of these specifications."""
    resources: Json = {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    container = {"name": "c", "image": IMAGE, "resources": resources, "securityContext": _RESTRICTED} | at(spec, "c")
    pod_spec = {"containers": [container], "securityContext": _POD_RESTRICTED} | {
        key: value for key, value in spec.items() if key != "c"
    }
    pod = {"metadata": {"name": "attempt"}, "spec": pod_spec}
    status, answer = api.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    return "" if status == 201 else str(answer["message"])


_RESTRICTED: Json = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_POD_RESTRICTED: Json = {"runAsNonRoot": True, "runAsUser": 2000, "seccompProfile": {"type": "RuntimeDefault"}}


def test_pools_become_ready_nodes_with_gpus_labels_and_taints(project: Project, api: Api) -> None:
    assert project.name
    nodes = {name_of(node): node for node in items(api.get("/api/v1/nodes")) if name_of(node).startswith("sandbox-")}
    assert sorted(nodes) == [
        "sandbox-large-0",
        *(f"sandbox-serve-{number}" for number in range(4)),
        *(f"sandbox-system-{number}" for number in range(2)),
    ]
    large = nodes["sandbox-large-0"]
    assert at(large, "status", "allocatable")["nvidia.com/gpu"] == "8"
    assert at(large, "metadata", "labels")["gpu-clusters.dev/gpu"] == "h100"
    assert at(large, "spec")["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    assert "taints" not in at(nodes["sandbox-system-0"], "spec")


def test_services_run_on_the_gpus_they_name(project: Project, api: Api) -> None:
    assert project.name
    placed = {
        (str(at(pod, "metadata", "labels")["gpu-clusters.dev/service"]), str(at(pod, "spec")["nodeName"]).split("-")[1])
        for namespace in ("search", "support")
        for pod in items(api.get(f"/api/v1/namespaces/{namespace}/pods"))
    }
    assert placed == {("llama-8b", "serve"), ("llama-70b", "large"), ("mistral-7b", "serve")}
    for service in ("llama-8b", "llama-70b"):
        slices = api.get(
            f"/apis/discovery.k8s.io/v1/namespaces/search/endpointslices?labelSelector=kubernetes.io/service-name={service}"
        )
        endpoints = [e for s in items(slices) for e in cast("list[Json]", s["endpoints"])]
        assert endpoints
        assert all(at(endpoint, "conditions")["ready"] for endpoint in endpoints)


def test_a_second_up_changes_nothing_and_leaves_the_files_as_they_are(project: Project) -> None:
    before = project.files()
    again = project.run("up", "--stack", "sandbox", "--json").json()
    assert at(again, "changes") == {"create": 0, "update": 0, "replace": 0, "delete": 0, "same": 58}
    assert project.files() == before
    refreshed = project.run("refresh", "--stack", "sandbox", "--json").json()
    assert at(refreshed, "changes") | {"same": 0} == {"create": 0, "update": 0, "replace": 0, "delete": 0, "same": 0}


@pytest.mark.parametrize(
    ("namespace", "spec", "words"),
    [
        ("support", {}, ""),
        (
            "support",
            GPU_POD | {"c": {"resources": {"limits": {"nvidia.com/gpu": "1", "memory": "1Gi"}}}},
            "exceeded quota",
        ),
        ("search", GPU_POD | {"c": {"resources": {"limits": {"nvidia.com/gpu": "1", "memory": "1Gi"}}}}, ""),
        ("search", {"c": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}}, "must tolerate the taint of GPU nodes"),
        ("support", {"c": {"securityContext": {"privileged": True}}}, 'violates PodSecurity "restricted:v1.36"'),
        ("support", {"hostNetwork": True}, "host namespaces"),
        ("support", {"c": {"args": ["--trust-remote-code"]}}, "runs whatever code the model's repository holds"),
    ],
)
def test_the_api_server_refuses_what_a_tenant_may_not(
    project: Project, api: Api, namespace: str, spec: Json, words: str
) -> None:
    assert project.name
    said = refusal(api, namespace, spec)
    assert words in said if words else said == ""


@pytest.mark.parametrize(
    ("group", "verb", "group_of_api", "resource", "allowed"),
    [
        ("search-developers", "list", "", "pods", True),
        ("search-developers", "get", "", "secrets", False),
        ("search-developers", "create", "", "pods/exec", False),
        ("search-developers", "get", "", "pods/log", False),
        ("search-developers", "patch", "apps", "deployments/scale", False),
        ("search-on-call", "get", "", "pods/log", True),
        ("search-on-call", "patch", "apps", "deployments/scale", True),
        ("search-on-call", "get", "", "secrets", False),
        ("search-on-call", "patch", "", "resourcequotas", False),
        ("search-on-call", "delete", "networking.k8s.io", "networkpolicies", False),
        ("support-developers", "list", "", "pods", False),
    ],
)
def test_roles_allow_what_they_say_and_no_more(
    project: Project, sandbox: Sandbox, group: str, verb: str, group_of_api: str, resource: str, allowed: bool
) -> None:
    assert project.name
    user = Api(sandbox.client_kubeconfig("somebody", [group]))
    name, _, sub = resource.partition("/")
    asked = {"namespace": "search", "verb": verb, "group": group_of_api, "resource": name, "subresource": sub}
    review = user.create(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {"resourceAttributes": asked}}
    )
    assert at(review, "status")["allowed"] is allowed


def test_an_update_is_made_in_place_and_only_where_it_is(project: Project, api: Api) -> None:
    path = "/apis/apps/v1/namespaces/{}/deployments/{}"
    before = {
        name: at(api.get(path.format(*name)), "metadata")
        for name in (("search", "llama-8b"), ("support", "mistral-7b"))
    }
    edited(project, "maxModelLen: 8192\n      replicas: { min: 2 }", "maxModelLen: 4096\n      replicas: { min: 2 }")
    changed = project.run("up", "--stack", "sandbox", "--json").json()
    assert at(changed, "changes") == {"create": 0, "update": 1, "replace": 0, "delete": 0, "same": 57}
    after = {name: at(api.get(path.format(*name)), "metadata") for name in before}
    assert after["search", "llama-8b"]["uid"] == before["search", "llama-8b"]["uid"]
    assert after["search", "llama-8b"]["generation"] == 2
    assert after["support", "mistral-7b"]["generation"] == before["support", "mistral-7b"]["generation"]


def test_a_service_that_moves_to_another_tenant_is_replaced_without_a_rest(project: Project, api: Api) -> None:
    edited(project, "name: mistral-7b\n      namespace: support", "name: mistral-7b\n      namespace: search")
    moved = project.run("up", "--stack", "sandbox", "--json").json()
    # Replaced: Deployment, Service, PodDisruptionBudget and NetworkPolicy. Updated: the roll-out strategy of the
    # service that had this GPU to spare.
    assert at(moved, "changes") == {"create": 0, "update": 1, "replace": 4, "delete": 0, "same": 53}
    assert items(api.get("/apis/apps/v1/namespaces/support/deployments")) == []
    names = {name_of(deployment) for deployment in items(api.get("/apis/apps/v1/namespaces/search/deployments"))}
    assert names == {"llama-8b", "llama-70b", "mistral-7b"}
    assert until(lambda: items(api.get("/api/v1/namespaces/support/pods")) == [])


def test_bad_configuration_stops_before_anything_is_touched(project: Project) -> None:
    edited(project, "gpus: { l4: 1 }", "gpus: { l4: 0 }")
    try:
        ended = project.run("up", "--stack", "sandbox", expect=2)
        assert "namespaces[1].gpus.l4: 0 is out of range; use a number at least 1" in ended.err
        assert "stacks/Pulumi.sandbox.yaml:" in ended.err
    finally:
        edited(project, "gpus: { l4: 0 }", "gpus: { l4: 1 }")


def test_tenants_of_two_stacks_share_a_cluster_and_are_destroyed_alone(
    project: Project, sandbox: Sandbox, api: Api, tmp_path: Path
) -> None:
    other = Project(tmp_path, "guests", sandbox.name)
    other.write(_GUEST.format(sandbox=sandbox.name))
    other.run("up", "--stack", "sandbox")
    assert "must tolerate" in refusal(api, "guest", {"c": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}})
    other.run("destroy", "--stack", "sandbox", "--remove")
    assert not api.exists("/api/v1/namespaces/guest")
    unchanged = project.run("up", "--stack", "sandbox", "--json").json()
    assert at(unchanged, "changes") | {"same": 0} == {"create": 0, "update": 0, "replace": 0, "delete": 0, "same": 0}


_GUEST = """
import pulumi_kubernetes as k8s
from gpu_clusters import Gpu, GpuPool, Images, LlmNamespace, LlmNamespaceArgs, Nodes
from gpu_clusters.controlplane import Sandbox
from gpu_clusters.sandbox.args import PLATFORM

class Existing:
    kubernetes = k8s.Provider("k", kubeconfig=Sandbox("{sandbox}").kubeconfig())
    platform = PLATFORM
    pools = (GpuPool(name="serve", gpu=Gpu.L4, nodes=Nodes(max=8)),)
    images = Images()
    ready = ()

LlmNamespace("guest", LlmNamespaceArgs(gpus={{Gpu.L4: 1}}), cluster=Existing())
"""
