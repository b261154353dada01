"""What a user gets from the wheel alone, in an environment with nothing else in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest
from gpu_clusters.toolchain import Program

_ROOT = Path(__file__).parent.parent
_PACKAGE = Path("components/gpu_clusters")
_EXTRAS_BY_IMPORT = {"gpu_clusters.eks": "eks", "gpu_clusters.gke": "gke", "gpu_clusters.onprem": "onprem"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run([_uv(), "build", "--wheel", "--out-dir", str(folder)], _ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def example() -> str:
    """The first Python example of the README."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (_ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert blocks, "README.md has no ```python block"
    return blocks[0]


@pytest.fixture(scope="module")
def environment(wheel: Path, example: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment") / "venv"
    extras = ["sandbox", *(extra for module, extra in _EXTRAS_BY_IMPORT.items() if module in example)]
    _run([_uv(), "venv", "--python", sys.executable, str(folder)], folder.parent)
    package = f"{wheel}[{','.join(extras)}]"
    _run([_uv(), "pip", "install", "--python", str(folder / "bin" / "python"), package], folder.parent)
    return folder


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    listed = _run(["git", "ls-files", "--cached", "--others", "--exclude-standard", str(_PACKAGE)], _ROOT).split("\n")
    there = {path for path in listed if path and (_ROOT / path).is_file()}
    with ZipFile(wheel) as archive:
        packed = {f"components/{name}" for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert packed == there


def test_the_readmes_example_is_strictly_typed(environment: Path, example: str, tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text(example)
    settings = {
        "typeCheckingMode": "strict",
        "venvPath": str(environment.parent),
        "venv": environment.name,
        "reportMissingTypeStubs": False,
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "pyright"), "--outputjson"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["generalDiagnostics"] == []
    assert report["summary"]["filesAnalyzed"] == 1


def test_the_library_comes_from_the_wheel_alone(environment: Path, tmp_path: Path) -> None:
    code = "import gpu_clusters, sys; print(gpu_clusters.__file__)"
    where = _run([str(environment / "bin" / "python"), "-c", code], tmp_path).strip()
    assert Path(where).is_relative_to(environment)


def test_doctor_runs(environment: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(environment / "bin" / "gpu-clusters"), "doctor", "--json"],
        cwd=tmp_path,
        env=_clean(),
        capture_output=True,
        text=True,
        check=False,
    )
    document = json.loads(done.stdout)
    assert done.stderr == ""
    assert done.returncode == (0 if document["ready"] else 1)
    assert [part["status"] for part in document["packages"]] == ["found", "found"]


def test_a_build_finds_its_modules_in_the_wheel(environment: Path, tmp_path: Path) -> None:
    code = "from gpu_clusters.toolchain.programs import RECIPES; print(*{r.pin for r in RECIPES.values()})"
    assert len(_run([str(environment / "bin" / "python"), "-c", code], tmp_path).split()) == len(Program)


def _uv() -> str:
    uv = shutil.which("uv") or str(_ROOT / ".uv" / "bin" / "uv")
    assert Path(uv).is_file(), "uv is neither on PATH nor in .uv; run `make setup`"
    return uv


def _run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, env=_clean(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def _clean() -> dict[str, str]:
    """The environment without what points into this checkout's own one."""
    return {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
