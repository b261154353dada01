"""What the engine leaves on disk: pending operations, locks, and our copy of a stack's files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
import yaml
from gpu_clusters._paths import STATE_VARIABLE
from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.engine.locks import alone, clear_engine_locks, exclusive, shared
from gpu_clusters.rehearsal.engine.pending import settled
from gpu_clusters.rehearsal.engine.project import find_project
from gpu_clusters.rehearsal.engine.workspace import remove_workspace, workspace

SALT = "v1:abc=:v1:def:ghi=="
STACK_FILES = {
    "plain": "config:\n  demo:a: 1\n",
    "without a line end": "config:\n  demo:a: 012",
    "flow style": "{config: {demo:a: 1}}",
    "with an end mark": "config:\n  demo:a: yes\n...\n",
    "YAML 1.1 pitfalls": "config:\n  demo:a: 12:30:00\n  demo:b: 1e3\n  demo:c: no\n",
}


def _config_map(logical_name: str, /, **metadata: str) -> dict[str, object]:
    return {
        "urn": f"urn:pulumi:s::p::kubernetes:core/v1:ConfigMap::{logical_name}",
        "type": "kubernetes:core/v1:ConfigMap",
        "custom": True,
        "inputs": {"metadata": metadata},
    }


def _settled(resources: list[Mapping[str, object]], *operations: tuple[str, Mapping[str, object]]) -> object:
    pending = [{"type": kind, "resource": resource} for kind, resource in operations]
    done = settled({"manifest": 1, "resources": resources, "pending_operations": pending})
    assert (done["manifest"], done["pending_operations"]) == (1, [])
    return done["resources"]


def test_a_pending_create_is_entered_under_the_name_that_it_was_to_have() -> None:
    spaced, bare = _config_map("a", name="a-1", namespace="n"), _config_map("b", name="b")
    assert _settled([], ("creating", spaced), ("creating", bare)) == [
        {**spaced, "id": "n/a-1", "outputs": spaced["inputs"]},
        {**bare, "id": "b", "outputs": bare["inputs"]},
    ]


def test_other_pending_operations_are_dropped_and_nothing_is_entered_twice() -> None:
    known = {**_config_map("a", name="a"), "id": "a"}
    provider = {"urn": "u", "type": "pulumi:providers:kubernetes", "inputs": {"metadata": {"name": "x"}}}
    operations: list[tuple[str, Mapping[str, object]]] = [
        ("creating", _config_map("a", name="a-2")),
        ("deleting", known),
        ("updating", known),
        ("creating", provider),
        ("creating", _config_map("c")),
        ("creating", {}),
    ]
    assert _settled([known], *operations) == [known]


def test_the_lock_of_a_dead_engine_is_removed_and_said(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "a.json").write_text(json.dumps({"pid": dead.pid, "hostname": socket.gethostname()}))
    (tmp_path / "a.json.attrs").write_text("{}")
    (tmp_path / "b.json").write_bytes(b"\x00garbage")
    said: list[str] = []
    clear_engine_locks(tmp_path, said.append)
    assert list(tmp_path.iterdir()) == []
    assert sorted(said) == [
        f"removed the lock of an engine that was killed (pid {dead.pid})",
        "removed the lock of an engine that was killed (pid None)",
    ]


def test_a_process_that_got_a_dead_engines_pid_is_not_taken_for_it(tmp_path: Path) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("there is no /proc to ask")
    (tmp_path / "a.json").write_text(json.dumps({"pid": os.getppid(), "hostname": socket.gethostname()}))
    clear_engine_locks(tmp_path, lambda _: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["elsewhere", None])
def test_the_lock_of_a_living_engine_is_an_error_that_names_it(
    tmp_path: Path, host: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_clusters.rehearsal.engine.locks._ORPHAN_SECONDS", 0.3)
    program = [sys.executable, "-c", "print(flush=True); input()", "pulumi"]
    engine = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert engine.stdout
        assert engine.stdout.readline() == b"\n"
        lock = {"pid": engine.pid, "hostname": host or socket.gethostname()}
        (tmp_path / "a.json").write_text(json.dumps(lock))
        with pytest.raises(OperationError, match=f"pid {engine.pid}{f' on {host}' if host else ''}\\)"):
            clear_engine_locks(tmp_path, lambda _: None)
        assert (tmp_path / "a.json").exists()
    finally:
        engine.communicate(b"\n")
    if host is None:
        clear_engine_locks(tmp_path, lambda _: None)
        assert not (tmp_path / "a.json").exists()


def test_only_one_holds_a_lock_and_a_killed_holder_loses_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = f"""
import sys
from pathlib import Path
from gpu_clusters.rehearsal.engine.locks import exclusive
with exclusive(Path({str(path)!r}), "it"):
    print("held", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(OperationError, match=f"another run works on it \\(pid {holder.pid}\\)"),
            exclusive(path, "it"),
        ):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with exclusive(path, "it"):
        assert path.read_text() == str(os.getpid())


