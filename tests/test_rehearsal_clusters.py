"""What a rehearsal's autoscaler decides: quantities, fits and plans as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest
from gpu_clusters.eks.machines import machine
from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.clusters.fitting import Place, admits, requests
from gpu_clusters.rehearsal.clusters.karpenter import capacity, machine_labels, templates
from gpu_clusters.rehearsal.clusters.nodes import manifest
from gpu_clusters.rehearsal.clusters.planning import Offer, plan
from gpu_clusters.rehearsal.clusters.quantities import amount
from gpu_clusters.rehearsal.world import Journal, NodeTaint, NodeTemplate, Rollout, Scaled

Spec = Mapping[str, object]

GPU_TAINT = NodeTaint(key="nvidia.com/gpu", value="present")
TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists"}


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("2", "2"),
        (3, "3"),
        ("500m", "0.5"),
        ("1.5", "1.5"),
        ("16Gi", "17179869184"),
        ("1k", "1000"),
        ("1e3", "1000"),
        ("1E", "1000000000000000000"),
        ("nonsense", "0"),
    ],
)
def test_a_quantity_is_its_number(quantity: object, number: str) -> None:
    assert amount(quantity) == Decimal(number)


def container(**resources: str) -> dict[str, object]:
    return {"name": "main", "resources": {"requests": resources}}


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [container(cpu="1"), container(cpu="500m")]}, "1.5"),
        ({"containers": [container(cpu="1")], "initContainers": [container(cpu="4")]}, "4"),
        (
            {"containers": [container(cpu="1")], "initContainers": [{**container(cpu="2"), "restartPolicy": "Always"}]},
            "3",
        ),
        ({"containers": [container(cpu="1")], "overhead": {"cpu": "250m"}}, "1.25"),
    ],
    ids=["sum", "init container", "sidecar", "overhead"],
)
def test_a_pod_asks_for_what_the_scheduler_counts(spec: Spec, cpu: str) -> None:
    assert requests(spec) == {"cpu": Decimal(cpu), "pods": Decimal(1)}


def near(key: str, operator: str, *values: str) -> dict[str, object]:
    terms = [{"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"affinity": {"nodeAffinity": required}, "tolerations": [TOLERATION]}


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ({}, False),
        ({"tolerations": [TOLERATION]}, True),
        ({"tolerations": [{"operator": "Exists"}]}, True),
        ({"tolerations": [{"key": "nvidia.com/gpu", "value": "present"}]}, True),
        ({"tolerations": [{"key": "nvidia.com/gpu", "value": "other"}]}, False),
        ({"tolerations": [{**TOLERATION, "effect": "NoExecute"}]}, False),
        ({"tolerations": [TOLERATION], "nodeSelector": {"gpu": "l4"}}, True),
        ({"tolerations": [TOLERATION], "nodeSelector": {"gpu": "h100"}}, False),
        (near("gpu", "In", "l4", "l40s"), True),
        (near("gpu", "NotIn", "l4"), False),
        (near("gpu", "Exists"), True),
        (near("other", "DoesNotExist"), True),
        (near("count", "Gt", "3"), True),
        (near("count", "Lt", "4"), False),
        (near("gpu", "Gt", "3"), False),
    ],
)
def test_labels_and_taints_let_a_pod_onto_a_node_as_the_scheduler_would(spec: Spec, fits: bool) -> None:
    assert admits(spec, Place({"gpu": "l4", "count": "4"}, [GPU_TAINT], {})) is fits


def pod(name: str, gpus: int = 1, **more: object) -> dict[str, object]:
    wanted = {"nvidia.com/gpu": str(gpus)} if gpus else {"cpu": "1"}
    spec = {"containers": [container(**wanted)], "tolerations": [TOLERATION] if gpus else [], **more}
    return {"metadata": {"uid": name}, "spec": spec}


def template(gpus: int, **more: str) -> NodeTemplate:
    extra = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    return NodeTemplate(
        labels=more, capacity={"cpu": "8", "memory": "32Gi", **extra}, taints=[GPU_TAINT] if gpus else []
    )


def offer(pool: str, gpus: int, room: int = 9, **more: str) -> Offer:
    return Offer(pool=pool, template=template(gpus, **more), room=room)


def place(gpus: int) -> Place:
    return Place({}, [GPU_TAINT], {"nvidia.com/gpu": Decimal(gpus), "pods": Decimal(110)}, "there")


@pytest.mark.parametrize(
    ("pods", "places", "offers", "nodes", "homeless"),
    [
        ([pod("a")], [], [offer("one", 1)], {0: 1}, set[str]()),
        ([pod(str(n)) for n in range(16)], [], [offer("eight", 8)], {0: 2}, set[str]()),
        ([pod("a")], [], [offer("eight", 8), offer("one", 1)], {1: 1}, set[str]()),
        ([pod("a", gpus=8)], [], [offer("one", 1), offer("eight", 8)], {1: 1}, set[str]()),
        ([pod("a"), pod("b")], [place(1)], [offer("one", 1)], {0: 1}, set[str]()),
        ([pod("a"), pod("b")], [], [offer("one", 1, room=1)], {0: 1}, {"b"}),
        ([pod("a", gpus=0)], [], [offer("one", 1), offer("system", 0)], {1: 1}, set[str]()),
        ([pod("a", gpus=0)], [], [offer("one", 1)], {}, {"a"}),
        ([pod("a", nodeSelector={"gpu": "h100"})], [], [offer("l4", 1, gpu="l4")], {}, {"a"}),
        ([pod("a", gpus=16)], [], [offer("eight", 8)], {}, {"a"}),
    ],
    ids=[
        *("from zero", "in bulk", "wastes fewest GPUs", "big enough", "what is free first", "up to the maximum"),
        *("CPU pods on CPU nodes", "taints keep away", "labels keep away", "no node is as big"),
    ],
)
def test_pools_are_scaled_for_the_pods_that_wait(
    pods: Sequence[Spec],
    places: Sequence[Place],
    offers: Sequence[Offer],
    nodes: dict[int, int],
    homeless: set[str],
) -> None:
    decided = plan(pods, places, offers)
    assert (decided.nodes, decided.homeless) == (nodes, homeless)


def test_a_pod_that_is_kept_off_the_nodes_of_others_gets_one_of_its_own() -> None:
    assert plan([pod("a"), pod("b")], [place(8)], [offer("eight", 8)], alone={"b"}).nodes == {0: 1}


def test_daemons_take_their_share_of_a_new_node() -> None:
    daemon = {"containers": [container(cpu="6")], "tolerations": [TOLERATION]}
    busy = {"metadata": {"uid": "a"}, "spec": {"containers": [container(cpu="4")], "tolerations": [TOLERATION]}}
    assert plan([busy], [], [offer("one", 1)]).homeless == set()
    assert plan([busy], [], [offer("one", 1)], [daemon]).homeless == {"a"}


def test_the_limits_of_a_node_pool_are_kept() -> None:
    limited = Offer(pool="p", template=template(8), room=9, limits={"nvidia.com/gpu": Decimal(16)})
    decided = plan([pod(str(n), gpus=8) for n in range(3)], [], [limited])
    assert (decided.nodes, len(decided.homeless)) == ({0: 2}, 1)


def node_pool(*requirements: Mapping[str, object]) -> dict[str, object]:
    inner = {"requirements": list(requirements), "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]}
    return {
        "metadata": {"name": "train"},
        "spec": {"template": {"metadata": {"labels": {"team": "search"}}, "spec": inner}},
    }


def requirement(key: str, *values: str) -> dict[str, object]:
    return {"key": key, "operator": "In", "values": list(values)}


@pytest.mark.parametrize(
    ("requirements", "machines"),
    [
        ([requirement("node.kubernetes.io/instance-type", "p5.48xlarge", "g6.xlarge")], {"p5.48xlarge", "g6.xlarge"}),
        ([requirement("node.kubernetes.io/instance-type", "nothing.such")], set[str]()),
        (
            [
                requirement("karpenter.k8s.aws/instance-gpu-name", "l4"),
                requirement("karpenter.k8s.aws/instance-gpu-count", "8"),
            ],
            {"g6.48xlarge"},
        ),
        ([requirement("karpenter.k8s.aws/instance-family", "p4d")], {"p4d.24xlarge"}),
    ],
)
def test_a_node_pool_starts_the_machines_that_meet_its_requirements(
    requirements: Sequence[Mapping[str, object]], machines: set[str]
) -> None:
    found = templates(node_pool(*requirements), "karpenter.k8s.aws")
    assert {item.labels["node.kubernetes.io/instance-type"] for item in found} == machines


def test_the_nodes_of_a_node_pool_have_its_labels_taints_and_zones() -> None:
    (found,) = templates(
        node_pool(
            requirement("node.kubernetes.io/instance-type", "p5.48xlarge"),
            requirement("topology.kubernetes.io/zone", "us-west-2a", "us-west-2b"),
            requirement("karpenter.sh/capacity-type", "on-demand", "spot"),
        ),
        "karpenter.k8s.aws",
    )
    assert found.labels["karpenter.sh/nodepool"] == "train"
    assert found.labels["karpenter.sh/capacity-type"] == "spot"
    assert found.labels["team"] == "search"
    assert found.taints == [NodeTaint(key="nvidia.com/gpu")]
    assert [item["topology.kubernetes.io/zone"] for item in found.topologies] == ["us-west-2a", "us-west-2b"]


def test_a_machine_has_its_gpus_and_efa_interfaces() -> None:
    found = machine("p5.48xlarge")
    assert found is not None
    has = capacity(found)
    assert (has["nvidia.com/gpu"], has["vpc.amazonaws.com/efa"], has["cpu"]) == ("8", "32", "192")
    assert machine_labels(found, "karpenter.k8s.aws")["karpenter.k8s.aws/instance-category"] == "p"


def test_nodes_take_their_zones_in_turn() -> None:
    zoned = NodeTemplate(labels={}, capacity={"cpu": "4"}, topologies=[{"zone": "a"}, {"zone": "b"}])
    found = [text(manifest(f"n-{number}", zoned, number), "metadata", "labels", "zone") for number in range(3)]
    assert found == ["a", "b", "a"]


def test_the_journal_keeps_every_roll_out_and_nothing_else_twice() -> None:
    journal = Journal()
    rollout = Rollout(cluster="c", pool="p", nodes=2, maximum=2, peak=2, lowest=1)
    scaled = Scaled(cluster="c", pool="p", before=0, after=1, reason="pods")
    for entry in (rollout, rollout, scaled, scaled):
        journal.note(entry)
    assert (len(journal.rollouts), len(journal.scaled)) == (2, 1)
