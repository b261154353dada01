"""The runnable project's program, as the engine runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pulumi
import pytest
import yaml
from gpu_clusters import UsageError, stack
from gpu_clusters.preview.recorder import record

SANDBOX = "Pulumi.sandbox.yaml"


def engine_config(text: str) -> dict[str, str]:
    """A stack's configuration as the engine hands it to a program."""
    return {key: json.dumps(value) for key, value in yaml.safe_load(text)["config"].items()}


@pytest.mark.usefixtures("recorded_sandbox")
def test_the_program_brings_up_what_the_stacks_file_says(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    config = engine_config((root / "stacks" / SANDBOX).read_text())
    recording = record(stack.main, stack_name="sandbox", config=config)
    assert recording.outputs["namespaces"] == ["search", "support"]
    assert len(recording.of_type("gpu-clusters:serving:LlmService")) == 3


def test_what_is_wrong_reaches_the_engine_as_an_error_that_it_shows_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Pulumi.yaml").write_text("name: gpu-clusters\nruntime: python\n")
    text = "config:\n  gpu-clusters:cluster: { platform: sandbox, name: A_b }\n"
    (tmp_path / "Pulumi.dev.yaml").write_text(text)
    with pytest.raises(pulumi.RunError, match=r"^Pulumi\.dev\.yaml:2: cluster.name: 'A_b' is not a name"):
        record(stack.main, stack_name="dev", config=engine_config(text))


def test_without_a_sandbox_the_program_says_which_command_starts_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("GPU_CLUSTERS_STATE_DIR", str(tmp_path))
    config = engine_config((root / "stacks" / SANDBOX).read_text())
    with pytest.raises(pulumi.RunError, match="gpu-clusters sandbox start"):
        record(stack.main, stack_name="sandbox", config=config)


@pytest.mark.parametrize("name", ["nope", "organisation/project/nope"])
def test_a_stack_without_a_file_is_an_error_of_usage(root: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"has no file .*Pulumi\.nope\.yaml"):
        stack.stack_file(root, name)
