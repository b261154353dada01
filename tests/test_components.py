"""What the components make of their arguments, seen by the recording monitor: no engine, cluster or network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pulumi
import pytest
from gpu_clusters import (
    ConfigErrors,
    Gpu,
    GpuPool,
    Images,
    LlmNamespace,
    LlmNamespaceArgs,
    LlmService,
    LlmServiceArgs,
    Mig,
    Mps,
    Nodes,
    PlatformManaged,
    ProblemId,
    Replicas,
    Taint,
    TimeSlicing,
)
from gpu_clusters.config import load_stack
from gpu_clusters.preview.recorder import SECRET, Json, RecordedResource, Recording, record
from gpu_clusters.sandbox import SandboxCluster, SandboxClusterArgs
from gpu_clusters.stack import build
from syrupy.assertion import SnapshotAssertion

pytestmark = pytest.mark.usefixtures("recorded_sandbox")

L4 = GpuPool(name="l4", gpu=Gpu.L4, nodes=Nodes(min=2, max=4))
MISTRAL = LlmServiceArgs(model="mistralai/Mistral-7B-Instruct-v0.3", revision="c170c70", gpu=Gpu.L4)


def at(value: Json, *keys: str | int) -> Json:
    """A part of recorded inputs; None where it isn't there."""
    for key in keys:
        if isinstance(value, list) and isinstance(key, int):
            value = value[key]
        else:
            value = value.get(str(key)) if isinstance(value, dict) else None
    return value


def one(recording: Recording, type_: str, name: str) -> RecordedResource:
    return next(resource for resource in recording.of_type(type_) if resource.name == name)


def stack_of(
    *services: tuple[str, LlmServiceArgs],
    pools: tuple[GpuPool, ...] = (L4,),
    gpus: int = 4,
    images: Images | None = None,
) -> Callable[[], None]:
    """A program: one cluster, one tenant, and these services."""

    def program() -> None:
        cluster = SandboxCluster("c", SandboxClusterArgs(gpu_pools=pools, images=images or Images()))
        tenant = LlmNamespace("t", LlmNamespaceArgs(gpus={Gpu.L4: gpus} if gpus else {}), cluster=cluster)
        for name, args in services:
            LlmService(name, args, namespace=tenant)

    return program


def test_the_sandbox_stack_makes_this_graph(root: Path, snapshot: SnapshotAssertion) -> None:
    args = load_stack(root / "stacks" / "Pulumi.sandbox.yaml")
    recording = record(lambda: build(args) and None)
    assert sorted((resource.urn, resource.inputs) for resource in recording.resources) == snapshot  # type: ignore[comparison-overlap]


def test_every_child_is_parented_and_uses_the_clusters_provider() -> None:
    recording = record(stack_of(("s", MISTRAL)))
    kubernetes = [resource for resource in recording.resources if resource.type.startswith("kubernetes:")]
    assert len(kubernetes) > 20
    assert all(resource.parent for resource in kubernetes)
    assert all("c-kubernetes" in resource.provider for resource in kubernetes)


@pytest.mark.parametrize(
    ("pool", "capacity"),
    [
        (GpuPool(name="p", gpu=Gpu.H100, gpus_per_node=8, nodes=Nodes(min=1, max=1)), {"nvidia.com/gpu": "8"}),
        (
            GpuPool(name="p", gpu=Gpu.H100, nodes=Nodes(min=1, max=1), sharing=Mig(profile="1g.10gb")),
            {"nvidia.com/gpu": "7"},
        ),
        (
            GpuPool(
                name="p", gpu=Gpu.H100, nodes=Nodes(min=1, max=1), sharing=Mig(profile="3g.40gb", strategy="mixed")
            ),
            {"nvidia.com/mig-3g.40gb": "2"},
        ),
        (
            GpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(min=1, max=1), sharing=TimeSlicing(replicas=4)),
            {"nvidia.com/gpu.shared": "4"},
        ),
    ],
)
def test_a_simulated_node_has_what_the_pool_says(pool: GpuPool, capacity: dict[str, str]) -> None:
    recording = record(stack_of(pools=(pool,), gpus=0))
    node = one(recording, "kubernetes:core/v1:Node", "c-p-0").inputs
    annotation = str(at(node, "metadata", "annotations", "sandbox.gpu-clusters.dev/capacity"))
    assert all(f'"{resource}": "{count}"' in annotation for resource, count in capacity.items())
    assert at(node, "metadata", "labels", "gpu-clusters.dev/gpu") == pool.gpu.value
    assert at(node, "spec", "taints") == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]


