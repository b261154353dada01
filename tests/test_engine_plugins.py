"""Which plugins of the user's count, and what the command line loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from gpu_clusters.toolchain.plugins import installed_plugin, plugin_version
from gpu_clusters.toolchain.versions import Version


def _install(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.touch(mode=0o755)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PULUMI_HOME, and nothing on PATH."""
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("PULUMI_IGNORE_AMBIENT_PLUGINS", raising=False)
    return tmp_path / "home"


def test_the_newest_plugin_in_the_users_home_is_found_by_number_not_by_letter(home: Path) -> None:
    assert installed_plugin("kubernetes") is None
    for version in ("v4.9.0", "v4.34.2", "v4.34.1"):
        _install(home / "plugins" / f"resource-kubernetes-{version}" / "pulumi-resource-kubernetes")
    # What is being installed, another plugin, and one whose program is missing.
    _install(home / "plugins" / "resource-kubernetes-v5.0.0.lock" / "other")
    _install(home / "plugins" / "resource-kubernetes-cert-manager-v9.0.0" / "pulumi-resource-kubernetes-cert-manager")
    (home / "plugins" / "resource-kubernetes-v6.0.0").mkdir()
    found = installed_plugin("kubernetes")
    assert found == home / "plugins" / "resource-kubernetes-v4.34.2" / "pulumi-resource-kubernetes"
    assert found
    assert plugin_version(found) == Version(4, 34, 2)


def test_a_plugin_on_path_comes_first_unless_it_is_to_be_ignored(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = _install(home / "plugins" / "resource-kubernetes-v4.34.2" / "pulumi-resource-kubernetes")
    ambient = _install(tmp_path / "bin" / "pulumi-resource-kubernetes")
    assert installed_plugin("kubernetes") == ambient
    assert plugin_version(ambient) is None
    monkeypatch.setenv("PULUMI_IGNORE_AMBIENT_PLUGINS", "true")
    assert installed_plugin("kubernetes") == own


def test_pulumi_is_not_imported_before_a_stack_is_seen_to_be_there(tmp_path: Path) -> None:
    program = """
import sys
from gpu_clusters.cli.app import app
try:
    app(["up", "--stack", "nowhere", "--project", sys.argv[1]], standalone_mode=False)
except Exception as error:
    print(type(error).__name__, "pulumi" in sys.modules, "kubernetes" in sys.modules)
"""
    (tmp_path / "Pulumi.yaml").write_text("name: a\nruntime: python\n")
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "UsageError False False\n"