def test_nobody_is_alone_where_others_share(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with shared(path), shared(path), alone(path) as is_alone:
        assert not is_alone
    with alone(path) as is_alone:
        assert is_alone
        path.unlink()
    with alone(path) as is_alone:
        assert is_alone


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own, and nothing of Pulumi's set in the environment."""
    for name in [name for name in os.environ if name.startswith("PULUMI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    return tmp_path / "state"


def _folder(tmp_path: Path, text: str, settings: str = "name: demo\nruntime: python\n") -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(settings)
    (folder / "Pulumi.a.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("text", STACK_FILES.values(), ids=STACK_FILES)
def test_what_the_engine_adds_to_the_copy_of_a_stack_file_is_kept_and_the_file_is_not_touched(
    state: Path, tmp_path: Path, text: str
) -> None:
    folder = _folder(tmp_path, text)
    path = folder / "Pulumi.a.yaml"
    content = cast("dict[str, dict[str, object]]", yaml.safe_load(text))
    content["config"]["gpu-clusters:sandbox"] = "x"
    path.write_text(
        text.replace("demo:a", "gpu-clusters:sandbox: x\n  demo:a")
        if text.startswith("config")
        else yaml.safe_dump(content)
    )
    before = path.read_bytes()
    stack = find_project(folder).stack("a")
    with workspace(stack, own_home=True, say=lambda _: None) as place:
        copy = place.directory / "Pulumi.a.yaml"
        assert copy.read_bytes() == before
        copy.write_text(f"encryptionsalt: {SALT}\nconfig: {{}}\n")
        assert place.environment == {
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_BACKEND_URL": f"{(state / 'backend').as_uri()}?metadata=skip",
            "PULUMI_HOME": str(state / "pulumi-home"),
        }
    with workspace(stack, own_home=True, say=lambda _: None) as place:
        assert yaml.safe_load(copy.read_text()) == {**yaml.safe_load(before), "encryptionsalt": SALT}
        copy.write_bytes(b"\x00 half a wri")
    with workspace(stack, own_home=True, say=lambda _: None):
        assert copy.read_bytes() == before
    assert path.read_bytes() == before
    assert not place.exists()
    assert not place.has_pending_operations()
    remove_workspace(stack)
    assert not state.exists()


def test_a_backend_and_a_passphrase_of_the_users_own_are_left_alone(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///elsewhere")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    stack = find_project(_folder(tmp_path, "config: {gpu-clusters:sandbox: x}\n")).stack("a")
    with workspace(stack, own_home=True, say=lambda _: None) as place:
        assert place.directory == stack.project.directory
        assert place.environment == {"PULUMI_SKIP_UPDATE_CHECK": "1"}
    assert not state.exists()


def test_a_state_folder_that_cannot_be_used_is_named_with_what_to_do(state: Path, tmp_path: Path) -> None:
    stack = find_project(_folder(tmp_path, "config: {gpu-clusters:sandbox: x}\n")).stack("a")
    state.write_text("a file in its place")
    with (
        pytest.raises(
            OperationError, match=f"the state folder {state} can't be used: .*, or name another in {STATE_VARIABLE}"
        ),
        workspace(stack, own_home=True, say=lambda _: None),
    ):
        pass


def test_any_other_stack_gets_nothing_of_ours(state: Path, tmp_path: Path) -> None:
    stack = find_project(_folder(tmp_path, "config: {gpu-clusters:cluster: {platform: eks}}\n")).stack("a")
    with workspace(stack, own_home=False, say=lambda _: None) as place:
        assert place.environment == {"PULUMI_SKIP_UPDATE_CHECK": "1"}
        assert place.state is None
    assert not state.exists()


def test_the_copy_of_the_project_finds_program_and_plugins_where_they_are(state: Path, tmp_path: Path) -> None:
    settings = (
        "name: demo\nruntime: python\nmain: src\nstackConfigDir: .\nplugins: {providers: [{name: x, path: bin}]}\n"
    )
    stack = find_project(_folder(tmp_path, "config: {gpu-clusters:sandbox: x}\n", settings)).stack("a")
    with workspace(stack, own_home=True, say=lambda _: None) as place:
        assert place.directory.is_relative_to(state)
        assert yaml.safe_load((place.directory / "Pulumi.yaml").read_text()) == {
            "name": "demo",
            "runtime": "python",
            "main": str(tmp_path / "project" / "src"),
            "plugins": {"providers": [{"name": "x", "path": str(tmp_path / "project" / "bin")}]},
        }


def test_a_state_that_cannot_be_read_is_said_with_the_backup(state: Path, tmp_path: Path) -> None:
    stack = find_project(_folder(tmp_path, "config: {gpu-clusters:sandbox: x}\n")).stack("a")
    with workspace(stack, own_home=True, say=lambda _: None) as place:
        assert place.state
        assert place.state.is_relative_to(state)
        place.state.parent.mkdir(parents=True)
        place.state.write_bytes(b'{"version": 3')
        place.state.with_name("a.json.bak").write_bytes(b"{}")
        with pytest.raises(OperationError, match=r"can't be read: .*; copy .*a\.json\.bak over it"):
            place.has_pending_operations()
        pending = {"checkpoint": {"latest": {"pending_operations": [{"type": "creating"}]}}}
        place.state.write_text(json.dumps(pending))
        assert place.has_pending_operations()
