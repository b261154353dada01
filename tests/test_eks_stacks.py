"""The example stacks on EKS: what they make, under which names, and that their Python twins make the same."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest
from gpu_clusters import ProblemId
from gpu_clusters.config import load_stack
from gpu_clusters.preview.recorder import Recording, record
from gpu_clusters.stack import build
from syrupy.assertion import SnapshotAssertion

STACKS = ["eks-dev", "eks-train"]


def recorded(root: Path, stack: str) -> Recording:
    args = load_stack(root / "stacks" / f"Pulumi.{stack}.yaml")
    return record(lambda: build(args) and None)


@pytest.mark.parametrize("stack", STACKS)
def test_the_stack_makes_this_graph(root: Path, stack: str, snapshot: SnapshotAssertion) -> None:
    found = recorded(root, stack).resources
    graph = sorted((resource.urn, resource.inputs) for resource in found)
    assert graph == snapshot  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("stack", STACKS)
def test_recorded_resource_names_are_stable(root: Path, stack: str, snapshot: SnapshotAssertion) -> None:
    names = sorted((resource.type, resource.name) for resource in recorded(root, stack).resources)
    assert names == snapshot


@pytest.mark.parametrize("stack", STACKS)
def test_findings_of_the_stack(root: Path, stack: str, snapshot: SnapshotAssertion) -> None:
    # Whether a version of Kubernetes is still in standard support depends on the day.
    found = [str(one) for one in recorded(root, stack).findings if one.id is not ProblemId.KUBERNETES_VERSION]
    assert found == snapshot


@pytest.mark.parametrize("stack", STACKS)
def test_the_program_in_python_makes_the_same_as_the_stacks_file(root: Path, stack: str) -> None:
    program = root / "examples" / stack.replace("-", "_") / "__main__.py"

    def run() -> None:
        runpy.run_path(str(program))

    ours = record(run)
    theirs = recorded(root, stack)
    assert {r.urn: r.inputs for r in ours.resources} == {r.urn: r.inputs for r in theirs.resources}


@pytest.mark.parametrize("stack", STACKS)
def test_no_credentials_are_needed_and_nothing_is_looked_up(
    root: Path, stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_") or name == "KUBECONFIG"]:
        monkeypatch.delenv(name)
    # The recording refuses every call of a provider's function, so a look-up would end the run.
    monkeypatch.setenv("PATH", "")
    assert len(recorded(root, stack).resources) > 60
