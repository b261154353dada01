"""The sandbox as it really is: its processes, its files, its API server and its simulated nodes."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import cast

import pytest
from cluster_api import Api, Json, at, condition, until
from gpu_clusters import labels
from gpu_clusters.controlplane import Sandbox, SandboxStatus, sandboxes
from gpu_clusters.controlplane.layout import Part
from gpu_clusters.controlplane.overview import overview
from gpu_clusters.errors import OperationError, UsageError

COMMAND = (sys.executable, "-c", "from gpu_clusters.cli.app import main; main()", "sandbox")
PODS = "/api/v1/namespaces/{}/pods"


@pytest.fixture(scope="module")
def second(sandbox: Sandbox) -> Generator[Sandbox]:
    """A sandbox beside the shared one, to be maltreated."""
    assert sandbox.status().state == "running"
    other = Sandbox("second")
    try:
        other.start()
        yield other
    finally:
        other.stop(delete_data=True)


@pytest.fixture(scope="module")
def node(api: Api) -> Generator[str]:
    """A simulated node with eight GPUs that only pods naming it are on."""
    api.node("controlplane", {"nvidia.com/gpu": 8, "cpu": "32"}, {"kubernetes.io/hostname": "controlplane"})
    yield "controlplane"
    api.delete("/api/v1/nodes/controlplane")


@pytest.fixture(scope="module")
def pods(api: Api, node: str) -> str:
    """The path of the pods of a namespace of these tests' own."""
    assert node
    return PODS.format(api.namespace("controlplane"))


def _pod(name: str, annotations: dict[str, str] | None = None, **spec: object) -> Json:
    return {
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": "controlplane"},
            "containers": [{"name": "main", "image": "example.com/llm:1"}],
            **spec,
        },
    }


def _pids(status: SandboxStatus) -> dict[str, int]:
    return {part.name: part.pid for part in status.parts if part.pid is not None}


def _main(pod: Json) -> Json:
    return cast("list[Json]", at(pod, "status").get("containerStatuses") or [{}])[0]


# The whole


def test_a_second_start_changes_nothing(sandbox: Sandbox) -> None:
    before = sandbox.status()
    after = sandbox.start()
    assert before.state == after.state == "running"
    assert _pids(before) == _pids(after)
    assert set(_pids(after)) == {str(part) for part in Part}


def test_two_sandboxes_run_side_by_side_with_their_own_ports_and_identity(sandbox: Sandbox, second: Sandbox) -> None:
    assert {"tests", "second"} <= set(sandboxes())
    assert sandbox.status().server != second.status().server
    assert sandbox.identity() != second.identity()
    assert not set(_pids(sandbox.status()).values()) & set(_pids(second.status()).values())


def test_keys_are_readable_by_their_owner_only(sandbox: Sandbox, engine_state: Path) -> None:
    folder = engine_state / "sandboxes" / sandbox.name
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secret = [folder / "kubeconfig", *folder.glob("kubeconfigs/*"), *folder.glob("pki/*.key"), folder / "state.json"]
    assert len(secret) > 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


def test_every_port_is_bound_to_loopback_only(sandbox: Sandbox) -> None:
    addresses = {address for pid in _pids(sandbox.status()).values() for address in _listening(pid)}
    assert addresses == {"127.0.0.1"}


def _listening(pid: int) -> set[str]:
    """The addresses on which a process listens (man 5 proc: /proc/net/tcp)."""
    inodes = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                raw = bytes.fromhex(fields[1].partition(":")[0])
                found.add(socket.inet_ntoa(raw[::-1]) if table == "tcp" else "IPv6")
    return found


@pytest.mark.parametrize("part", list(Part))
def test_a_killed_part_is_named_with_its_log_and_the_next_start_puts_it_right(second: Sandbox, part: Part) -> None:
    before = second.status()
    os.kill(_pids(before)[part], signal.SIGKILL)
    until(lambda: second.status().state == "degraded")
    broken = second.status()
    assert {item.name for item in broken.parts if item.state == "stopped"} == {str(part)}
    down = next(item for item in broken.parts if item.name == part)
    assert down.log or part is Part.KWOK  # kwok logs nothing as long as all goes well
    after = second.start()
    assert after.state == "running"
    assert after.kubeconfig == before.kubeconfig
    assert after.server == before.server
    kept = {name for name, pid in _pids(before).items() if _pids(after)[name] == pid}
    assert kept == {str(item) for item in Part} - {str(part)}


