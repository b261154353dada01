"""docs/eks.md says what is so: fields with their defaults, machines by GPU, the deployer's permissions, examples."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
import runpy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import botocore
import pytest
from gpu_clusters import ConfigErrors, Gpu, GpuPool, Images, Nodes
from gpu_clusters.config import load_stack
from gpu_clusters.eks import (
    AccessEntry,
    AutoMode,
    EksCluster,
    EksClusterArgs,
    EksGpuPool,
    EksSystemPool,
    ExistingNetwork,
    Karpenter,
    ManagedNodeGroups,
    NewNetwork,
    PublicEndpoint,
)
from gpu_clusters.eks.fabric import efa_count
from gpu_clusters.eks.pool_facts import pool_machines
from gpu_clusters.eks.pools import eks_pool
from gpu_clusters.preview.recorder import record
from gpu_clusters.stack import build

SPECS: list[type[Any]] = [
    EksClusterArgs,
    AccessEntry,
    PublicEndpoint,
    EksSystemPool,
    GpuPool,
    EksGpuPool,
    ManagedNodeGroups,
    Karpenter,
    AutoMode,
    NewNetwork,
    ExistingNetwork,
]
#: Actions that IAM has and no API: they are permissions beside an operation.
NO_OPERATIONS = {"iam:PassRole"}
ADMIN = AccessEntry(principal_arn="arn:aws:iam::111122223333:role/deployer", policy="clusterAdmin")
SERVE = GpuPool(name="serve", gpu=Gpu.L4, nodes=Nodes(max=4))


@pytest.fixture(scope="module")
def page() -> str:
    return (Path(__file__).parents[1] / "docs" / "eks.md").read_text(encoding="utf-8")


def rows(page: str, title: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    section = page.split(f"{title}\n", 1)[1]
    table = section[section.index("|---") :].split("\n\n", 1)[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def camel_case(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def shown(item: dataclasses.Field[object]) -> str:
    if item.default is not dataclasses.MISSING:
        return shown_value(item.default)
    return "required" if item.default_factory is dataclasses.MISSING else shown_value(item.default_factory())


def shown_value(value: object) -> str:
    if value is None or value == () or value == {}:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(f"`{part}`" for part in cast("Sequence[object]", value))
    if isinstance(value, Nodes):
        return f"`{{min: {value.min}, max: {value.max}}}`"
    if isinstance(value, (EksSystemPool, Images)):
        return "see below"
    return f"`{getattr(value, 'kind', value)}`"


@pytest.mark.parametrize("args", SPECS, ids=lambda args: args.__name__)
def test_every_field_is_there_with_its_default_and_no_other(page: str, args: type[Any]) -> None:
    inherited = {item.name for item in dataclasses.fields(GpuPool)} if args is EksGpuPool else set[str]()
    fields = [item for item in dataclasses.fields(args) if item.name != "kind" and item.name not in inherited]
    found = [(name, default) for name, default, _ in rows(page, f"### `{args.__name__}`")]
    assert found == [(f"`{camel_case(item.name)}`", shown(item)) for item in fields]


def test_machines_by_gpu_are_those_that_pools_get(page: str) -> None:
    def made() -> Iterator[list[str]]:
        for gpu in Gpu:
            for number in range(1, 17):
                try:
                    pool = eks_pool(GpuPool(name="x", gpu=gpu, gpus_per_node=number, nodes=Nodes(max=2)))
                except ConfigErrors:
                    continue
                machine = pool_machines(pool)[0]
                efa = efa_count(machine)
                yield [f"`{gpu.value}`", str(number), f"`{machine.name}`", str(machine.vcpus), str(efa or "-")]

    assert rows(page, "### Machines by GPU") == list(made())


def documented_actions(page: str) -> dict[str, set[str]]:
    """The actions of the doc's table, by its first column."""
    found: dict[str, set[str]] = {}
    for resource, actions in rows(page, "## What the deployer may do"):
        services = (part.split(": ", 1) if ": " in part else part.split(":` ", 1) for part in actions.split("; "))
        found[resource.strip("`")] = {
            f"{service.strip('`: ')}:{name}" for service, names in services for name in names.split(", ")
        }
    return found


def policy(root: Path) -> list[Mapping[str, Any]]:
    return json.loads((root / "docs" / "eks-deployer-policy.json").read_text(encoding="utf-8"))["Statement"]


