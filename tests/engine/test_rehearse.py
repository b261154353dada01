"""`rehearse` as its users run it: on the real engine and control plane, with traps where real things would be."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from cluster_api import Json, at
from engine_project import Ended, Project

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("rehearsed_program.py")
#: A program whose one object follows its configuration, and which then waits while a file is there.
SMALL = """
import pathlib, time
import pulumi
import pulumi_kubernetes as kubernetes
config = pulumi.Config()
def wait(_):
    while (hold := config.get("hold")) and pathlib.Path(hold).exists():
        print("holding", flush=True)
        time.sleep(0.05)
made = kubernetes.core.v1.ConfigMap("map", metadata={"name": "map"}, data={"value": config.require("value")})
made.id.apply(wait)
"""
KEYS = [
    *("stack", "result", "engine", "created", "pending", "refused", "unchecked", "scaled", "rollouts", "secondUp"),
    *("change", "leftovers", "findings", "simulatedAnswers", "simulatedSecrets", "leftOut", "protected", "clusters"),
    *("phases", "durationSeconds"),
]


@dataclass
class Traps:
    """Where a user's credentials, clusters, proxies and plugins would be; what touches them is counted."""

    folder: Path
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    connections: list[object] = field(default_factory=list[object])

    def __post_init__(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        self.home = self.folder / "home"
        self.kubeconfig = self.home / ".kube" / "config"
        for path, text in self._files().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def environment(self) -> Mapping[str, str]:
        proxies = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "grpc_proxy")
        return {
            "HOME": str(self.home),
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.home / "key.json"),
            "PULUMI_ACCESS_TOKEN": "pul-0",
            "PULUMI_API": self.url,
            "PULUMI_BACKEND_URL": self.url,
            **dict.fromkeys(proxies, self.url.replace("https", "http")),
        }

    def ran(self) -> list[str]:
        """The plugins and credential helpers that were run."""
        return sorted(path.name for path in self.folder.glob("ran-*"))

    def _files(self) -> dict[Path, str]:
        names = [f"pulumi-resource-{name}" for name in ("kubernetes", "aws", "example", "command", "nosdk")]
        plugins = [
            *(self.folder / "bin" / name for name in (*names, "helper")),
            self.home / ".pulumi" / "plugins" / "resource-kubernetes-v4.34.2" / names[0],
        ]
        return {path: f"#!/bin/sh\ntouch {self.folder}/ran-{path.name}\nexit 1\n" for path in plugins} | {
            self.kubeconfig: json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "real",
                    "contexts": [{"name": "real", "context": {"cluster": "real", "user": "real"}}],
                    "clusters": [{"name": "real", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
                    "users": [
                        {
                            "name": "real",
                            "user": {
                                "exec": {
                                    "apiVersion": "client.authentication.k8s.io/v1",
                                    "command": str(self.folder / "bin" / "helper"),
                                    "interactiveMode": "Never",
                                }
                            },
                        }
                    ],
                }
            ),
            self.home / ".aws" / "config": f"[default]\nregion = us-west-2\nendpoint_url = {self.url}\n",
        }

    def _listen(self) -> None:
        # Until it is closed.
        with suppress(OSError):
            while True:
                connection, address = self.listener.accept()
                self.connections.append(address)
                connection.close()


@dataclass(frozen=True)
class Rehearsals:
    """A project to rehearse, with a state folder that nothing else uses."""

    project: Project
    state: Path

    @property
    def folder(self) -> Path:
        return self.project.folder

    def config(self, stack: str, values: Mapping[str, object]) -> None:
        named = {f"{self.project.name}:{key}": value for key, value in values.items()}
        (self.folder / "stacks" / f"Pulumi.{stack}.yaml").write_text(json.dumps({"config": named}))

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None, expect: int = 0) -> Ended:
        ours = {"GPU_CLUSTERS_STATE_DIR": str(self.state), **(environment or {})}
        return self.project.run("rehearse", *arguments, environment=ours, expect=expect)

    def processes(self) -> list[str]:
        """The command lines of all processes that work in the state folder."""
        found: list[str] = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.state) in line:
                found.append(line)
        return found


@pytest.fixture
def small(tmp_path: Path) -> Generator[Rehearsals]:
    yield from _rehearsals(tmp_path, SMALL)