def test_a_part_that_hangs_is_unhealthy_and_the_next_start_replaces_it(second: Sandbox) -> None:
    pid = _pids(second.status())[Part.KUBE_SCHEDULER]
    os.kill(pid, signal.SIGSTOP)
    assert {item.name: item.state for item in second.status().parts}[Part.KUBE_SCHEDULER] == "unhealthy"
    assert second.start().state == "running"
    assert _pids(second.status())[Part.KUBE_SCHEDULER] != pid


def test_stop_leaves_no_process_and_data_and_kubeconfig_survive(second: Sandbox, engine_state: Path) -> None:
    client = Api(second.kubeconfig())
    client.create("/api/v1/namespaces", {"metadata": {"name": "kept"}})
    pids, identity, kubeconfig = _pids(second.status()), second.identity(), second.kubeconfig()
    assert second.stop()
    assert second.status().state == "stopped"
    assert not [pid for pid in pids.values() if Path("/proc", str(pid)).exists()]
    assert _processes_of(engine_state / "sandboxes" / "second") == []
    assert not second.stop()
    assert second.start().state == "running"
    assert client.exists("/api/v1/namespaces/kept")
    assert (second.identity(), second.kubeconfig()) == (identity, kubeconfig)


def _processes_of(folder: Path) -> list[str]:
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_text()
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def test_deleted_data_is_made_anew_with_another_identity(second: Sandbox, engine_state: Path) -> None:
    identity = second.identity()
    assert second.stop(delete_data=True)
    assert not (engine_state / "sandboxes" / "second").exists()
    assert second.status().state == "absent"
    assert second.start().state == "running"
    assert second.identity() not in (None, identity)
    assert not Api(second.kubeconfig()).exists("/api/v1/namespaces/kept")


def test_a_taken_port_is_an_error_that_names_who_has_it(second: Sandbox) -> None:
    second.stop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = cast("int", server.getsockname()[1])
        with pytest.raises(OperationError) as error:
            second.start(port=port)
    assert str(error.value) == (
        f"port {port} is in use by {Path('/proc/self/comm').read_text().strip()} (process {os.getpid()}); "
        "end the program that has it, or choose another port with --port"
    )
    assert _pids(second.status()) == {}


def test_a_free_port_that_is_asked_for_is_used_and_kept(second: Sandbox) -> None:
    second.stop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = cast("int", server.getsockname()[1])
    assert second.start(port=port).server == f"https://127.0.0.1:{port}"
    with pytest.raises(UsageError, match=f"already runs on port {port}"):
        second.start(port=port + 1)


def test_ctrl_c_during_a_start_leaves_nothing_running_and_the_next_start_works(second: Sandbox) -> None:
    second.stop()
    process = subprocess.Popen([*COMMAND, "start", "--name", "second"], stderr=subprocess.PIPE, text=True)
    until(lambda: Part.KUBE_APISERVER in _pids(second.status()))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert _pids(second.status()) == {}
    assert second.start().state == "running"


def test_a_start_that_was_killed_is_completed_by_the_next(second: Sandbox) -> None:
    second.stop()
    process = subprocess.Popen([*COMMAND, "start", "--name", "second"], stderr=subprocess.DEVNULL)
    until(lambda: Part.KUBE_APISERVER in _pids(second.status()))
    begun = _pids(second.status())
    process.kill()
    process.wait()
    assert second.start().state == "running"
    assert _pids(second.status()).items() >= begun.items()


