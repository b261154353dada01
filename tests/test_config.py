"""A stack's file: everything wrong with it is said at once, by line, in the spelling of the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_clusters import ConfigErrors, Gpu, Spot
from gpu_clusters.config import load_stack

ROOT = Path(__file__).parents[1]

HEAD = "config:\n  gpu-clusters:cluster: { platform: sandbox, gpuPools: [{ name: p, gpu: l4, nodes: { max: 4 } }] }\n"
TENANT = "  gpu-clusters:namespaces: [{ name: a, gpus: { l4: 2 } }]\n"
MODEL = "model: mistralai/Mistral-7B-Instruct-v0.3"


def errors(path: Path, text: str) -> list[str]:
    """What is said of a file with this text, without the file's name."""
    path.write_text(text)
    with pytest.raises(ConfigErrors) as refused:
        load_stack(path)
    return [str(error).removeprefix(f"{path}:").strip() for error in refused.value.errors]


@pytest.mark.parametrize("path", sorted((ROOT / "stacks").glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_the_stacks_of_the_project_are_valid(path: Path) -> None:
    assert load_stack(path).cluster.gpu_pools


def test_a_whole_stack_is_read_into_typed_objects(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.x.yaml"
    file.write_text(
        "config:\n"
        "  aws:region: us-west-2\n"
        "  gpu-clusters:cluster:\n"
        "    platform: sandbox\n"
        "    gpuPools: [{ name: p, gpu: H100 80GB, gpusPerNode: 8, nodes: { max: 4 }, capacity: { kind: spot } }]\n"
        "  gpu-clusters:namespaces: [{ name: a, gpus: { h100: 16 } }]\n"
        f"  gpu-clusters:services: [{{ name: s, namespace: a, {MODEL}, gpu: h100, replicas: {{ min: 2 }} }}]\n"
    )
    stack = load_stack(file)
    pool = stack.cluster.gpu_pools[0]
    assert (pool.gpu, pool.gpus_per_node, pool.nodes.max, pool.capacity) == (Gpu.H100, 8, 4, Spot())
    assert stack.namespaces[0].gpus == {Gpu.H100: 16}
    assert stack.services[0].replicas.most == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["config: the file is empty; describe the stack there, at least `gpu-clusters:cluster`"]),
        ("a: [", ["1: it is not YAML: expected the node content, but found '<stream end>'; mend the file"]),
        ("- 1\n", ["config: there is no mapping `config` in it; describe the stack there"]),
        ("a: &a [*a]\n", ["it refers to itself; mend the file"]),
        (
            "config: { gpu-clusters:namespaces: [] }",
            ["1: cluster: it is required; add it: a mapping with `platform`, one of eks, s"],
        ),
        (
            "config:\n  gpu-clusters:cluster: { platform: moon }",
            ["2: cluster.platform: there is no platform 'moon'; use `platform:` with one of eks, sandbox"],
        ),
        (
            "config:\n  gpu-clusters:cluster: { platform: sandbox }\n  gpu-clusters:cluster: 1",
            ["3: config.gpu-clusters:cluster: the key stands on line 2 already, and the later one would hide it;"],
        ),
        (HEAD + "  gpu-clusters:clutser: 1", ["3: gpu-clusters:clutser: there is no such field; did you mean `gpu-cl"]),
        (HEAD + "  gpu-clusters:namespaces: { a: 1 }", ["3: namespaces: {'a': 1} is not a list of items, each"]),
        (
            HEAD + TENANT + f"  gpu-clusters:services: [{{ name: s, namespace: b, {MODEL}, gpu: l4 }}]",
            ["4: services[0].namespace: the stack has no namespace 'b': it has a; name one of them, or add it"],
        ),
        (
            HEAD + TENANT + f"  gpu-clusters:services: [{{ name: s, namespace: a, {MODEL}, gpu: h100 }}]",
            ["4: services[0].gpu: no pool of the cluster has H100-SXM5 GPUs; use one of l4, or add a pool"],
        ),
        (
            HEAD + TENANT + "  gpu-clusters:services: [{ name: s, namespace: a, model: a/b, gpu: l4 }]",
            ["4: services[0].model: the catalogue doesn't know a/b; give `weightsGib`, the size of its checkpoint"],
        ),
        (
            HEAD
            + TENANT
            + f"  gpu-clusters:services: [{{ name: s, namespace: a, {MODEL}, gpu: l4, replicas: {{ min: 3 }} }}]",
            ["4: services[0].replicas: 3 x 1 L4 exceed the tenant's quota of 2; raise the tenant's `gpus`"],
        ),
        (
            HEAD + "  gpu-clusters:namespaces: [{ name: kube-a, gpus: { h100: 1 } }, { name: b }, { name: b }]",
            [
                "3: namespaces[0].name: 'kube-a' is Kubernetes's own namespace; choose another name",
                "3: namespaces[2].name: an earlier item has the name 'b' already; give each its own",
                "3: namespaces[0].gpus.h100: no pool of the cluster has H100-SXM5 GPUs: it has l4; add a pool,",
            ],
        ),
    ],
)
def test_what_is_wrong_is_said_with_line_path_and_remedy(tmp_path: Path, text: str, found: list[str]) -> None:
    said = errors(tmp_path / "Pulumi.x.yaml", text)
    assert len(said) == len(found), said
    assert all(start in line for line, start in zip(said, found, strict=True)), said


