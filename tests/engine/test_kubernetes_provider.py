"""The real engine, the simulated Kubernetes provider and a real API server."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import cast

import pulumi
import pulumi_kubernetes as k8s
import pytest
from cluster_api import Api, Json, at, until
from gpu_clusters import labels
from gpu_clusters.controlplane import Sandbox
from gpu_clusters.rehearsal.providers import Properties, State, serve
from gpu_clusters.rehearsal.providers.kubernetes import SimulatedKubernetes
from gpu_clusters.rehearsal.providers.kubernetes.objects import Kind
from gpu_clusters.rehearsal.providers.kubernetes.shown import difference
from gpu_clusters.toolchain import Program, ensure
from pulumi import automation as auto

Program_ = Callable[[pulumi.ResourceOptions], None]
CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"


class Stack:
    """One stack on one sandbox; its program can be changed between operations."""

    def __init__(self, folder: Path, sandbox: Sandbox, debug_providers: str) -> None:
        self.folder = folder
        self._sandbox = sandbox
        self._program: Program_ | None = None
        (folder / "backend").mkdir()
        options = auto.LocalWorkspaceOptions(
            pulumi_home=str(folder / "home"),
            env_vars={
                "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
                "PULUMI_CONFIG_PASSPHRASE": "",
                "PULUMI_SKIP_UPDATE_CHECK": "1",
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
                "PULUMI_DEBUG_PROVIDERS": debug_providers,
            },
        )
        self.engine = auto.create_stack("dev", "provider", program=self._run, opts=options)

    def _run(self) -> None:
        provider = k8s.Provider("sandbox", kubeconfig=self._sandbox.kubeconfig())
        if self._program:
            self._program(pulumi.ResourceOptions(provider=provider))

    def up(self, program: Program_) -> auto.UpResult:
        self._program = program
        return self.engine.up()

    def changes(self, program: Program_) -> dict[str, int]:
        """What an `up` did, without what it left alone."""
        summary = self.up(program).summary.resource_changes or {}
        return {str(key): count for key, count in summary.items() if str(key) != "same"}

    def failure(self, program: Program_) -> str:
        """What a failing `up` says."""
        with pytest.raises(auto.CommandError) as caught:
            self.up(program)
        return str(caught.value)

    def state(self) -> str:
        return (self.folder / "backend" / ".pulumi" / "stacks" / "provider" / "dev.json").read_text()

    def pulumi_pid(self) -> int:
        """The process of the `pulumi` command that runs now."""
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().split(b"\0")
                environment = (entry.parent / "environ").read_bytes()
            except OSError:
                continue
            if words[0].endswith(b"pulumi") and str(self.folder).encode() in environment:
                return int(entry.parent.name)
        return 0


@pytest.fixture(scope="module", autouse=True)
def command_line() -> Generator[None]:
    """The pulumi command on PATH."""
    path = ensure([Program.PULUMI])[Program.PULUMI].path
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
        yield


@pytest.fixture
def stack(tmp_path: Path, sandbox: Sandbox) -> Generator[Stack]:
    with serve([SimulatedKubernetes()]) as server:
        yield Stack(tmp_path, sandbox, server.debug_providers)


@pytest.fixture(scope="module")
def maltreated(engine_state: Path) -> Generator[Sandbox]:
    """A sandbox of this module's own, whose parts may be killed."""
    own = Sandbox("maltreated")
    own.start()
    yield own
    own.stop(delete_data=True)
    assert engine_state.is_dir()


@pytest.fixture(scope="module")
def node(api: Api) -> str:
    api.node("provider-node", {"cpu": "8", "memory": "32Gi", "pods": "110"})
    return "provider-node"


def _web(image: str = "web:1", **pod: str) -> k8s.apps.v1.DeploymentSpecArgs:
    return k8s.apps.v1.DeploymentSpecArgs(
        replicas=1,
        selector=k8s.meta.v1.LabelSelectorArgs(match_labels={"app": "web"}),
        template=k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(labels={"app": "web"}, annotations=pod),
            spec=k8s.core.v1.PodSpecArgs(
                containers=[
                    k8s.core.v1.ContainerArgs(
                        name="web",
                        image=image,
                        resources=k8s.core.v1.ResourceRequirementsArgs(requests={"memory": "1024Mi", "cpu": "0.5"}),
                    )
                ],
                tolerations=[k8s.core.v1.TolerationArgs(operator="Exists")],
            ),
        ),
    )