def test_two_starts_at_once_make_one_sandbox(second: Sandbox) -> None:
    second.stop()
    results: list[SandboxStatus] = []
    threads = [threading.Thread(target=lambda: results.append(Sandbox("second").start())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status.state for status in results] == ["running", "running"]
    assert _pids(results[0]) == _pids(results[1])


def test_the_command_prints_one_json_document(sandbox: Sandbox) -> None:
    command = [*COMMAND, "status", "--name", sandbox.name, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    document = cast("Json", json.loads(done.stdout))
    assert list(document) == ["name", "state", "server", "kubeconfig", "version", "identity", "parts"]
    assert document["state"] == "running"
    assert document["kubeconfig"] == str(sandbox.kubeconfig_path)
    assert done.stderr == ""


# Nodes


def test_a_nodes_capacity_follows_its_annotation(api: Api, node: str) -> None:
    path = f"/api/v1/nodes/{node}"
    status = at(api.get(path), "status")
    wanted = {"cpu": "32", "memory": "64Gi", "ephemeral-storage": "200Gi", "pods": "110", "nvidia.com/gpu": "8"}
    assert status["capacity"] == status["allocatable"] == wanted
    assert at(status, "nodeInfo")["kubeletVersion"] == at(api.get("/version")).get("gitVersion")
    shared = json.dumps({"nvidia.com/gpu.shared": "16", "cpu": "32"})
    api.patch(path, {"metadata": {"annotations": {labels.SANDBOX_CAPACITY: shared}}})
    changed = {**wanted, "nvidia.com/gpu.shared": "16"}
    del changed["nvidia.com/gpu"]
    until(lambda: at(api.get(path), "status")["allocatable"] == changed)
    original = json.dumps({"nvidia.com/gpu": 8, "cpu": "32"})
    api.patch(path, {"metadata": {"annotations": {labels.SANDBOX_CAPACITY: original}}})
    until(lambda: at(api.get(path), "status")["allocatable"] == wanted)


def test_a_node_without_annotation_has_defaults_and_can_be_deleted(api: Api) -> None:
    api.node("bare", marked={"kubernetes.io/arch": "arm64"})
    status = at(api.get("/api/v1/nodes/bare"), "status")
    assert status["allocatable"] == {"cpu": "16", "memory": "64Gi", "ephemeral-storage": "200Gi", "pods": "110"}
    assert at(status, "nodeInfo")["architecture"] == "arm64"
    api.delete("/api/v1/nodes/bare")
    until(lambda: not api.exists("/api/v1/nodes/bare"))


# Pods


def test_a_pod_runs_at_once_and_is_gone_at_once(api: Api, pods: str) -> None:
    sidecars = [
        {"name": "init", "image": "example.com/init:1"},
        {"name": "sidecar", "image": "example.com/sidecar:1", "restartPolicy": "Always"},
    ]
    api.create(pods, _pod("plain", initContainers=sidecars))
    until(lambda: condition(api.get(f"{pods}/plain"), "Ready") == "True")
    pod = api.get(f"{pods}/plain")
    assert at(pod, "status")["phase"] == "Running"
    assert str(at(pod, "status")["podIP"]).startswith("10.")
    states = [set(at(item, "state")) for item in cast("list[Json]", at(pod, "status")["initContainerStatuses"])]
    assert states == [{"terminated"}, {"running"}]
    begin = time.monotonic()
    api.delete(f"{pods}/plain")
    until(lambda: not api.exists(f"{pods}/plain"))
    assert time.monotonic() - begin < 2


def test_a_pod_takes_its_startup_seconds(api: Api, pods: str) -> None:
    api.create(pods, _pod("slow", {labels.SANDBOX_STARTUP_SECONDS: "2"}))
    begin = time.monotonic()
    until(lambda: at(_main(api.get(f"{pods}/slow")), "state", "waiting").get("reason") == "ContainerCreating")
    # An edit meanwhile doesn't begin the wait anew.
    time.sleep(1)
    api.patch(f"{pods}/slow", {"metadata": {"labels": {"edited": "true"}}})
    until(lambda: condition(api.get(f"{pods}/slow"), "Ready") == "True")
    assert 2 <= time.monotonic() - begin < 4.5


def test_an_image_that_cant_be_pulled_keeps_a_pod_waiting_until_it_can(api: Api, pods: str) -> None:
    api.create(pods, _pod("pull", {labels.SANDBOX_IMAGE_PULL_ERROR: "true"}))
    waiting = until(lambda: at(_main(api.get(f"{pods}/pull")), "state", "waiting"))
    assert waiting == {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "example.com/llm:1"'}
    assert at(api.get(f"{pods}/pull"), "status")["phase"] == "Pending"
    api.patch(f"{pods}/pull", {"metadata": {"annotations": {labels.SANDBOX_IMAGE_PULL_ERROR: None}}})
    until(lambda: condition(api.get(f"{pods}/pull"), "Ready") == "True")


def test_a_container_that_fails_is_restarted_and_never_ready(api: Api, pods: str) -> None:
    api.create(pods, _pod("crash", {labels.SANDBOX_EXIT_CODE: "3"}))
    ready: set[str] = set()

    def crashed_again() -> Json:
        pod = api.get(f"{pods}/crash")
        ready.add(condition(pod, "Ready"))
        main = _main(pod)
        again = main.get("restartCount") == 1 and at(main, "state", "waiting").get("reason") == "CrashLoopBackOff"
        return main if again else {}

    main = until(crashed_again)
    assert at(main, "lastState", "terminated")["exitCode"] == 3
    assert "True" not in ready


@pytest.mark.parametrize(
    ("name", "code", "policy", "phase"),
    [
        ("failed", "3", "Never", "Failed"),
        ("succeeded", "0", "Never", "Succeeded"),
        ("succeeded-on-failure", "0", "OnFailure", "Succeeded"),
    ],
)
def test_a_container_that_ends_for_good_ends_its_pod(
    api: Api, pods: str, name: str, code: str, policy: str, phase: str
) -> None:
    api.create(pods, _pod(name, {labels.SANDBOX_EXIT_CODE: code}, restartPolicy=policy))
    until(lambda: at(api.get(f"{pods}/{name}"), "status")["phase"] == phase)
    assert at(_main(api.get(f"{pods}/{name}")), "state", "terminated")["exitCode"] == int(code)


@pytest.mark.parametrize(
    ("name", "seconds", "grace", "expected"), [("lingers", "2", 30, (2, 4.5)), ("is-killed", "60", 1, (1, 3.5))]
)
def test_a_pod_takes_its_termination_seconds_within_its_grace_period(
    api: Api, pods: str, name: str, seconds: str, grace: int, expected: tuple[float, float]
) -> None:
    marks = {labels.SANDBOX_TERMINATION_SECONDS: seconds}
    api.create(pods, _pod(name, marks, terminationGracePeriodSeconds=grace))
    until(lambda: condition(api.get(f"{pods}/{name}"), "Ready") == "True")
    begin = time.monotonic()
    api.delete(f"{pods}/{name}")
    until(lambda: not api.exists(f"{pods}/{name}"))
    assert expected[0] <= time.monotonic() - begin < expected[1]


def test_a_terminating_pod_leaves_its_endpoints_at_once(api: Api, pods: str) -> None:
    namespace = pods.removesuffix("/pods")
    pod = _pod("served", {labels.SANDBOX_TERMINATION_SECONDS: "3"})
    cast("Json", pod["metadata"])["labels"] = {"app": "served"}
    api.create(pods, pod)
    api.create(
        f"{namespace}/services",
        {"metadata": {"name": "s"}, "spec": {"selector": {"app": "served"}, "ports": [{"port": 80}]}},
    )
    slices = f"/apis/discovery.k8s.io/v1/{namespace.removeprefix('/api/v1/')}/endpointslices"

    def ready() -> list[object]:
        items = cast("list[Json]", api.get(slices)["items"])
        endpoints = [point for item in items for point in cast("list[Json]", item.get("endpoints") or [])]
        return [at(point, "conditions").get("ready") for point in endpoints]

    until(lambda: ready() == [True])
    api.delete(f"{pods}/served")
    until(lambda: True not in ready(), seconds=2)
    assert api.exists(f"{pods}/served")


def test_a_jobs_pods_end_as_told_and_can_be_deleted(api: Api, pods: str) -> None:
    jobs = f"/apis/batch/v1/{pods.removesuffix('/pods').removeprefix('/api/v1/')}/jobs"
    pod = _pod("unused", {labels.SANDBOX_EXIT_CODE: "0"}, restartPolicy="Never")
    template: Json = {"metadata": {"annotations": at(pod, "metadata")["annotations"]}, "spec": pod["spec"]}
    api.create(jobs, {"metadata": {"name": "ends"}, "spec": {"template": template}})
    until(lambda: condition(api.get(f"{jobs}/ends"), "Complete") == "True")
    endless: Json = {"spec": {**at(template, "spec")}}
    api.create(jobs, {"metadata": {"name": "endless"}, "spec": {"template": endless}})
    until(lambda: at(api.get(f"{jobs}/endless"), "status").get("ready") == 1)
    api.delete(f"{jobs}/endless")
    until(lambda: not [item for item in cast("list[Json]", api.get(pods)["items"]) if _owner(item) == "endless"])


def _owner(item: Json) -> object:
    owners = cast("list[Json]", at(item, "metadata").get("ownerReferences") or [{}])
    return owners[0].get("name")


# Admission and access


def test_pod_security_refuses_a_privileged_pod(api: Api) -> None:
    namespace = api.namespace("restricted", {"pod-security.kubernetes.io/enforce": "restricted"})
    container = {"name": "main", "image": "example.com/llm:1", "securityContext": {"privileged": True}}
    status, answer = api.request("POST", PODS.format(namespace), _pod("privileged", containers=[container]))
    assert status == 403
    assert "violates PodSecurity" in str(answer["message"])


def test_quota_refuses_what_is_above_it(api: Api) -> None:
    namespace = api.namespace("small")
    quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
    api.create(quotas, {"metadata": {"name": "gpus"}, "spec": {"hard": {"requests.nvidia.com/gpu": "2"}}})
    until(lambda: at(api.get(f"{quotas}/gpus"), "status").get("hard"))
    resources = {"requests": {"nvidia.com/gpu": "4"}, "limits": {"nvidia.com/gpu": "4"}}
    container = {"name": "main", "image": "example.com/llm:1", "resources": resources}
    status, answer = api.request("POST", PODS.format(namespace), _pod("large", containers=[container]))
    assert status == 403
    assert "exceeded quota: gpus" in str(answer["message"])


def test_an_admission_policy_is_enforced(api: Api) -> None:
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    validation = {"expression": "object.metadata.name.startsWith('good')", "message": "bad name"}
    api.create(
        policies,
        {
            "metadata": {"name": "names"},
            "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]},
        },
    )
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "named"}}}
    binding = {"policyName": "names", "validationActions": ["Deny"], "matchResources": selector}
    api.create(f"{policies.removesuffix('policies')}policybindings", {"metadata": {"name": "names"}, "spec": binding})
    path = f"/api/v1/namespaces/{api.namespace('named')}/configmaps"

    def refusal() -> str:
        status, answer = api.request("POST", f"{path}?dryRun=All", {"metadata": {"name": "bad"}})
        return str(answer["message"]) if status == 422 else ""

    assert "bad name" in until(refusal)
    api.create(path, {"metadata": {"name": "good"}})


