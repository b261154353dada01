"""`gpu-clusters doctor`: what it lists, and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from fake_programs import Machine, fake_program, script
from gpu_clusters.cli.doctor import doctor
from gpu_clusters.toolchain import BASE, Program
from gpu_clusters.toolchain.diagnosis import Diagnosis, diagnose
from gpu_clusters.toolchain.programs import RECIPES
from typer.testing import CliRunner

_PART_KEYS = ["name", "status", "needed", "version", "path", "source", "notes", "remedy"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_json_lists_every_program_and_package_and_exit_code_0_says_ready(machine: Machine) -> None:
    for program, recipe in RECIPES.items():
        fake_program(machine.bin, program, str(recipe.version))
    code, output = _doctor("--json")
    document = json.loads(output)
    assert list(document) == ["ready", "engine", "programs", "packages", "go", "kubernetesPlugin"]
    assert code == 0
    assert (document["ready"], document["engine"]) == (True, "user")
    assert [(part["name"], part["status"], part["version"], part["path"]) for part in document["programs"]] == [
        (program.value, "found", str(recipe.version), str(machine.bin / program)) for program, recipe in RECIPES.items()
    ]
    assert [(part["name"], part["status"]) for part in document["packages"]] == [
        ("cryptography", "found"),
        ("urllib3", "found"),
    ]
    parts = [*document["programs"], *document["packages"], document["go"], document["kubernetesPlugin"]]
    assert [list(part) for part in parts] == [_PART_KEYS] * len(parts)


@pytest.mark.parametrize("program", BASE)
def test_exit_code_1_when_one_program_is_missing(machine: Machine, program: Program) -> None:
    for other, recipe in RECIPES.items():
        if other is not program:
            fake_program(machine.bin, other, str(recipe.version))
    code, output = _doctor("--json")
    document = json.loads(output)
    assert (code, document["ready"]) == (1, False)
    (part,) = [part for part in document["programs"] if part["status"] != "found"]
    assert (part["name"], part["status"]) == (program.value, "missing")
    assert part["remedy"].startswith("run `gpu-clusters doctor --build`, which builds it; or put the program on PATH")


def test_a_setting_that_is_wrong_is_one_line_of_the_list(machine: Machine) -> None:
    machine.set("GPU_CLUSTERS_KWOK", "/nowhere")
    code, output = _doctor()
    assert code == 1
    assert "  kwok: GPU_CLUSTERS_KWOK names /nowhere, which is not a file\n" in output
    assert "  kwok: name version 0.8.0 or newer in GPU_CLUSTERS_KWOK, or unset it\n" in output


def test_the_text_says_a_shared_remedy_once_and_ends_with_the_answer(machine: Machine) -> None:
    fake_program(machine.bin, Program.KUBECTL, "1.20.0")
    code, output = _doctor()
    assert code == 1
    assert output.count("gpu-clusters doctor --build") == 1
    assert f"  kubectl: PATH: {machine.bin / 'kubectl'} is 1.20.0, and 1.30.0 or newer is needed" in output
    assert output.endswith("Pulumi engine: missing\nThe sandbox cannot run yet.\n")


def test_build_builds_what_the_sandbox_needs(machine: Machine) -> None:
    machine.install_go()
    code, output = _doctor("--build", "--json")
    document = json.loads(output)
    assert (code, document["ready"], document["engine"]) == (0, True, "built")
    assert {part["name"]: part["source"] for part in document["programs"]} == {
        program.value: "cache" if program in BASE else None for program in RECIPES
    }
    assert len(machine.builds()) == len(BASE)


def test_helm_is_optional(machine: Machine) -> None:
    for program in BASE:
        fake_program(machine.bin, program, str(RECIPES[program].version))
    code, output = _doctor("--json")
    (part,) = [part for part in json.loads(output)["programs"] if part["name"] == "helm"]
    assert (code, part["status"], part["needed"]) == (0, "missing", False)
    assert part["remedy"].startswith("a rehearsal of a stack that needs it builds it; or put the program on PATH")


def test_a_missing_package_makes_it_not_ready_and_names_the_extra(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program, recipe in RECIPES.items():
        fake_program(machine.bin, program, str(recipe.version))
    monkeypatch.setattr("gpu_clusters.toolchain.diagnosis.SANDBOX_PACKAGES", ("urllib3", "not_there_at_all"))
    diagnosis = diagnose()
    assert not diagnosis.ready
    assert [(part.name, part.status, part.remedy) for part in diagnosis.packages] == [
        ("urllib3", "found", None),
        ("not_there_at_all", "missing", 'pip install "gpu-clusters[sandbox]"'),
    ]


@pytest.mark.parametrize(
    ("go", "status", "notes"),
    [
        (None, "missing", ("there is no `go` on PATH",)),
        ("1.25.9", "missing", ("{bin}/go is 1.25.9, and 1.26.0 or newer is needed",)),
        ("1.26.0", "found", ()),
        ("1.27.3", "found", ()),
    ],
)
def test_go_is_found_where_it_is_new_enough(
    machine: Machine, go: str | None, status: str, notes: tuple[str, ...]
) -> None:
    if go is not None:
        machine.install_go(go)
    part = diagnose().go
    assert (part.status, part.notes, part.needed) == (
        status,
        tuple(note.format(bin=machine.bin) for note in notes),
        False,
    )


def test_the_kubernetes_plugin_is_found_on_path_and_in_pulumis_home(machine: Machine, tmp_path: Path) -> None:
    def found(diagnosis: Diagnosis) -> tuple[str, str | None, str | None]:
        part = diagnosis.kubernetes_plugin
        return part.status, part.path, part.version

    name = "pulumi-resource-kubernetes"
    assert found(diagnose()) == ("missing", None, None)
    at_home = script(machine.home / ".pulumi/plugins/resource-kubernetes-v4.30.0" / name, "")
    assert found(diagnose()) == ("found", str(at_home), "4.30.0")
    machine.set("PULUMI_HOME", str(tmp_path / "pulumi"))
    assert found(diagnose()) == ("missing", None, None)
    set_home = script(tmp_path / "pulumi/plugins/resource-kubernetes-v4.31.2" / name, "")
    assert found(diagnose()) == ("found", str(set_home), "4.31.2")
    on_path = script(machine.bin / name, "")
    assert found(diagnose()) == ("found", str(on_path), None)


def test_it_does_not_import_pulumi() -> None:
    code = (
        "import sys, gpu_clusters.cli.doctor, gpu_clusters.toolchain.diagnosis as d; d.diagnose();"
        "sys.exit('pulumi' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _doctor(*arguments: str) -> tuple[int, str]:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(doctor)
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return result.exit_code, result.stdout
