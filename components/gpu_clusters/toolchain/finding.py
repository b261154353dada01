"""Where a program is: in a setting, on PATH, in KUBEBUILDER_ASSETS, or in the cache folder. Nothing is built here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpu_clusters._paths import cache_dir
from gpu_clusters.errors import OperationError
from gpu_clusters.toolchain.programs import RECIPES, Program, Recipe
from gpu_clusters.toolchain.versions import Unanswered, Version, ask_version

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"


@dataclass(frozen=True, slots=True)
class Located:
    """A program that can be run.

    Args:
        path: its file, absolute.
        version: what it says itself, such as `1.36.3`.
        source: `setting`, `PATH`, `KUBEBUILDER_ASSETS`, `cache`, or `built` where this very call built it.
        passed_over: files that came first and wouldn't do, each with the reason.
    """

    program: Program
    path: Path
    version: str
    source: str
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """A program that is nowhere.

    Args:
        reasons: what was looked at, and why it won't do.
    """

    program: Program
    reasons: tuple[str, ...]


def locate(program: Program) -> Located | Missing:
    """Find a program without building it.

    Raises:
        OperationError: the program's own variable, such as `GPU_CLUSTERS_ETCD`, names a file that won't do.
    """
    recipe = RECIPES[program]
    if setting := os.environ.get(program.variable):
        return _by_setting(program, recipe, Path(setting))
    passed_over: list[str] = []
    for source, path in _candidates(program):
        version = ask_version(path, recipe.question)
        problem = version.reason if isinstance(version, Unanswered) else _unfit(path, version, recipe)
        if problem is None:
            return Located(program, path, str(version), source, tuple(passed_over))
        passed_over.append(f"{source}: {problem}")
    return Missing(program, tuple(passed_over) or ("neither on PATH nor in the cache folder",))


def cached_path(program: Program) -> Path:
    """Where a program lies once it is built; another pin or version is another folder."""
    recipe = RECIPES[program]
    return cache_dir() / "toolchain" / f"{program}-{recipe.version}-{recipe.pin}" / program.value


def kubernetes_series() -> tuple[int, int]:
    """Major and minor version of the control plane: the API server's that is set, else the one that is built."""
    recipe = RECIPES[Program.KUBE_APISERVER]
    if setting := os.environ.get(Program.KUBE_APISERVER.variable):
        version = ask_version(Path(setting).absolute(), recipe.question)
        if isinstance(version, Version):
            return version.series
    return recipe.version.series


def buildable(program: Program) -> bool:
    """Whether the version that is built would do; not so beside an API server of another version."""
    recipe = RECIPES[program]
    return _unfit(Path(program.value), recipe.version, recipe) is None


def _by_setting(program: Program, recipe: Recipe, path: Path) -> Located:
    remedy = f"name {needs(recipe)} in {program.variable}, or unset it"
    path = path.expanduser().absolute()
    if not path.is_file():
        raise OperationError(f"{program.variable} names {path}, which is not a file", remedy)
    version = ask_version(path, recipe.question)
    problem = version.reason if isinstance(version, Unanswered) else _unfit(path, version, recipe)
    if problem is not None:
        raise OperationError(f"{program.variable}: {problem}", remedy)
    return Located(program, path, str(version), "setting")


def needs(recipe: Recipe) -> str:
    """The versions that will do, in words."""
    if recipe.kubernetes_skew is None:
        return f"version {recipe.minimum} or newer"
    major, minor = kubernetes_series()
    if recipe.kubernetes_skew == 0:
        return f"version {major}.{minor}"
    return f"a version from {major}.{minor - recipe.kubernetes_skew} to {major}.{minor + recipe.kubernetes_skew}"


def _unfit(path: Path, version: Version, recipe: Recipe) -> str | None:
    if version < recipe.minimum:
        return f"{path} is {version}, and {recipe.minimum} or newer is needed: {recipe.reason}"
    if recipe.kubernetes_skew is None:
        return None
    major, minor = kubernetes_series()
    if version.major == major and abs(version.minor - minor) <= recipe.kubernetes_skew:
        return None
    return f"{path} is {version}, and {needs(recipe)} is needed beside Kubernetes {major}.{minor}"


def _candidates(program: Program) -> Iterator[tuple[str, Path]]:
    folders = [("PATH", Path(folder)) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    if assets := os.environ.get(ASSETS_VARIABLE):
        folders.append((ASSETS_VARIABLE, Path(assets).expanduser().absolute()))
    seen: set[Path] = set()
    for source, folder in folders:
        path = folder / program.value
        # An empty or relative entry means the current folder, where anybody may have put anything.
        if not folder.is_absolute() or not _is_program(path) or (real := path.resolve()) in seen:
            continue
        seen.add(real)
        yield source, path
    if _is_program(built := cached_path(program)):
        yield "cache", built


def _is_program(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.X_OK)
    except OSError:
        return False