def _in(namespace: str, name: str | None = None) -> k8s.meta.v1.ObjectMetaArgs:
    return k8s.meta.v1.ObjectMetaArgs(namespace=namespace, name=name)


def _namespace(api: Api, name: str, marks: dict[str, str] | None = None) -> None:
    api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": marks or {}}})
    until(lambda: api.exists(f"/api/v1/namespaces/{name}/serviceaccounts/default"))


def _limit(options: pulumi.ResourceOptions, seconds: int) -> pulumi.ResourceOptions:
    limit = f"{seconds}s"
    timeouts = pulumi.CustomTimeouts(create=limit, update=limit, delete=limit)
    return pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(custom_timeouts=timeouts))


def _names(api: Api, path: str) -> list[str]:
    items = cast("list[Json]", api.get(path)["items"])
    return [str(at(item, "metadata")["name"]) for item in items if at(item, "metadata")["name"] != "kube-root-ca.crt"]


def test_a_stack_comes_up_stays_changes_in_place_and_goes(stack: Stack, api: Api, node: str) -> None:
    def program(options: pulumi.ResourceOptions, value: str = "1") -> None:
        namespace = k8s.core.v1.Namespace("life", opts=options)
        place = k8s.meta.v1.ObjectMetaArgs(namespace=namespace.metadata.name)
        k8s.core.v1.ConfigMap("settings", metadata=place, data={"value": value}, opts=options)
        secret = k8s.core.v1.Secret("secret", metadata=place, string_data={"password": "hunter2"}, opts=options)
        web = k8s.apps.v1.Deployment("web", metadata=place, spec=_web(), opts=options)
        k8s.core.v1.Service(
            "web",
            metadata=place,
            spec=k8s.core.v1.ServiceSpecArgs(selector={"app": "web"}, ports=[k8s.core.v1.ServicePortArgs(port=80)]),
            opts=options,
        )
        pulumi.export("namespace", namespace.metadata.name)
        pulumi.export("data", secret.data)
        pulumi.export("ready", web.status.ready_replicas)

    assert node
    stack._program = program  # pyright: ignore[reportPrivateUsage]
    assert stack.engine.preview().change_summary == {"create": 7}
    outputs = stack.up(program).outputs
    namespace = str(outputs["namespace"].value)
    assert namespace.startswith("life-")
    assert outputs["ready"].value == 1
    assert outputs["data"].secret
    assert outputs["data"].value == {"password": "aHVudGVyMg=="}
    assert "hunter2" not in stack.state()
    assert "aHVudGVyMg==" not in stack.state()
    assert stack.changes(program) == {}
    assert stack.engine.refresh().summary.resource_changes == {"same": 7}
    assert stack.changes(lambda options: program(options, "2")) == {"update": 1}
    (settings,) = _names(api, CONFIG_MAPS.format(namespace))
    assert api.get(f"{CONFIG_MAPS.format(namespace)}/{settings}")["data"] == {"value": "2"}
    stack.engine.destroy()
    assert not api.exists(f"/api/v1/namespaces/{namespace}")


def test_refresh_sees_what_somebody_else_changed_and_up_puts_it_right(stack: Stack, api: Api) -> None:
    _namespace(api, "drift")

    def program(options: pulumi.ResourceOptions) -> None:
        k8s.core.v1.ConfigMap("settings", metadata=_in("drift", "settings"), data={"value": "ours"}, opts=options)
        k8s.core.v1.ConfigMap("gone", metadata=_in("drift", "gone"), opts=options)

    path = f"{CONFIG_MAPS.format('drift')}/settings"
    stack.up(program)
    api.patch(path, {"data": {"value": "theirs", "other": "kept"}})
    api.delete(f"{CONFIG_MAPS.format('drift')}/gone")
    assert stack.engine.refresh().summary.resource_changes == {"same": 2, "update": 1, "delete": 1}
    failure = stack.failure(program)
    assert "conflict" in failure
    assert ".data.value" in failure
    assert "pulumi.com/patchForce" in failure
    api.patch(path, {"data": {"value": None}})
    stack.up(program)
    assert api.get(path)["data"] == {"value": "ours", "other": "kept"}
    stack.engine.destroy()