def test_a_client_kubeconfig_is_the_user_it_names(sandbox: Sandbox) -> None:
    tenant = Api(sandbox.client_kubeconfig("ann", ["team-a", "team-b"]))
    review: Json = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = tenant.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    user = at(answer, "status", "userInfo")
    assert user["username"] == "ann"
    assert user["groups"] == ["team-a", "team-b", "system:authenticated"]
    assert tenant.request("GET", "/api/v1/nodes")[0] == 403


def test_the_api_server_tells_aggregated_servers_how_to_know_it(api: Api) -> None:
    data = at(api.get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"), "data")
    assert data["requestheader-allowed-names"] == '["front-proxy-client"]'
    assert data["requestheader-username-headers"] == '["X-Remote-User"]'
    assert str(data["requestheader-client-ca-file"]).startswith("-----BEGIN CERTIFICATE-----")
    assert data["requestheader-client-ca-file"] != data["client-ca-file"]


# The overview


def test_the_overview_shows_gpus_quota_and_why_pods_wait(api: Api, sandbox: Sandbox, node: str) -> None:
    api.namespace("tenant", {labels.TENANT: "search"})
    quota: Json = {"metadata": {"name": "gpus"}, "spec": {"hard": {"requests.nvidia.com/gpu": "16"}}}
    api.create("/api/v1/namespaces/tenant/resourcequotas", quota)
    resources = {"limits": {"nvidia.com/gpu": "5"}}
    selected = {labels.SERVICE: "llama"}
    spec = at(_pod("unused", containers=[{"name": "main", "image": "x", "resources": resources}]), "spec")
    deployment: Json = {
        "metadata": {"name": "llama", "labels": selected},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": selected},
            "template": {"metadata": {"labels": selected}, "spec": spec},
        },
    }
    api.create("/apis/apps/v1/namespaces/tenant/deployments", deployment)

    def settled() -> bool:
        service = overview(sandbox.kubeconfig()).services[0]
        return service.ready == 1 and any("Insufficient nvidia.com/gpu" in item.reason for item in service.pending)

    until(settled)
    found = overview(sandbox.kubeconfig())
    shown = next(item for item in found.nodes if item.name == node)
    assert (shown.gpus_used, shown.gpus_allocatable, shown.ready) == (5, 8, True)
    assert [(item.tenant, item.namespace) for item in found.tenants] == [("search", "tenant")]
    assert [(item.resource, item.hard, item.used) for item in found.tenants[0].quota] == [
        ("requests.nvidia.com/gpu", "16", "10")
    ]
    service = found.services[0]
    assert (service.name, service.desired, service.ready, service.nodes) == ("llama", 2, 1, (node,))
    document = found.to_json()
    assert {"gpusAllocatable", "gpusUsed"} <= set(cast("list[Json]", document["nodes"])[0])
    api.delete("/api/v1/namespaces/tenant")
