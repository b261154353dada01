"""The clusters of a rehearsal on real API servers: pools, scaling, roll-outs, hopeless pods, what a cloud does."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from cluster_api import Api, Json, at, until
from gpu_clusters._paths import STATE_VARIABLE
from gpu_clusters.controlplane import Sandbox, sandboxes
from gpu_clusters.errors import OperationError
from gpu_clusters.kube.kubeconfig import parse
from gpu_clusters.rehearsal.clusters import Patience, SimulatedWorld
from gpu_clusters.rehearsal.providers.interface import Options, Resource, ResourceNotReadyError
from gpu_clusters.rehearsal.providers.kubernetes import SimulatedKubernetes
from gpu_clusters.rehearsal.providers.values import Properties
from gpu_clusters.rehearsal.world import NodeTaint, NodeTemplate, Scaled, SimulatedPool

SERVER = "https://0123456789ABCDEF.gr7.us-west-2.eks.amazonaws.com"
ZONE = "topology.kubernetes.io/zone"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[SimulatedWorld]:
    patience = Patience(drain=2, hopeless=2)
    with SimulatedWorld(tmp_path_factory.mktemp("world"), lambda _words: None, patience) as shared:
        shared.create_cluster(SERVER, name="inference", kubernetes_version="1.35")
        yield shared


@pytest.fixture(scope="module")
def inside(world: SimulatedWorld) -> Api:
    """The API server of the cluster."""
    return Api(world.connect(parse(kubeconfig_of(world))).content)


@pytest.fixture
def pool(world: SimulatedWorld, request: pytest.FixtureRequest) -> Generator[SimulatedPool]:
    """A pool of the test's own, with a label that no other has; not made yet."""
    name = label = _name(request)
    template = NodeTemplate(
        labels={"pool": label},
        taints=[NodeTaint(key="nvidia.com/gpu", value="present")],
        capacity={"cpu": "8", "memory": "32Gi", "pods": "58", "nvidia.com/gpu": "1"},
        topologies=[{ZONE: "us-west-2a"}, {ZONE: "us-west-2b"}],
        kubernetes_version="1.35",
    )
    yield SimulatedPool(name=f"node group {name}", node_prefix=name, minimum=0, maximum=3, desired=0, template=template)
    world.delete_pool(SERVER, f"node group {name}")


@pytest.fixture
def namespace(inside: Api, request: pytest.FixtureRequest) -> Generator[str]:
    name = inside.namespace(_name(request))
    yield name
    inside.delete(f"/api/v1/namespaces/{name}")


def _name(request: pytest.FixtureRequest) -> str:
    """A name of the test's own that all kinds of objects may have."""
    stem, _, case = request.node.name.removeprefix("test_").partition("[")
    return f"{case.rstrip(']')}-{stem}".lower().replace("_", "-").strip("-")[:40].rstrip("-")


def kubeconfig_of(world: SimulatedWorld, server: str = SERVER) -> str:
    """A kubeconfig as programs write it for EKS: its plugin must never be run."""
    plugin = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "/bin/false", "args": ["eks"]}
    cluster = {"server": server}
    if server == SERVER:
        cluster["certificate-authority-data"] = world.authority(server)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"exec": plugin}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    return json.dumps(document)