def test_an_immutable_field_makes_a_new_object(stack: Stack, api: Api) -> None:
    def program(options: pulumi.ResourceOptions, role: str) -> None:
        reference = k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=role)
        k8s.rbac.v1.ClusterRoleBinding("auto", role_ref=reference, opts=options)
        named = k8s.meta.v1.ObjectMetaArgs(name="provider-named")
        k8s.rbac.v1.ClusterRoleBinding("named", metadata=named, role_ref=reference, opts=options)

    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    stack.up(lambda options: program(options, "view"))
    (first,) = [name for name in _names(api, path) if name.startswith("auto-")]
    assert stack.changes(lambda options: program(options, "edit")) == {"replace": 2}
    (second,) = [name for name in _names(api, path) if name.startswith("auto-")]
    assert first != second
    for name in (second, "provider-named"):
        assert at(api.get(f"{path}/{name}"), "roleRef")["name"] == "edit"
    stack.engine.destroy()
    assert not api.exists(f"{path}/provider-named")


def test_a_create_that_was_killed_is_taken_up_again_on_the_same_object(stack: Stack, api: Api, node: str) -> None:
    _namespace(api, "killed")
    assert node
    slow = {labels.SANDBOX_STARTUP_SECONDS: "6"}

    def program(options: pulumi.ResourceOptions) -> None:
        k8s.apps.v1.Deployment("web", metadata=_in("killed"), spec=_web(**slow), opts=options)

    errors: list[str] = []
    thread = threading.Thread(target=lambda: errors.append(stack.failure(program)))
    thread.start()
    until(lambda: _names(api, DEPLOYMENTS.format("killed")))
    os.kill(until(stack.pulumi_pid), signal.SIGKILL)
    thread.join(30)
    assert errors
    (name,) = _names(api, DEPLOYMENTS.format("killed"))
    stack.engine.cancel()
    stack.up(program)
    assert _names(api, DEPLOYMENTS.format("killed")) == [name]
    stack.engine.destroy()


def test_ctrl_c_ends_the_wait_and_the_object_is_recorded(stack: Stack, api: Api, node: str) -> None:
    _namespace(api, "cancelled")
    assert node

    def program(options: pulumi.ResourceOptions, **pod: str) -> None:
        k8s.apps.v1.Deployment("web", metadata=_in("cancelled", "web"), spec=_web(**pod), opts=options)

    stuck = {labels.SANDBOX_IMAGE_PULL_ERROR: "true"}
    errors: list[str] = []
    thread = threading.Thread(target=lambda: errors.append(stack.failure(lambda options: program(options, **stuck))))
    thread.start()
    until(lambda: _names(api, DEPLOYMENTS.format("cancelled")))
    began = time.monotonic()
    os.kill(until(stack.pulumi_pid), signal.SIGINT)
    thread.join(30)
    assert time.monotonic() - began < 10
    assert "run the same command again to go on from here" in errors[0]
    assert stack.changes(program) == {"update": 1}
    stack.engine.destroy()


def test_what_isnt_ready_says_why_and_is_updated_once_it_is_corrected(stack: Stack, api: Api, node: str) -> None:
    _namespace(api, "unready")
    assert node

    def program(options: pulumi.ResourceOptions, **pod: str) -> None:
        metadata = _in("unready", "web")
        k8s.apps.v1.Deployment("web", metadata=metadata, spec=_web(**pod), opts=_limit(options, 5))

    failure = stack.failure(lambda options: program(options, **{labels.SANDBOX_IMAGE_PULL_ERROR: "true"}))
    assert "Deployment unready/web wasn't ready after 5 s: 0 of 1 replicas are available" in failure
    assert "container web: ImagePullBackOff" in failure
    assert "Traceback" not in failure
    uid = at(api.get(f"{DEPLOYMENTS.format('unready')}/web"), "metadata")["uid"]
    assert stack.changes(program) == {"update": 1}
    assert at(api.get(f"{DEPLOYMENTS.format('unready')}/web"), "metadata")["uid"] == uid
    stack.engine.destroy()