def test_each_pool_gets_one_device_plugin_unless_its_platform_brings_it() -> None:
    pools = (
        L4,
        GpuPool(name="mig", gpu=Gpu.H100, nodes=Nodes(max=1), sharing=Mig(profile="1g.10gb", strategy="mixed")),
        GpuPool(name="mps", gpu=Gpu.H100, nodes=Nodes(max=1), sharing=Mps(replicas=2)),
        GpuPool(name="own", gpu=Gpu.H100, nodes=Nodes(max=1), devices=PlatformManaged()),
    )
    recording = record(stack_of(pools=pools))
    plugins = {
        p.name: at(p.inputs, "spec", "template", "spec") for p in recording.of_type("kubernetes:apps/v1:DaemonSet")
    }
    assert sorted(plugins) == ["c-devices-l4", "c-devices-mig", "c-devices-mps"]
    environment = {
        name: {at(entry, "name"): at(entry, "value") for entry in cast("list[Json]", at(pod, "containers", 0, "env"))}
        for name, pod in plugins.items()
    }
    assert {name: env["MIG_STRATEGY"] for name, env in environment.items()} == {
        "c-devices-l4": "none",
        "c-devices-mig": "mixed",
        "c-devices-mps": "none",
    }
    config = str(
        at(one(recording, "kubernetes:core/v1:ConfigMap", "c-devices-mps-config").inputs, "data", "config.json")
    )
    assert '"replicas": 2' in config
    assert "failRequestsGreaterThanOne" not in config


def test_a_quota_names_every_gpu_resource_of_the_cluster() -> None:
    pools = (L4, GpuPool(name="m", gpu=Gpu.H100, nodes=Nodes(max=1), sharing=Mig(profile="1g.10gb", strategy="mixed")))
    hard = at(one(record(stack_of(pools=pools)), "kubernetes:core/v1:ResourceQuota", "t-quota").inputs, "spec", "hard")
    assert at(hard, "requests.nvidia.com/gpu") == "4"
    assert at(hard, "requests.nvidia.com/mig-1g.10gb") == "0"


@pytest.mark.parametrize(
    ("quota", "replicas", "others", "surge", "gap"),
    [
        (4, 2, 0, 1, False),
        (2, 2, 0, 0, False),
        (1, 1, 0, 0, True),
        (2, 1, 0, 1, False),
        (2, 1, 1, 0, True),
    ],
)
def test_a_roll_out_surges_only_where_quota_and_pools_hold_it(
    quota: int, replicas: int, others: int, surge: int, gap: bool
) -> None:
    # A service that is declared later counts as well: the decision is made when all of the tenant's are known.
    first = LlmServiceArgs(model=MISTRAL.model, revision="c170c70", gpu=Gpu.L4, replicas=Replicas(min=replicas))
    services = [("s", first), *((f"other-{n}", MISTRAL) for n in range(others))]
    recording = record(stack_of(*services, gpus=quota))
    strategy = at(one(recording, "kubernetes:apps/v1:Deployment", "s").inputs, "spec", "strategy", "rollingUpdate")
    assert strategy == {"maxSurge": surge, "maxUnavailable": 1 - surge}
    found = {finding.resource for finding in recording.findings if finding.id is ProblemId.ROLLOUT_GAP}
    assert ("LlmService s" in found) is gap


def test_one_setting_moves_every_image() -> None:
    recording = record(stack_of(("s", MISTRAL), images=Images(registry="r.example.com")))
    kinds = ("kubernetes:apps/v1:DaemonSet", "kubernetes:apps/v1:Deployment")
    workloads = [resource for kind in kinds for resource in recording.of_type(kind)]
    images = [at(w.inputs, "spec", "template", "spec", "containers", 0, "image") for w in workloads]
    assert len(images) == 2
    assert all(str(image).startswith("r.example.com/") for image in images)