def deployment(name: str, pool: SimulatedPool, replicas: int, **pod: object) -> Json:
    resources = {"limits": {"nvidia.com/gpu": "1"}}
    spec = {
        "nodeSelector": dict(pool.template.labels),
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": "simulated", "resources": resources}],
        **pod,
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    body = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def deploy(api: Api, namespace: str, body: Json, *, ready: int | None = None) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    api.create(path, body)
    name = at(body, "metadata")["name"]
    if ready is not None:
        until(lambda: at(api.get(f"{path}/{name}"), "status").get("availableReplicas") == ready, 60)


def nodes(api: Api, pool: SimulatedPool) -> list[Json]:
    listed = api.get("/api/v1/nodes")
    found = cast("list[Json]", listed["items"])
    return [node for node in found if at(node, "metadata", "labels").get("pool") == pool.template.labels["pool"]]


def test_a_pools_nodes_are_what_its_template_says(world: SimulatedWorld, inside: Api, pool: SimulatedPool) -> None:
    assert world.set_pool(SERVER, replace(pool, desired=2)).desired == 2
    first, second = nodes(inside, pool)
    assert {at(node, "metadata", "labels")[ZONE] for node in (first, second)} == {"us-west-2a", "us-west-2b"}
    assert at(first, "status", "allocatable")["nvidia.com/gpu"] == "1"
    assert at(first, "status", "nodeInfo")["kubeletVersion"] == "v1.35"
    assert at(first, "spec")["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    assert world.set_pool(SERVER, replace(pool, desired=1)).desired == 1
    assert len(nodes(inside, pool)) == 1


def test_a_pool_grows_from_zero_up_to_its_maximum_and_what_is_too_much_stays_pending(
    world: SimulatedWorld, inside: Api, pool: SimulatedPool, namespace: str
) -> None:
    world.set_pool(SERVER, pool)
    deploy(inside, namespace, deployment("many", pool, 4), ready=3)
    assert (
        Scaled(cluster="inference", pool=pool.name, before=0, after=3, reason="pods were Pending for want of nodes")
        in world.journal.scaled
    )
    (pending,) = [one for one in world.pending() if one.namespace == namespace]
    assert "Insufficient nvidia.com/gpu" in pending.reason
    # The same settings once more don't undo what the autoscaler did.
    assert world.set_pool(SERVER, pool).desired == 3


def test_a_pool_that_comes_after_its_pods_serves_them(
    world: SimulatedWorld, inside: Api, pool: SimulatedPool, namespace: str
) -> None:
    deploy(inside, namespace, deployment("early", pool, 1))
    world.set_pool(SERVER, pool)
    until(lambda: not [one for one in world.pending() if one.namespace == namespace])


@pytest.mark.parametrize(
    ("surge", "peak", "lowest"),
    [pytest.param(0, 3, 2, id="minimal"), pytest.param(1, 4, 3, id="default")],
)
def test_an_update_of_a_full_pool_uses_no_more_nodes_than_its_strategy_says(
    world: SimulatedWorld, inside: Api, pool: SimulatedPool, namespace: str, surge: int, peak: int, lowest: int
) -> None:
    fixed = replace(pool, minimum=3, maximum=3, desired=3, surge=surge)
    world.set_pool(SERVER, fixed)
    deploy(inside, namespace, deployment("full", pool, 3), ready=3)
    upgraded = replace(fixed, template=replace(fixed.template, kubernetes_version="1.36"))
    assert world.set_pool(SERVER, upgraded).desired == 3
    (rollout,) = [one for one in world.journal.rollouts if one.pool == pool.name]
    assert (rollout.nodes, rollout.maximum, rollout.peak, rollout.lowest, rollout.blocked) == (3, 3, peak, lowest, ())
    assert {at(node, "status", "nodeInfo")["kubeletVersion"] for node in nodes(inside, pool)} == {"v1.36"}


def test_an_update_with_room_leaves_no_gap(world: SimulatedWorld, pool: SimulatedPool) -> None:
    world.set_pool(SERVER, replace(pool, desired=2))
    world.set_pool(SERVER, replace(pool, desired=2, template=replace(pool.template, image="next")))
    (rollout,) = [one for one in world.journal.rollouts if one.pool == pool.name]
    assert (rollout.nodes, rollout.peak, rollout.lowest) == (2, 3, 2)


def test_new_labels_and_taints_replace_no_node(world: SimulatedWorld, inside: Api, pool: SimulatedPool) -> None:
    world.set_pool(SERVER, replace(pool, desired=1))
    (before,) = nodes(inside, pool)
    template = replace(pool.template, labels={**pool.template.labels, "team": "search"}, taints=[])
    world.set_pool(SERVER, replace(pool, desired=1, template=template))
    (after,) = nodes(inside, pool)
    assert at(after, "metadata")["uid"] == at(before, "metadata")["uid"]
    assert at(after, "metadata", "labels")["team"] == "search"
    assert "taints" not in at(after, "spec")
    assert not [one for one in world.journal.rollouts if one.pool == pool.name]


def test_a_drain_that_a_budget_blocks_is_reported_in_the_api_servers_words(
    world: SimulatedWorld, inside: Api, pool: SimulatedPool, namespace: str
) -> None:
    world.set_pool(SERVER, replace(pool, desired=1))
    deploy(inside, namespace, deployment("guarded", pool, 1), ready=1)
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "guarded"}}}
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    inside.create(path, {"metadata": {"name": "all"}, "spec": budget})
    until(lambda: at(inside.get(f"{path}/all"), "status").get("currentHealthy") == 1)
    changed = replace(pool, desired=1, surge=0, template=replace(pool.template, image="next"))
    with pytest.raises(OperationError, match="PodEvictionFailure"):
        world.set_pool(SERVER, changed)
    (rollout,) = [one for one in world.journal.rollouts if one.pool == pool.name]
    assert "The disruption budget all needs 1 healthy pods and has 1 currently" in rollout.blocked[0]
    inside.delete(f"{path}/all")
    # Once there is room, the same update goes on from where it stopped.
    assert world.set_pool(SERVER, changed).desired == 1


