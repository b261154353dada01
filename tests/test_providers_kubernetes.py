"""The simulated Kubernetes provider's rules that need no cluster."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml
from gpu_clusters import _paths
from gpu_clusters.errors import GpuClustersError, OperationError
from gpu_clusters.rehearsal.providers import UNKNOWN, Options, Properties, Resource, Secret, State, Value
from gpu_clusters.rehearsal.providers.kubernetes import SimulatedKubernetes, is_sandbox_kubeconfig
from gpu_clusters.rehearsal.providers.kubernetes.checking import Checker
from gpu_clusters.rehearsal.providers.kubernetes.gone import GoneResources
from gpu_clusters.rehearsal.providers.kubernetes.kubeconfig import moved, resolve
from gpu_clusters.rehearsal.providers.kubernetes.objects import AUTONAMED, Kind, from_server, kind_of, to_server
from gpu_clusters.rehearsal.providers.kubernetes.refreshed import refreshed_inputs
from gpu_clusters.rehearsal.providers.kubernetes.shown import difference, invoke

DEPLOYMENT = Kind("apps", "v1", "Deployment")


def _resource(type_: str = "kubernetes:core/v1:ConfigMap") -> Resource:
    return Resource(f"urn:pulumi:dev::project::{type_}::settings", type_, "settings")


def _kubeconfig(
    server: str = "https://127.0.0.1:6443", authority: str = "ours", cluster: dict[str, object] | None = None
) -> str:
    entry: dict[str, object] = {
        "server": server,
        "certificate-authority-data": base64.b64encode(authority.encode()).decode(),
        "extensions": [{"name": "sandbox.gpu-clusters.dev", "extension": {"name": "default", "identity": "1"}}],
        **(cluster or {}),
    }
    return yaml.safe_dump(
        {
            "clusters": [{"name": "c", "cluster": entry}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


@pytest.fixture(autouse=True)
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(_paths.STATE_VARIABLE, str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    path = tmp_path / "sandboxes" / "default" / "kubeconfig"
    path.parent.mkdir(parents=True)
    path.write_text(_kubeconfig())
    return path


@pytest.mark.parametrize(
    ("token", "inputs", "kind"),
    [
        ("kubernetes:core/v1:Pod", {}, Kind("", "v1", "Pod")),
        ("kubernetes:apps/v1:Deployment", {}, DEPLOYMENT),
        ("kubernetes:apps/v1:DeploymentPatch", {"kind": "Deployment"}, Kind("apps", "v1", "Deployment", patch=True)),
        ("kubernetes:example.com/v1:NodePatch", {"kind": "NodePatch"}, Kind("example.com", "v1", "NodePatch")),
        ("kubernetes:example.com/v1:WaitList", {"kind": "WaitList"}, Kind("example.com", "v1", "WaitList")),
    ],
)
def test_a_type_token_names_a_kind(token: str, inputs: Properties, kind: Kind) -> None:
    assert kind_of(token, inputs) == kind


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        ("kubernetes:helm.sh/v3:Release", {}),
        ("kubernetes:kustomize:Directory", {}),
        ("kubernetes:core/v1:ConfigMapList", {"kind": "ConfigMapList", "items": []}),
    ],
)
def test_what_isnt_simulated_is_refused_with_a_way_out(token: str, inputs: Properties) -> None:
    with pytest.raises(GpuClustersError, match=r"simulated kubernetes provider .*; (use|make) "):
        kind_of(token, inputs)


_SELECTOR: Properties = {"matchLabels": {"a": "b"}}


@pytest.mark.parametrize(
    ("kind", "old", "new", "replaced"),
    [
        (DEPLOYMENT, {"spec": {"selector": _SELECTOR}}, {"spec": {"selector": {}}}, ["spec.selector.matchLabels"]),
        (DEPLOYMENT, {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, []),
        (DEPLOYMENT, {"spec": {"selector": UNKNOWN}}, {"spec": {"selector": _SELECTOR}}, ["spec.selector"]),
        (Kind("", "v1", "Pod"), {"spec": {"nodeName": "a"}}, {"spec": {"nodeName": "b"}}, ["spec.nodeName"]),
        (
            Kind("", "v1", "Pod"),
            {"spec": {"containers": [{"image": "a", "command": ["x"]}]}},
            {"spec": {"containers": [{"image": "b", "command": ["y"]}]}},
            ["spec.containers[0].command[0]"],
        ),
        (Kind("", "v1", "ConfigMap"), {"data": {"a": "1"}}, {"data": {"a": "2"}}, []),
        (
            Kind("", "v1", "ConfigMap"),
            {"immutable": True, "data": {}},
            {"immutable": True, "data": {"a": "1"}},
            ["data.a"],
        ),
        (Kind("", "v1", "Secret"), {"type": "Opaque"}, {"type": "x"}, ["type"]),
        (
            Kind("", "v1", "PersistentVolumeClaim"),
            {"spec": {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": "a"}},
            {"spec": {"resources": {"requests": {"storage": "2Gi"}}, "volumeName": "b"}},
            ["spec.volumeName"],
        ),
        (Kind("batch", "v1", "Job"), {"spec": {"parallelism": 1}}, {"spec": {"parallelism": 2}}, []),
        (
            Kind("batch", "v1", "Job"),
            {"spec": {"template": {"spec": {}}}},
            {"spec": {"template": {}}},
            ["spec.template.spec"],
        ),
        (
            Kind("batch", "v1", "Job"),
            {"spec": {"suspend": True, "template": {"spec": {"nodeSelector": {"a": "b"}}}}},
            {"spec": {"suspend": True, "template": {"spec": {"nodeSelector": {"a": "c"}}}}},
            [],
        ),
        (
            Kind("rbac.authorization.k8s.io", "v1", "RoleBinding"),
            {"roleRef": {"name": "a"}},
            {"roleRef": {"name": "b"}},
            ["roleRef.name"],
        ),
        (Kind("apps", "v1", "Deployment", patch=True), {"spec": {"selector": _SELECTOR}}, {"spec": {}}, []),
    ],
)
def test_an_immutable_field_replaces_the_object(
    kind: Kind, old: Properties, new: Properties, replaced: list[str]
) -> None:
    metadata: Properties = {"metadata": {"name": "n", "namespace": "default"}}
    found = difference(kind, State("n", {}, {**old, **metadata}), {**new, **metadata}, "default")
    assert [path for path, change in found.changes.items() if change.replaces] == replaced
    assert found.delete_before_replace is bool(replaced)


@pytest.mark.parametrize(
    ("old", "new", "changed", "before"),
    [
        ({"name": "a"}, {"name": "b"}, ["metadata.name"], False),
        ({"name": "a"}, {"name": "a", "namespace": "team"}, [], False),
        ({"name": "a"}, {"name": "a", "namespace": "other"}, ["metadata.namespace"], False),
        ({"name": "a", "labels": {"l": "1"}}, {"name": "a"}, ["metadata.labels"], False),
    ],
)
def test_identity_is_name_and_namespace_and_the_default_namespace_is_one(
    old: Properties, new: Properties, changed: list[str], before: bool
) -> None:
    found = difference(DEPLOYMENT, State("a", {}, {"metadata": old}), {"metadata": new}, "team")
    assert list(found.changes) == changed
    assert found.delete_before_replace is before


def test_an_autonamed_object_is_replaced_before_the_old_one_goes() -> None:
    annotations: Properties = {AUTONAMED: "true"}
    old: Properties = {"metadata": {"name": "a", "annotations": annotations}, "roleRef": {"name": "x"}}
    kind = Kind("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding")
    found = difference(kind, State("a", {}, old), {**old, "roleRef": {"name": "y"}}, "default")
    assert found.changes["roleRef.name"].replaces
    assert not found.delete_before_replace


def _name(checker: Checker, old: Properties | None, new: Properties | None = None) -> Value:
    metadata = checker.check(_resource(), old, new or {}).inputs["metadata"]
    return metadata["name"] if isinstance(metadata, dict) else None


def test_names_are_the_same_in_every_run_and_other_for_a_replacement() -> None:
    first = Checker(None, "default").check(_resource(), None, {"data": {"a": "1"}}).inputs
    checker = Checker(None, "default")
    name = _name(checker, None)
    assert isinstance(name, str)
    assert name.startswith("settings-")
    assert len(name) == len("settings-") + 8
    assert first["metadata"] == {"name": name, "annotations": {AUTONAMED: "true"}, "namespace": "default"}
    assert _name(checker, first) == name
    replacement = _name(checker, None)
    assert replacement != name
    again = Checker(None, "default")
    _name(again, first)
    assert _name(again, None) == replacement


def test_a_name_that_is_given_or_not_known_yet_is_kept() -> None:
    checker = Checker(None, "default")
    assert _name(checker, None, {"metadata": {"name": "mine"}}) == "mine"
    assert _name(checker, None, {"metadata": {"name": UNKNOWN}}) is UNKNOWN
    assert checker.check(_resource(), None, {"metadata": UNKNOWN}).inputs["metadata"] is UNKNOWN


def test_secret_data_is_always_secret() -> None:
    resource = _resource("kubernetes:core/v1:Secret")
    inputs = Checker(None, "default").check(resource, None, {"stringData": {"a": "b"}, "type": "Opaque"}).inputs
    assert inputs["stringData"] == Secret({"a": "b"})
    assert inputs["type"] == "Opaque"


def test_custom_resources_are_placed_by_the_definition_in_the_same_program() -> None:
    checker = Checker(None, "default")
    definition = _resource("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition")
    names: Properties = {"kind": "Thing", "plural": "things"}
    spec: Properties = {"group": "example.com", "scope": "Cluster", "names": names}
    checker.check(definition, None, {"spec": spec, "metadata": {"name": "things.example.com"}})
    checked = checker.check(_resource("kubernetes:example.com/v1:Thing"), None, {"metadata": {"name": "a"}})
    assert checked.inputs["metadata"] == {"name": "a"}


@pytest.mark.parametrize(
    ("given", "before", "now", "derived"),
    [
        # The server's spelling is no change.
        ({"m": "1024Mi"}, {"m": "1Gi"}, {"m": "1Gi"}, {"m": "1024Mi"}),
        ({"m": "1024Mi"}, {"m": "1Gi"}, {"m": "2Gi"}, {"m": "2Gi"}),
        # Fields of others stay out, fields that somebody removed go.
        ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 1}, {"a": 1}),
        ({"w": "only"}, {}, {"b": 1}, {"w": "only"}),
        # A sidecar that was added by somebody else isn't ours.
        (
            {"c": [{"name": "a", "image": "x"}]},
            {"c": [{"name": "a", "image": "x", "tty": False}]},
            {"c": [{"name": "s"}, {"name": "a", "image": "y", "tty": False}]},
            {"c": [{"name": "a", "image": "y"}]},
        ),
        ({"c": ["x"]}, {"c": ["x"]}, {"c": ["x", "y"]}, {"c": ["x", "y"]}),
        ({"s": Secret("x")}, {"s": Secret("x")}, {"s": "y"}, {"s": Secret("y")}),
        (
            {"kind": "Secret", "stringData": Secret({"p": "old"})},
            {"kind": "Secret", "data": Secret({"p": base64.b64encode(b"old").decode()})},
            {"kind": "Secret", "data": {"p": base64.b64encode(b"new").decode()}},
            {"kind": "Secret", "stringData": Secret({"p": "new"})},
        ),
    ],
)
def test_refresh_sees_changes_of_our_fields_and_no_others(
    given: Properties, before: Properties, now: Properties, derived: Properties
) -> None:
    assert refreshed_inputs(given, before, now) == derived


def test_fields_of_definitions_have_the_servers_names_on_the_server() -> None:
    ours: Properties = {"x_kubernetes_list_map_keys": [{"x_kubernetes_preserve_unknown_fields": Secret(True)}]}
    theirs: Properties = {"x-kubernetes-list-map-keys": [{"x-kubernetes-preserve-unknown-fields": True}]}
    assert to_server(ours) == theirs
    assert from_server(theirs) == {"x_kubernetes_list_map_keys": [{"x_kubernetes_preserve_unknown_fields": True}]}


def test_yaml_is_decoded_and_nothing_else_is_invoked() -> None:
    assert invoke("kubernetes:yaml:decode", {"text": "a: 1\n---\n---\nb: 2\n"}) == {"result": [{"a": 1}, {"b": 2}]}
    with pytest.raises(GpuClustersError, match="can't be read"):
        invoke("kubernetes:yaml:decode", {"text": "a: ["})
    with pytest.raises(GpuClustersError, match="no function kubernetes:helm:template"):
        invoke("kubernetes:helm:template", {})


@pytest.mark.parametrize(
    ("kubeconfig", "ours"),
    [
        (_kubeconfig(), True),
        (_kubeconfig(server="https://127.0.0.1:6444"), False),
        (_kubeconfig(authority="theirs"), False),
        (_kubeconfig(server="https://prod.example.com"), False),
        (_kubeconfig(cluster={"insecure-skip-tls-verify": True}), False),
        (_kubeconfig(cluster={"proxy-url": "http://proxy"}), False),
        ("[", False),
        ("", False),
    ],
)
def test_only_a_sandbox_of_this_user_is_recognised(kubeconfig: str, ours: bool) -> None:
    assert is_sandbox_kubeconfig(kubeconfig) is ours


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "no kubeconfig"),
        ({"kubeconfig": ""}, "no kubeconfig"),
        ({"kubeconfig": "/nowhere/kubeconfig"}, "can't be read"),
        ({"kubeconfig": _kubeconfig(server="https://prod.example.com")}, "won't touch https://prod.example.com"),
        ({"kubeconfig": _kubeconfig(authority="x", cluster={"extensions": []})}, "won't touch"),
        ({"kubeconfig": _kubeconfig(), "context": "other"}, "no entry 'other' under contexts"),
        ({"kubeconfig": "a: ["}, "can't be read"),
    ],
)
def test_no_other_cluster_is_ever_touched(
    config: Properties, words: str, sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(sandbox))
    with pytest.raises(OperationError, match=words):
        SimulatedKubernetes().configure(config)


def test_another_context_than_the_sandboxs_is_refused() -> None:
    document = yaml.safe_load(_kubeconfig())
    document["clusters"].append({"name": "prod", "cluster": {"server": "https://prod.example.com"}})
    document["contexts"].append({"name": "prod", "context": {"cluster": "prod", "user": "u"}})
    both = yaml.safe_dump(document)
    assert is_sandbox_kubeconfig(both)
    for override in ({"context": "prod"}, {"cluster": "prod"}):
        with pytest.raises(OperationError, match=r"won't touch https://prod\.example\.com"):
            SimulatedKubernetes().configure({"kubeconfig": both, **override})


def test_the_rule_for_what_is_allowed_sees_one_cluster_alone() -> None:
    seen: list[str] = []
    with pytest.raises(OperationError, match="won't touch"):
        SimulatedKubernetes(lambda content: bool(seen.append(content))).configure(
            {"kubeconfig": _kubeconfig(cluster={"extensions": []})}
        )
    assert [entry["name"] for entry in yaml.safe_load(seen[0])["clusters"]] == ["c"]


def test_a_sandbox_that_moved_to_another_port_is_followed() -> None:
    stale = resolve({"kubeconfig": _kubeconfig(server="https://127.0.0.1:1")})
    assert moved(stale).server == "https://127.0.0.1:6443"
    assert is_sandbox_kubeconfig(moved(stale).content)


def test_what_was_in_a_deleted_sandbox_is_gone_and_nothing_can_be_made_there(sandbox: Path) -> None:
    sandbox.rename(sandbox.parent.parent / ".default.deleted-x")
    configured = SimulatedKubernetes().configure({"kubeconfig": _kubeconfig()})
    assert isinstance(configured, GoneResources)
    assert configured.read(_resource(), State("a", {"a": 1})).id == ""
    configured.delete(_resource(), State("a", {}), Options())
    with pytest.raises(OperationError, match="gpu-clusters sandbox start --name default"):
        configured.create(_resource(), {}, Options())


@pytest.mark.parametrize(
    ("old", "new", "changed", "replaces"),
    [
        ({}, {}, [], False),
        ({"kubeconfig": _kubeconfig()}, {"kubeconfig": _kubeconfig(authority="new")}, ["kubeconfig"], True),
        (
            {"kubeconfig": _kubeconfig()},
            {"kubeconfig": _kubeconfig(server="https://127.0.0.1:2")},
            ["kubeconfig"],
            False,
        ),
        ({"kubeconfig": _kubeconfig()}, {"kubeconfig": UNKNOWN}, ["kubeconfig"], True),
        (
            {"kubeconfig": _kubeconfig(), "clusterIdentifier": "a"},
            {"kubeconfig": _kubeconfig(authority="new"), "clusterIdentifier": "a"},
            ["kubeconfig"],
            False,
        ),
        (
            {"kubeconfig": _kubeconfig(), "clusterIdentifier": "a"},
            {"kubeconfig": _kubeconfig(), "clusterIdentifier": "b"},
            ["clusterIdentifier"],
            True,
        ),
        (
            {"kubeconfig": _kubeconfig(), "namespace": "a"},
            {"kubeconfig": _kubeconfig(), "namespace": "b"},
            ["namespace"],
            False,
        ),
    ],
)
def test_only_another_cluster_replaces_the_provider(
    old: Properties, new: Properties, changed: list[str], replaces: bool
) -> None:
    found = SimulatedKubernetes().diff_config(old, new)
    assert list(found.changes) == changed
    assert any(change.replaces for change in found.changes.values()) is replaces