def test_the_scheduler_and_admission_are_quoted(stack: Stack, api: Api, node: str) -> None:
    _namespace(api, "quoted", {"pod-security.kubernetes.io/enforce": "restricted"})
    _namespace(api, "unplaced")
    assert node
    quota: Json = {"metadata": {"name": "few"}, "spec": {"hard": {"count/configmaps": "1"}}}
    api.create("/api/v1/namespaces/unplaced/resourcequotas", quota)
    until(lambda: at(api.get("/api/v1/namespaces/unplaced/resourcequotas/few"), "status").get("used"))

    def program(options: pulumi.ResourceOptions) -> None:
        container = k8s.core.v1.ContainerArgs(
            name="c", image="x:1", security_context=k8s.core.v1.SecurityContextArgs(privileged=True)
        )
        spec = k8s.core.v1.PodSpecArgs(containers=[container], node_selector={"gpu": "none-such"})
        k8s.core.v1.Pod("unplaced", metadata=_in("unplaced"), spec=spec, opts=_limit(options, 3))
        k8s.core.v1.Pod("refused", metadata=_in("quoted"), spec=spec, opts=options)
        k8s.core.v1.ConfigMap("over", metadata=_in("unplaced"), opts=options)
        k8s.core.v1.ConfigMap("nowhere", metadata=_in("no-such-namespace"), opts=options)
        k8s.core.v1.Service("bad", metadata=_in("unplaced", "Bad_Name"), opts=options)

    engine = stack.engine
    stack._program = program  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(auto.CommandError, match="violates PodSecurity"):
        engine.preview()
    with pytest.raises(auto.CommandError) as caught:
        engine.up(continue_on_error=True)
    failure = str(caught.value)
    for words in (
        'violates PodSecurity "restricted:latest": privileged',
        "exceeded quota: few",
        'namespaces "no-such-namespace" not found',
        'metadata.name: Invalid value: "Bad_Name"',
        "Unschedulable: 0/",
        "didn't match Pod's node affinity/selector",
    ):
        assert words in failure
    engine.destroy()


def test_a_definition_and_its_objects_come_and_go_in_one_up(stack: Stack, api: Api) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        schema = k8s.apiextensions.v1.JSONSchemaPropsArgs(type="object", x_kubernetes_preserve_unknown_fields=True)
        definition = k8s.apiextensions.v1.CustomResourceDefinition(
            "things",
            metadata=k8s.meta.v1.ObjectMetaArgs(name="things.provider.test"),
            spec=k8s.apiextensions.v1.CustomResourceDefinitionSpecArgs(
                group="provider.test",
                scope="Cluster",
                names=k8s.apiextensions.v1.CustomResourceDefinitionNamesArgs(kind="Thing", plural="things"),
                versions=[
                    k8s.apiextensions.v1.CustomResourceDefinitionVersionArgs(
                        name="v1",
                        served=True,
                        storage=True,
                        schema=k8s.apiextensions.v1.CustomResourceValidationArgs(open_apiv3_schema=schema),
                    )
                ],
            ),
            opts=options,
        )
        after = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=[definition]))
        k8s.apiextensions.CustomResource(
            "thing", api_version="provider.test/v1", kind="Thing", spec={"size": 3}, opts=after
        )

    stack.up(program)
    (name,) = _names(api, "/apis/provider.test/v1/things")
    assert api.get(f"/apis/provider.test/v1/things/{name}")["spec"] == {"size": 3}
    assert stack.changes(program) == {}
    assert "delete" not in (stack.engine.refresh().summary.resource_changes or {})
    stack.engine.destroy()
    assert not api.exists("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.provider.test")


