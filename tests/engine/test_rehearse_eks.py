"""Stacks on EKS, rehearsed: the real engine, AWS played, and what a cluster of it would do on a real API server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import cast

import pytest
from cluster_api import Json, at
from engine_project import COMMAND

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("upgraded_program.py")


def rehearse(state: Path, folder: Path, *arguments: str, expect: int) -> Json:
    """The document of a rehearsal."""
    run = subprocess.run(
        [*COMMAND, "rehearse", "--program", str(folder), "--json", *arguments],
        env={**os.environ, "GPU_CLUSTERS_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == expect, run.stderr + run.stdout
    assert "Traceback" not in run.stderr
    return cast("Json", json.loads(run.stdout))


def each(document: Json, key: str) -> list[Json]:
    return cast("list[Json]", document[key])


@pytest.mark.parametrize(
    ("folder", "stack", "unchecked"),
    [
        (".", "eks-dev", {"eks-dev"}),
        # What a reservation's id stands for is AWS's to know.
        (".", "eks-train", {"eks-train", "cr-0123456789abcdef0"}),
        pytest.param("examples/eks_dev", "dev", {"eks-dev"}, marks=pytest.mark.slow),
        pytest.param("examples/eks_train", "train", {"eks-train", "cr-0123456789abcdef0"}, marks=pytest.mark.slow),
    ],
)
def test_the_examples_come_up_and_a_second_up_changes_nothing(
    tmp_path: Path, folder: str, stack: str, unchecked: set[str]
) -> None:
    seen = rehearse(tmp_path / "state", ROOT / folder, "--stack", stack, expect=0)
    assert (seen["result"], seen["refused"], seen["pending"], seen["leftovers"]) == ("passed", [], [], [])
    assert at(seen, "secondUp") == {"changes": 0, "resources": [], "errors": []}
    assert {entry["resource"] for entry in each(seen, "unchecked")} == unchecked
    assert "kubernetes:apps/v1:Deployment" in {entry["type"] for entry in each(seen, "created")}


def stack_file(folder: Path, name: str, version: str, disruptable: int) -> Path:
    path = folder / f"Pulumi.{name}.yaml"
    path.write_text(json.dumps({"config": {"upgraded:version": version, "upgraded:disruptable": disruptable}}))
    return path


@pytest.mark.parametrize(
    ("disruptable", "code", "rollout"),
    [
        pytest.param(1, 0, {"nodes": 2, "maximum": 2, "peak": 2, "lowest": 1}, id="there is a gap of one"),
        pytest.param(0, 1, {"nodes": 2, "maximum": 2, "peak": 2, "lowest": 2}, id="a budget blocks the drain"),
    ],
)
def test_an_upgrade_of_kubernetes_on_a_full_pool_of_fixed_capacity(
    tmp_path: Path, disruptable: int, code: int, rollout: dict[str, int]
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: upgraded\nruntime: python\n")
    (folder / "__main__.py").write_text(PROGRAM.read_text())
    earlier = stack_file(tmp_path, "earlier", "1.34", disruptable)
    stack_file(folder, "prod", "1.35", disruptable)
    seen = rehearse(tmp_path / "state", folder, "--stack", "prod", "--from", str(earlier), expect=code)
    (of_fixed,) = [entry for entry in each(seen, "rollouts") if "fixed" in str(entry["pool"])]
    assert {key: of_fixed[key] for key in rollout} == rollout
    blocked = " ".join(cast("list[str]", of_fixed["blocked"]))
    refused = " ".join(str(entry["message"]) for entry in each(seen, "refused"))
    assert ("disruption budget" in blocked) is ("PodEvictionFailure" in refused) is (disruptable == 0)
    changed = {entry["name"] for entry in cast("list[Json]", at(seen, "change")["resources"])}
    assert {"full-cluster", "full-kube-proxy", "full-coredns", "full-system", "full-fixed"} <= changed