@pytest.fixture(scope="module")
def traps(tmp_path_factory: pytest.TempPathFactory) -> Generator[Traps]:
    made = Traps(tmp_path_factory.mktemp("traps"))
    yield made
    made.listener.close()


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, traps: Traps) -> Generator[Json]:
    """The report on the program that does all that it must not; `traps` hold what came through."""
    folder = tmp_path_factory.mktemp("refused")
    for rehearsals in _rehearsals(folder, PROGRAM.read_text()):
        sdk = folder / "sdk" / "pulumi_example"
        sdk.mkdir(parents=True)
        (sdk / "pulumi-plugin.json").write_text(json.dumps({"resource": True, "name": "example", "version": "1.2.3"}))
        settings = rehearsals.folder / "Pulumi.yaml"
        plugins = {"providers": [{"name": "example", "path": str(traps.folder / "bin")}]}
        settings.write_text(settings.read_text() + f"plugins: {json.dumps(plugins)}\n")
        values = {"marks": str(traps.folder), "kubeconfig": str(traps.kubeconfig)}
        secrets = {"word": {"secure": "v1:AAAA"}, "tree": {"inner": {"secure": "v1:BBBB"}}}
        rehearsals.config("sandbox", {**values, **secrets})
        before = rehearsals.project.files()
        environment = {**traps.environment, "GPU_CLUSTERS_CACHE_DIR": str(_cache()), "PYTHONPATH": str(folder / "sdk")}
        ended = rehearsals.run("--stack", "sandbox", "--json", environment=environment, expect=1)
        assert rehearsals.project.files() == before
        yield ended.json()


def _cache() -> Path:
    from gpu_clusters._paths import cache_dir

    return cache_dir()


def _rehearsals(folder: Path, program: str) -> Generator[Rehearsals]:
    project = Project(folder / "project", "rehearsed", "unused")
    project.write(program)
    made = Rehearsals(project, folder / "state")
    yield made
    for running in project.started:
        if running.process.poll() is None:
            running.kill(with_engine=True)
    assert made.processes() == []
    assert not made.state.exists()


def _objects(value: object) -> list[Json]:
    assert isinstance(value, list)
    return cast("list[Json]", value)


def test_the_projects_own_stack_passes_and_leaves_nothing(tmp_path: Path) -> None:
    for rehearsals in _rehearsals(tmp_path, ""):
        shown = rehearsals.run("--stack", "sandbox", "--program", str(ROOT), "--json").json()
        assert list(shown) == KEYS
        assert (shown["stack"], shown["result"], shown["pending"], shown["refused"]) == ("sandbox", "passed", [], [])
        assert shown["secondUp"] == {"changes": 0, "resources": [], "errors": []}
        created = [(item["type"], item["name"]) for item in _objects(shown["created"])]
        assert ("kubernetes:apps/v1:Deployment", "llama-70b") in created
        assert len(created) == 56
        assert "rollout-gap" in {finding["id"] for finding in _objects(shown["findings"])}
        (cluster,) = _objects(shown["clusters"])
        assert _objects(at(cluster, "overview")["nodes"])[0]["name"] == "sandbox-large-0"
        assert shown["leftovers"] == []


def test_a_pool_that_is_too_small_leaves_pods_pending_in_the_schedulers_words(tmp_path: Path) -> None:
    for rehearsals in _rehearsals(tmp_path, ""):
        shutil.copy(ROOT / "__main__.py", rehearsals.folder)
        shutil.copy(ROOT / "Pulumi.yaml", rehearsals.folder)
        text = (ROOT / "stacks" / "Pulumi.sandbox.yaml").read_text()
        smaller = text.replace("nodes: { min: 4, max: 8 }", "nodes: { min: 2, max: 8 }")
        (rehearsals.folder / "stacks" / "Pulumi.sandbox.yaml").write_text(smaller)
        shown = rehearsals.run("--stack", "sandbox", "--json", expect=1).json()
        assert shown["result"] == "failed"
        (pod,) = _objects(shown["pending"])
        assert "Insufficient nvidia.com/gpu" in str(pod["reason"])
        assert _objects(shown["refused"])


def test_no_real_thing_is_touched_whatever_the_program_and_its_surroundings_name(refused: Json, traps: Traps) -> None:
    assert refused["result"] == "failed"
    assert traps.connections == []
    assert traps.ran() == []
    assert not (traps.folder / "local").exists()
    assert not (traps.folder / "dynamic").exists()


def test_the_program_finds_no_credentials_and_an_empty_home(refused: Json, traps: Traps) -> None:
    assert refused["result"] == "failed"
    seen = json.loads((traps.folder / "environment.json").read_text())
    assert not {name for name in traps.environment if name not in {"HOME", "PATH", "PULUMI_BACKEND_URL"}} & seen.keys()
    assert seen["PULUMI_BACKEND_URL"].startswith("file:///")
    assert seen["HOME"] != str(traps.home)