def test_one_run_finds_what_types_tell_and_what_only_the_objects_know(tmp_path: Path) -> None:
    text = """\
config:
  gpu-clusters:cluster:
    platform: sandbox
    gpuPools:
      - name: Large
        gpu: a100
        nodes: { min: 3, max: 2 }
      - name: p
        gpu: l4
        gpusPerNod: 8
        capacity: { kind: spott }
        sharing: { kind: mig }
        nodes: { min: 1, max: 0 }
      - name: p
        gpu: l4
        nodes: { max: "2" }
      - name: p
        gpu: l4
        taints: [{ key: a, effect: noSchedule }]
        nodes: { max: 2 }
"""
    assert errors(tmp_path / "Pulumi.x.yaml", text) == [
        "5: cluster.gpuPools[0].name: 'Large' is not a name that Kubernetes takes; use at most 63 lower-case letters, "
        "digits and dashes, with a letter or digit at both ends, e.g. 'large'",
        "6: cluster.gpuPools[0].gpu: 'a100' names no one GPU that is known; did you mean a100-40gb or a100-80gb?",
        "7: cluster.gpuPools[0].nodes.max: 2 is below min 3; raise max or lower min",
        "10: cluster.gpuPools[1].gpusPerNod: there is no such field; did you mean `gpusPerNode`?",
        "11: cluster.gpuPools[1].capacity: there is no kind 'spott'; did you mean spot?",
        "12: cluster.gpuPools[1].sharing.profile: it is required; add it: a text",
        "13: cluster.gpuPools[1].nodes.max: 0 is below min 1; raise max or lower min",
        "16: cluster.gpuPools[2].nodes.max: '2' is not a whole number; give a whole number",
        "17: cluster.gpuPools[3].name: an earlier item has the name 'p' already; give each its own",
        "19: cluster.gpuPools[3].taints[0].effect: 'noSchedule' is not to be had here; "
        "use 'NoSchedule' or 'PreferNoSchedule' or 'NoExecute'",
    ]


def test_a_file_that_is_not_there_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="it can't be read: No such file or directory"):
        load_stack(tmp_path / "Pulumi.x.yaml")


def test_values_that_the_engine_has_otherwise_count_in_place_of_the_files(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.x.yaml"
    file.write_text(HEAD)
    cluster = {"platform": "sandbox", "name": "other"}
    assert load_stack(file, instead={"gpu-clusters:cluster": cluster}).cluster.name == "other"
