"""What a rehearsal keeps from its user's surroundings, and what it gives a program in their place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from gpu_clusters._paths import cache_dir, state_dir
from gpu_clusters.rehearsal.engine.project import find_project
from gpu_clusters.rehearsal.isolation import is_ambient, isolated
from gpu_clusters.rehearsal.packages import installed_packages
from gpu_clusters.rehearsal.workspaces import rehearsal_workspace, write_stack


@pytest.mark.parametrize(
    ("variable", "ambient"),
    [
        ("AWS_PROFILE", True),
        ("AWS_ENDPOINT_URL_EKS", True),
        ("GOOGLE_APPLICATION_CREDENTIALS", True),
        ("CLOUDSDK_CONFIG", True),
        ("AZURE_CLIENT_SECRET", True),
        ("ARM_CLIENT_ID", True),
        ("KUBECONFIG", True),
        ("KUBERNETES_SERVICE_HOST", True),
        ("PULUMI_ACCESS_TOKEN", True),
        ("PULUMI_DEBUG_PROVIDERS", True),
        ("https_proxy", True),
        ("XDG_CONFIG_HOME", True),
        ("KUBEBUILDER_ASSETS", False),
        ("PATH", False),
        ("LANG", False),
        ("GPU_CLUSTERS_PULUMI", False),
        ("DATABASE_URL", False),
    ],
)
def test_variables_that_name_accounts_and_clusters_are_told_from_others(variable: str, ambient: bool) -> None:
    assert is_ambient(variable) is ambient


def test_the_environment_is_isolated_and_restored_also_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("MINE", "kept")
    before, cache = dict(os.environ), cache_dir()

    def meddle() -> None:
        with isolated(tmp_path):
            assert "AWS_PROFILE" not in os.environ
            assert os.environ["MINE"] == "kept"
            assert list(Path.home().iterdir()) == []
            assert state_dir() == tmp_path / "state"
            assert cache_dir() == cache
            os.environ["MADE_BY_THE_PROGRAM"] = "x"
            del os.environ["MINE"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        meddle()
    assert dict(os.environ) == before


def test_the_engines_copy_leads_out_of_the_rehearsal_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(
        "name: shop\nruntime: python\nbackend: {url: s3://state}\nplugins: {providers: [{name: aws, path: .}]}\n"
        "packages: {x: y}\nstackConfigDir: .\n"
    )
    (folder / "Pulumi.dev.yaml").write_text(
        "encryptionsalt: v1:a\nsecretsprovider: awskms://alias/x\nenvironment: [shared]\nconfig:\n"
        "  plain: 1\n  word: {secure: AAA}\n  shop:tree: {list: [{secure: BBB}, {kept: true}]}\n"
    )
    stack = find_project(folder).stack("dev")
    place = rehearsal_workspace(stack, tmp_path / "rehearsal")
    copied = write_stack(stack, place, stack.settings)
    assert copied.simulated == ("word", "shop:tree")
    assert copied.left_out == ("environment (Pulumi ESC)",)
    assert yaml.safe_load((place.directory / "Pulumi.yaml").read_text()) == {
        "name": "shop",
        "runtime": "python",
        "main": str(folder),
    }
    assert yaml.safe_load((place.directory / "Pulumi.dev.yaml").read_text()) == {
        "config": {
            "plain": 1,
            "word": "simulated-word",
            "shop:tree": {"list": ["simulated-tree", {"kept": True}]},
        }
    }


def test_installed_packages_are_those_that_name_a_resource_plugin(tmp_path: Path) -> None:
    for name, text in {
        "pulumi_azure_native": '{"resource": true, "version": "v3.1.0"}',
        "pulumi_random": '{"resource": true, "name": "random", "version": "4.18.0"}',
        "pulumi_policy": '{"resource": false, "name": "policy"}',
        "pulumi_broken": "{",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "pulumi-plugin.json").write_text(text)
    assert installed_packages([tmp_path, tmp_path / "nowhere"]) == {"azure-native": "3.1.0", "random": "4.18.0"}