def test_a_token_is_a_secret_from_end_to_end() -> None:
    planted = "hf_planted"

    def program() -> None:
        cluster = SandboxCluster("c", SandboxClusterArgs(gpu_pools=[L4]))
        tenant = LlmNamespace("t", LlmNamespaceArgs(gpus={Gpu.L4: 1}), cluster=cluster)
        LlmService("s", MISTRAL, namespace=tenant, hugging_face_token=planted)

    recording = record(program)
    assert planted not in repr(recording)
    assert at(one(recording, "kubernetes:core/v1:Secret", "s-hugging-face").inputs, "stringData") == SECRET
    provider = one(recording, "pulumi:providers:kubernetes", "c-kubernetes")
    assert provider.inputs["kubeconfig"] == SECRET


def test_pods_tolerate_the_taints_of_their_pools() -> None:
    pool = GpuPool(name="l4", gpu=Gpu.L4, nodes=Nodes(max=4), taints=[Taint(key="team", value="a", effect="NoExecute")])
    deployment = one(record(stack_of(("s", MISTRAL), pools=(pool,))), "kubernetes:apps/v1:Deployment", "s")
    assert at(deployment.inputs, "spec", "template", "spec", "tolerations") == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "team", "operator": "Equal", "value": "a", "effect": "NoExecute"},
    ]


@pytest.mark.parametrize(
    ("program", "errors"),
    [
        (
            stack_of(("S", LlmServiceArgs(model=MISTRAL.model, gpu=Gpu.H100))),
            ["LlmService('S').name: 'S' is not a name", "LlmService('S').gpu: no pool of the cluster has H100-SXM5"],
        ),
        (
            stack_of(("a", MISTRAL), ("b", MISTRAL), gpus=1),
            ["LlmService('b').replicas: 1 x 1 L4, beside 1 of the tenant's other services, exceed the tenant's quota"],
        ),
        (stack_of(pools=()), ["LlmNamespace('t').gpus.l4: no pool of the cluster has L4 GPUs: it has none"]),
    ],
)
def test_what_a_component_can_see_to_be_wrong_is_refused_when_it_is_built(
    program: Callable[[], None], errors: list[str]
) -> None:
    with pytest.raises(ConfigErrors) as refused:
        record(program)
    found = [str(error) for error in refused.value.errors]
    assert len(found) == len(errors)
    assert all(line.startswith(start) for line, start in zip(found, errors, strict=True)), found


@pytest.mark.parametrize(
    ("args", "gpus", "found"),
    [
        (MISTRAL, 1, {ProblemId.IMAGE_UNPINNED, ProblemId.ROLLOUT_GAP}),
        (
            LlmServiceArgs(model=MISTRAL.model, gpu=Gpu.L4, replicas=Replicas(min=2, max=3), image="a/b@sha256:0"),
            4,
            {ProblemId.REVISION_UNPINNED, ProblemId.NO_AUTOSCALER, ProblemId.CACHE_PER_POD},
        ),
        (MISTRAL, 9, {ProblemId.IMAGE_UNPINNED, ProblemId.POOL_TOO_SMALL}),
    ],
)
def test_what_might_go_wrong_is_a_finding(args: LlmServiceArgs, gpus: int, found: set[ProblemId]) -> None:
    recording = record(stack_of(("s", args), gpus=gpus))
    assert {finding.id for finding in recording.findings} == found | {ProblemId.NETWORK_POLICY_NOT_ENFORCED}
    assert all(finding.problem and finding.remedy and finding.resource for finding in recording.findings)


def test_the_url_is_exported_as_openai_clients_want_it() -> None:
    def program() -> None:
        cluster = SandboxCluster("c", SandboxClusterArgs(gpu_pools=[L4]))
        tenant = LlmNamespace("t", LlmNamespaceArgs(gpus={Gpu.L4: 1}), cluster=cluster)
        pulumi.export("url", LlmService("s", MISTRAL, namespace=tenant).url)

    assert record(program).outputs == {"url": "http://s.t.svc.cluster.local:8000/v1"}
