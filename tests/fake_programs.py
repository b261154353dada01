"""Programs and a Go that only pretend: shell scripts which say what the real ones say."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_clusters.toolchain import Program
from gpu_clusters.toolchain.programs import RECIPES

ANSWERS = {
    Program.ETCD: "etcd Version: {}\\nGit SHA: unknown\\nGo Version: go1.26.0",
    Program.KUBE_APISERVER: "Kubernetes v{}",
    Program.KUBE_CONTROLLER_MANAGER: "Kubernetes v{}",
    Program.KUBE_SCHEDULER: "Kubernetes v{}",
    Program.KUBECTL: "Client Version: v{}\\nKustomize Version: v5.8.1",
    Program.KWOK: "kwok version v{} go1.26.0 (linux/amd64)",
    Program.PULUMI: "v{}",
    Program.HELM: "v{}",
}

# Takes $FAKE_GO: `fail`; `slow`, which takes two seconds; `hang`, which takes a minute, and starts a process of its own
# that leaves a file after one second if it lives that long.
_GO = """#!/bin/sh
PATH=/usr/bin:/bin
if [ "$1" = version ]; then echo "go version go{version} linux/amd64"; exit 0; fi
env > "{records}/environment"
echo "$*" >> "{records}/builds"
mkdir -p "$GOCACHE" "$GOMODCACHE"
touch "$GOCACHE/entry" "$GOMODCACHE/module"
case "$FAKE_GO" in
fail) echo "${{FAKE_GO_SAYS:-it broke}}"; exit 1;;
hang) echo half > "$3"; (sleep 1; touch "{records}/survived") & exec sleep 60;;
slow) sleep 2;;
esac
cp "{records}/built/$(basename "$3")" "$3"
"""


def fake_program(folder: Path, program: Program, version: str) -> Path:
    """A script that answers as `program` of this version would."""
    return script(folder / program.value, f"printf '{ANSWERS[program].format(version)}\\n'")


def script(path: Path, body: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


class Machine:
    """A machine with nothing but what a test puts there.

    Attributes:
        bin: the one folder on PATH.
        cache: the user's cache folder.
        records: where the fake Go writes what it was asked.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin, self.cache, self.records = root / "bin", root / "cache", root / "records"
        self.home = root / "home"
        for folder in (self.bin, self.records, self.home):
            folder.mkdir()
        self._monkeypatch = monkeypatch
        self.set("PATH", str(self.bin))
        self.set("GPU_CLUSTERS_CACHE_DIR", str(self.cache))
        self.set("HOME", str(self.home))
        for name in ("KUBEBUILDER_ASSETS", "PULUMI_HOME", "FAKE_GO", *(program.variable for program in Program)):
            monkeypatch.delenv(name, raising=False)

    def set(self, name: str, value: str) -> None:
        """Set an environment variable for the length of the test."""
        self._monkeypatch.setenv(name, value)

    def install_go(self, version: str = "1.26.0") -> None:
        """Put a Go on PATH whose builds answer with the versions that are pinned."""
        for program, recipe in RECIPES.items():
            fake_program(self.records / "built", program, str(recipe.version))
        path = script(self.bin / "go", "")
        path.write_text(_GO.format(version=version, records=self.records))

    def builds(self) -> list[str]:
        """The arguments of every `go build` so far."""
        path = self.records / "builds"
        return path.read_text().splitlines() if path.exists() else []

    def toolchain(self) -> list[str]:
        """What lies in the cache folder, by name, without the memory of versions and the lock."""
        folder = self.cache / "toolchain"
        names = {path.name for path in folder.iterdir()} if folder.exists() else set[str]()
        return sorted(names - {"versions.json", ".lock"})