def test_an_object_of_somebody_else_isnt_taken_over_but_can_be_patched_and_read(stack: Stack, api: Api) -> None:
    _namespace(api, "foreign")
    path = f"{CONFIG_MAPS.format('foreign')}/theirs"
    api.create(CONFIG_MAPS.format("foreign"), {"metadata": {"name": "theirs"}, "data": {"a": "1"}})

    def taken(options: pulumi.ResourceOptions) -> None:
        k8s.core.v1.ConfigMap("theirs", metadata=_in("foreign", "theirs"), data={"a": "1"}, opts=options)

    assert "ConfigMap foreign/theirs already exists" in stack.failure(taken)

    def patched(options: pulumi.ResourceOptions) -> None:
        metadata = k8s.meta.v1.ObjectMetaPatchArgs(namespace="foreign", name="theirs")
        k8s.core.v1.ConfigMapPatch("patch", metadata=metadata, data={"b": "2"}, opts=options)
        read = k8s.core.v1.ConfigMap.get("read", "foreign/theirs", opts=options)
        pulumi.export("read", read.data["a"])

    assert stack.up(patched).outputs["read"].value == "1"
    assert api.get(path)["data"] == {"a": "1", "b": "2"}
    stack.engine.destroy()
    assert api.get(path)["data"] == {"a": "1"}


def test_a_delete_waits_and_says_what_keeps_the_object(stack: Stack, api: Api) -> None:
    _namespace(api, "kept")
    path = f"{CONFIG_MAPS.format('kept')}/kept"

    def program(options: pulumi.ResourceOptions) -> None:
        k8s.core.v1.ConfigMap("kept", metadata=_in("kept", "kept"), opts=_limit(options, 2))

    stack.up(program)
    api.patch(path, {"metadata": {"finalizers": ["provider.test/keep"]}})
    with pytest.raises(auto.CommandError) as caught:
        stack.engine.destroy()
    assert "ConfigMap kept/kept is still being deleted after 2 s" in str(caught.value)
    assert "kept has the finalizers provider.test/keep" in str(caught.value)
    api.patch(path, {"metadata": {"finalizers": None}})
    stack.engine.destroy()
    assert not api.exists(path)


def test_each_provider_of_a_program_keeps_its_own_configuration(stack: Stack, api: Api, sandbox: Sandbox) -> None:
    for name in ("one", "two"):
        _namespace(api, name)

    def program(options: pulumi.ResourceOptions) -> None:
        assert options.provider
        for name in ("one", "two"):
            provider = k8s.Provider(name, kubeconfig=sandbox.kubeconfig(), namespace=name)
            k8s.core.v1.ConfigMap(name, opts=pulumi.ResourceOptions(provider=provider))

    stack.up(program)
    for name in ("one", "two"):
        assert [found[:4] for found in _names(api, CONFIG_MAPS.format(name))] == [f"{name}-"]
    stack.engine.destroy()


def test_a_default_provider_has_no_cluster_to_touch(stack: Stack) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        assert options.provider
        k8s.core.v1.ConfigMap("anywhere")

    assert "was given no kubeconfig; it never uses the ambient one" in stack.failure(program)


def test_a_killed_api_server_is_waited_for_and_a_deleted_sandbox_is_gone(tmp_path: Path, maltreated: Sandbox) -> None:
    with serve([SimulatedKubernetes()]) as server:
        stack = Stack(tmp_path, maltreated, server.debug_providers)

        def program(options: pulumi.ResourceOptions) -> None:
            last: list[pulumi.Resource] = []
            for number in range(60):
                after = pulumi.ResourceOptions(depends_on=last)
                metadata = _in("default", f"chain-{number}")
                merged = pulumi.ResourceOptions.merge(options, after)
                last = [k8s.core.v1.ConfigMap(f"chain-{number}", metadata=metadata, opts=merged)]

        thread = threading.Thread(target=lambda: stack.up(program))
        thread.start()
        api = Api(maltreated.kubeconfig())
        until(lambda: len(_names(api, CONFIG_MAPS.format("default"))) > 3)
        (part,) = [part for part in maltreated.status().parts if part.name == "kube-apiserver"]
        assert part.pid
        os.kill(part.pid, signal.SIGKILL)
        time.sleep(1)
        maltreated.start()
        thread.join(60)
        assert len(_names(api, CONFIG_MAPS.format("default"))) == 60
        assert stack.changes(program) == {}
        maltreated.stop(delete_data=True)
        assert stack.engine.destroy().summary.resource_changes == {"delete": 62}