def provider_in(world: SimulatedWorld) -> SimulatedKubernetes:
    return SimulatedKubernetes(world=world)


def create(world: SimulatedWorld, namespace: str, kind: str, body: Json) -> None:
    """Create something through the provider, as a program would."""
    configured = provider_in(world).configure({"kubeconfig": kubeconfig_of(world), "namespace": namespace})
    resource = Resource("urn:pulumi:s::p::t::n", f"kubernetes:{kind}", "n")
    inputs = configured.check(resource, None, cast(Properties, body)).inputs
    configured.create(resource, inputs, Options())


def test_a_deployment_that_no_pool_can_serve_fails_soon_with_the_schedulers_words(
    world: SimulatedWorld, pool: SimulatedPool, namespace: str
) -> None:
    with pytest.raises(ResourceNotReadyError, match=r"Unschedulable: .*nodes? ?.*available"):
        create(world, namespace, "apps/v1:Deployment", deployment("hopeless", pool, 1))


def test_a_deployment_whose_pods_a_quota_refuses_fails_soon_with_its_words(
    world: SimulatedWorld, inside: Api, pool: SimulatedPool, namespace: str
) -> None:
    quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
    inside.create(quotas, {"metadata": {"name": "none"}, "spec": {"hard": {"requests.nvidia.com/gpu": "0"}}})
    until(lambda: at(inside.get(f"{quotas}/none"), "status").get("hard"))
    with pytest.raises(ResourceNotReadyError, match="exceeded quota: none"):
        create(world, namespace, "apps/v1:Deployment", deployment("refused", pool, 1))
    (pending,) = [one for one in world.pending() if one.namespace == namespace]
    assert pending.name.startswith("ReplicaSet refused-")
    assert "exceeded quota: none" in pending.reason


def test_a_load_balancer_gets_an_address_that_is_seen_to_be_simulated(
    world: SimulatedWorld, inside: Api, namespace: str
) -> None:
    service = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    create(world, namespace, "core/v1:Service", {"metadata": {"name": "web"}, "spec": service})
    status = at(inside.get(f"/api/v1/namespaces/{namespace}/services/web"), "status", "loadBalancer")
    (ingress,) = cast("list[dict[str, str]]", status["ingress"])
    assert ingress["hostname"].startswith("simulated-")
    assert ingress["hostname"].endswith(".elb.us-west-2.amazonaws.com")


@pytest.mark.parametrize("mode", ["Immediate", "WaitForFirstConsumer"])
def test_a_pod_gets_its_volume(
    world: SimulatedWorld, inside: Api, pool: SimulatedPool, namespace: str, mode: str
) -> None:
    classes = "/apis/storage.k8s.io/v1/storageclasses"
    name = mode.lower()
    inside.create(classes, {"metadata": {"name": name}, "provisioner": "ebs.csi.aws.com", "volumeBindingMode": mode})
    claim = {
        "storageClassName": name,
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
    }
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    inside.create(claims, {"metadata": {"name": "data"}, "spec": claim})
    world.set_pool(SERVER, replace(pool, desired=1))
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    deploy(inside, namespace, deployment("stateful", pool, 1, volumes=[volume]), ready=1)
    bound = at(inside.get(f"{claims}/data"), "spec")["volumeName"]
    assert at(inside.get(f"/api/v1/persistentvolumes/{bound}"), "spec", "csi")["driver"] == "ebs.csi.aws.com"
    inside.delete(f"/apis/apps/v1/namespaces/{namespace}/deployments/stateful")
    inside.delete(f"{claims}/data")
    until(lambda: not inside.exists(f"/api/v1/persistentvolumes/{bound}"), 40)