def test_every_type_that_a_cluster_is_made_of_has_its_actions(root: Path, page: str) -> None:
    def cluster(**fields: Any) -> None:
        defaults: dict[str, Any] = {"gpu_pools": [SERVE], "kubernetes_version": "1.35", "access": [ADMIN]}
        EksCluster("demo", EksClusterArgs(region="us-west-2", zones=["usw2-az1", "usw2-az2"], **defaults | fields))

    placed = EksGpuPool(name="p", gpu=Gpu.L4, nodes=Nodes(max=2), placement_group=True, zones=["usw2-az1"])
    stacks = [load_stack(path) for path in sorted((root / "stacks").glob("Pulumi.eks-*.yaml"))]
    assert len(stacks) == 2
    recordings = [
        *(record(lambda stack=stack: build(stack) and None) for stack in stacks),
        record(lambda: cluster(node_management=Karpenter())),
        record(lambda: cluster(node_management=AutoMode())),
        record(lambda: cluster(gpu_pools=[placed], network=NewNetwork(interface_endpoints=True))),
    ]
    types = {item.type for made in recordings for item in made.resources if item.type.startswith("aws:")}
    # The table has two rows for tags, which EC2 and EKS keep as actions of their own.
    assert {name for name in documented_actions(page) if name.startswith("aws:")} == types


def test_the_policy_allows_what_the_table_says_and_no_more(root: Path, page: str) -> None:
    allowed = [
        name
        for part in policy(root)
        for name in ([part["Action"]] if isinstance(part["Action"], str) else part["Action"])
    ]
    assert sorted(allowed) == sorted(set[str]().union(*documented_actions(page).values()))


def test_the_policy_fits_into_a_managed_policy(root: Path) -> None:
    # IAM counts characters without white space: 6,144 (IAM user guide, "IAM and AWS STS quotas").
    text = (root / "docs" / "eks-deployer-policy.json").read_text(encoding="utf-8")
    assert len("".join(text.split())) <= 6144


def test_every_action_is_an_operation_of_its_service(page: str) -> None:
    actions = set[str]().union(*documented_actions(page).values()) - NO_OPERATIONS
    known = {
        f"{service}:{name}" for service in {item.split(":")[0] for item in actions} for name in operations(service)
    }
    assert actions <= known


def operations(service: str) -> list[str]:
    folder = Path(botocore.__file__).parent / "data" / service
    model = max(folder.glob("*/service-2.json.gz"))
    return list(json.loads(gzip.decompress(model.read_bytes()))["operations"])


def test_the_quick_starts_cluster_is_that_of_the_example_stack(root: Path, page: str, tmp_path: Path) -> None:
    text = re.findall(r"```yaml\n(config:.*?)```", page, re.DOTALL)
    assert len(text) == 1
    (tmp_path / "Pulumi.doc.yaml").write_text(text[0], encoding="utf-8")
    short, whole = load_stack(tmp_path / "Pulumi.doc.yaml"), load_stack(root / "stacks" / "Pulumi.eks-dev.yaml")
    left_out = {"network", "public_endpoint", "deletion_protection", "tags"}
    for item in dataclasses.fields(short.cluster):
        if item.name not in left_out:
            assert getattr(short.cluster, item.name) == getattr(whole.cluster, item.name), item.name


def test_the_python_of_the_quick_start_runs(page: str, tmp_path: Path) -> None:
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(programs) == 1
    (tmp_path / "program.py").write_text(programs[0], encoding="utf-8")

    def run() -> None:
        runpy.run_path(str(tmp_path / "program.py"))

    assert [item.name for item in record(run).of_type("aws:eks/cluster:Cluster")] == ["eks-dev-cluster"]


def test_what_the_readme_says_of_its_stack_is_so(root: Path, tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(# stacks/.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "Pulumi.train.yaml").write_text(text, encoding="utf-8")
    args = load_stack(tmp_path / "Pulumi.train.yaml")
    assert isinstance(args.cluster, EksClusterArgs)
    (machine,) = pool_machines(eks_pool(args.cluster.gpu_pools[0]))
    assert (machine.name, efa_count(machine)) == ("p5.48xlarge", 32)
    assert record(lambda: build(args) and None).of_type("aws:eks/nodeGroup:NodeGroup")