def test_all_that_is_refused_is_said_at_once(refused: Json) -> None:
    said = {str(error["resource"]): str(error["message"]) for error in _objects(refused["refused"])}
    assert set(said) == {
        "command:local:Command local",
        "pulumi-python:dynamic:Resource dynamic",
        "kubernetes:core/v1:ConfigMap bad",
    }
    assert "runs no command on this machine" in said["command:local:Command local"]
    assert "dynamic providers" in said["pulumi-python:dynamic:Resource dynamic"]
    assert "lowercase RFC 1123" in said["kubernetes:core/v1:ConfigMap bad"]
    assert refused["secondUp"] is None


def test_what_is_accepted_unchecked_is_said_and_the_rest_comes_up(refused: Json) -> None:
    assert {f"{item['type']} {item['name']}" for item in _objects(refused["created"])} == {
        "kubernetes:core/v1:Namespace space",
        "kubernetes:core/v1:ConfigMap words",
        "kubernetes:core/v1:ConfigMap other",
        "example:index:Thing kept",
        "nosdk:index:Thing retained",
        "command:remote:Command remote",
    }
    unchecked = {str(item["resource"]) for item in _objects(refused["unchecked"])}
    assert {"example:index:Thing", "nosdk:index:Thing", "command:remote:Command remote"} <= unchecked
    # The ambient cluster, and the one of the kubeconfig that the program reads itself.
    assert len(_objects(refused["clusters"])) == 2
    assert refused["simulatedSecrets"] == ["rehearsed:word", "rehearsed:tree"]
    assert refused["protected"] == ["example:index:Thing kept"]
    assert [item["name"] for item in _objects(refused["leftovers"])] == ["nosdk:index:Thing retained"]


def test_a_change_is_rehearsed_from_an_earlier_configuration(small: Rehearsals) -> None:
    small.config("sandbox", {"value": "new"})
    earlier = small.folder / "earlier.yaml"
    earlier.write_text(json.dumps({"config": {"rehearsed:value": "old"}}))
    shown = small.run("--stack", "sandbox", "--from", str(earlier), "--json").json()
    (step,) = _objects(at(shown, "change")["resources"])
    assert (step["op"], step["name"], step["diff"]) == ("update", "map", {"data.value": "update"})
    assert [phase["name"] for phase in _objects(shown["phases"])] == ["earlier", "up", "pods", "secondUp", "destroy"]


def test_ctrl_c_leaves_nothing(small: Rehearsals) -> None:
    hold = small.folder.with_name("hold")
    hold.touch()
    small.config("sandbox", {"value": "a", "hold": str(hold)})
    running = small.project.start(
        "rehearse", "--stack", "sandbox", environment={"GPU_CLUSTERS_STATE_DIR": str(small.state)}
    )
    running.wait_for("holding")
    os.kill(running.process.pid, signal.SIGINT)
    ended = running.end()
    assert ended.code == 130
    assert "all that was started for the rehearsal is gone" in ended.err
    assert "Traceback" not in ended.err


def test_what_a_killed_rehearsal_left_is_removed_by_the_next(small: Rehearsals) -> None:
    hold = small.folder.with_name("hold")
    hold.touch()
    small.config("sandbox", {"value": "a", "hold": str(hold)})
    running = small.project.start(
        "rehearse", "--stack", "sandbox", environment={"GPU_CLUSTERS_STATE_DIR": str(small.state)}
    )
    running.wait_for("holding")
    running.kill(with_engine=False)
    assert small.processes()
    hold.unlink()
    again = small.run("--stack", "sandbox")
    assert "removing what an earlier rehearsal left that was killed" in again.err
    assert "passed" in again.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--stack", "nowhere"), "there is no stack 'nowhere'"),
        (("--stack", "sandbox", "--program", "/nonexistent"), "there is no Pulumi.yaml in /nonexistent"),
        (("--stack", "sandbox", "--from", "/nonexistent.yaml"), "/nonexistent.yaml: can't be read"),
    ],
)
def test_bad_input_ends_with_2_before_anything_starts(
    small: Rehearsals, arguments: tuple[str, ...], words: str
) -> None:
    ended = small.run(*arguments, "--json", expect=2)
    assert words in str(_objects(ended.json()["errors"])[0]) + ended.err
    assert "engine:" not in ended.err


def test_a_program_in_another_language_ends_with_2(small: Rehearsals) -> None:
    (small.folder / "Pulumi.yaml").write_text("name: rehearsed\nruntime: nodejs\nstackConfigDir: stacks\n")
    assert "for the runtime 'nodejs', not python" in small.run("--stack", "sandbox", expect=2).err