def test_a_kubeconfig_of_a_cluster_outside_the_program_gets_an_empty_one_of_its_own(world: SimulatedWorld) -> None:
    elsewhere = parse(kubeconfig_of(world, "https://10.0.0.1:6443"), will_be_contacted=False)
    with ThreadPoolExecutor(8) as many:
        found = list(many.map(world.connect, [elsewhere] * 4 + [None] * 4))
    servers = {one.server for one in found}
    assert len(servers) == 2
    assert all(server.startswith("https://127.0.0.1:") for server in servers)
    named = {entry.resource for entry in world.journal.unchecked}
    assert {"https://10.0.0.1:6443", "the cluster of the ambient kubeconfig", "inference"} <= named
    assert Api(found[0].content).get("/api/v1/nodes")["items"] == []


def test_a_sandbox_of_the_rehearsal_is_found_by_its_own_kubeconfig(world: SimulatedWorld) -> None:
    kubeconfig = world.start_sandbox("mine")
    assert world.connect(parse(kubeconfig)).server == parse(kubeconfig).server
    assert "mine" in sandboxes()


def test_deleting_a_cluster_says_what_it_leaves_behind_at_the_cloud(world: SimulatedWorld) -> None:
    server = "https://LEFT.gr7.eu-west-1.eks.amazonaws.com"
    world.create_cluster(server, name="left", kubernetes_version="1.36")
    api = Api(world.connect(parse(kubeconfig_of(world, server), will_be_contacted=False)).content)
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    api.create("/api/v1/namespaces/default/services", {"metadata": {"name": "web"}, "spec": spec})
    world.delete_cluster(server)
    world.delete_cluster(server)
    found = {(entry.kind, entry.name) for entry in world.journal.leftovers}
    assert found >= {
        ("loadBalancer", "left: Service default/web"),
        ("networkInterface", "interfaces of left: Service default/web"),
    }
    with pytest.raises(OperationError, match="the cluster left was deleted"):
        world.connect(parse(kubeconfig_of(world, server), will_be_contacted=False))


def definition(group: str, kind: str, plural: str) -> Mapping[str, object]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [version],
        },
    }


def is_served(api: Api, path: str) -> bool:
    try:
        return api.exists(path)
    except ValueError:
        # Of a group that it doesn't serve yet, the API server speaks in plain text.
        return False


def test_a_node_pool_starts_machines_within_its_limits(
    world: SimulatedWorld, inside: Api, pool: SimulatedPool, namespace: str
) -> None:
    for group, kind, plural in (
        ("karpenter.sh", "NodePool", "nodepools"),
        ("karpenter.k8s.aws", "EC2NodeClass", "ec2nodeclasses"),
    ):
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        inside.create(path, dict(definition(group, kind, plural)))
        until(partial(is_served, inside, f"/apis/{group}/v1/{plural}"))
    classes = "/apis/karpenter.k8s.aws/v1/ec2nodeclasses"
    inside.create(classes, {"apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "gpu"}})
    machines = {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["g6.xlarge"]}
    inner = {
        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "gpu"},
        "requirements": [machines],
        "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
    }
    template = {"metadata": {"labels": dict(pool.template.labels)}, "spec": inner}
    pools = "/apis/karpenter.sh/v1/nodepools"
    spec = {"template": template, "limits": {"nvidia.com/gpu": "2"}}
    body: Json = {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "l4"}, "spec": spec}
    inside.create(pools, body)
    deploy(inside, namespace, deployment("three", pool, 3), ready=2)
    names = {node["metadata"]["name"] for node in cast("list[dict[str, dict[str, str]]]", nodes(inside, pool))}
    assert names == {"l4-0", "l4-1"}
    assert {one.pool for one in world.journal.scaled} >= {"NodePool l4"}
    inside.delete(f"{pools}/l4")
    until(lambda: not nodes(inside, pool), 40)


def test_at_its_end_nothing_of_a_world_is_left(tmp_path: Path) -> None:
    before = os.environ.get(STATE_VARIABLE)
    started: list[Sandbox] = []

    def fail() -> None:
        with SimulatedWorld(tmp_path, lambda _words: None) as short:
            short.create_cluster("https://short.example", name="short", kubernetes_version="")
            started.append(Sandbox(sandboxes()[0]))
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert os.environ.get(STATE_VARIABLE) == before
    assert started[0].status().state == "absent"
    assert not any((tmp_path / "sandboxes").glob("*/state.json"))