_CLAIM: Json = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_POD: Json = {"containers": [{"name": "c", "image": "x:1"}], "restartPolicy": "Never"}
_TEMPLATE: Json = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}}
_WORKLOAD: Json = {"selector": {"matchLabels": {"a": "b"}}, "template": _TEMPLATE}
_ROLE: Json = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}


@pytest.mark.parametrize(
    ("kind", "plural", "body", "change"),
    [
        (Kind("", "v1", "Pod"), "pods", {"spec": _POD}, {"spec": {"hostname": "other"}}),
        (
            Kind("", "v1", "PersistentVolumeClaim"),
            "persistentvolumeclaims",
            {"spec": _CLAIM},
            {"spec": {"volumeMode": "Block"}},
        ),
        (Kind("", "v1", "Secret"), "secrets", {"type": "Opaque"}, {"type": "other"}),
        (Kind("", "v1", "ConfigMap"), "configmaps", {"immutable": True, "data": {"a": "1"}}, {"data": {"a": "2"}}),
        (
            Kind("apps", "v1", "DaemonSet"),
            "daemonsets",
            {"spec": _WORKLOAD},
            {"spec": {"selector": {"matchLabels": {"a": "c"}}}},
        ),
        (
            Kind("apps", "v1", "StatefulSet"),
            "statefulsets",
            {"spec": {**_WORKLOAD, "serviceName": "s"}},
            {"spec": {"podManagementPolicy": "Parallel"}},
        ),
        (
            Kind("batch", "v1", "Job"),
            "jobs",
            {"spec": {"template": {"spec": _POD}}},
            {"spec": {"completionMode": "Indexed"}},
        ),
        (
            Kind("rbac.authorization.k8s.io", "v1", "RoleBinding"),
            "rolebindings",
            {"roleRef": _ROLE},
            {"roleRef": {"name": "edit"}},
        ),
        (Kind("scheduling.k8s.io", "v1", "PriorityClass"), "priorityclasses", {"value": 1}, {"value": 2}),
        (Kind("node.k8s.io", "v1", "RuntimeClass"), "runtimeclasses", {"handler": "a"}, {"handler": "b"}),
        (Kind("storage.k8s.io", "v1", "StorageClass"), "storageclasses", {"provisioner": "a"}, {"provisioner": "b"}),
        (
            Kind("storage.k8s.io", "v1", "CSIDriver"),
            "csidrivers",
            {"spec": {"attachRequired": True}},
            {"spec": {"attachRequired": False}},
        ),
        (
            Kind("networking.k8s.io", "v1", "IngressClass"),
            "ingressclasses",
            {"spec": {"controller": "a.b/c"}},
            {"spec": {"controller": "a.b/d"}},
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Kind) else "",
)
def test_the_api_server_itself_refuses_to_change_what_the_table_calls_immutable(
    api: Api, kind: Kind, plural: str, body: Json, change: Json
) -> None:
    cluster_wide = kind.group in {"scheduling.k8s.io", "node.k8s.io", "storage.k8s.io"} or plural == "ingressclasses"
    prefix = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    path = f"{prefix}/{plural}" if cluster_wide else f"{prefix}/namespaces/default/{plural}"
    api.create(path, {"metadata": {"name": "immutable-test"}, **body})
    status, answer = api.request("PATCH", f"{path}/immutable-test?dryRun=All", change, "application/merge-patch+json")
    api.delete(f"{path}/immutable-test")
    assert (status, answer["reason"]) == (422, "Invalid")
    old, new = cast(Properties, body), cast(Properties, json.loads(json.dumps(body)))
    for key, value in change.items():
        inner = cast(Json, value) if isinstance(value, dict) else None
        new[key] = cast(Properties, {**at(body, key), **inner}) if inner is not None else cast("str", value)
    changes = difference(kind, State("x", {}, old), new, "default").changes
    assert changes
    assert all(found.replaces for found in changes.values())
