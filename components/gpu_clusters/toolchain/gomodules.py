"""Files of pinned Go modules, such as an add-on's CustomResourceDefinitions, fetched by Go through the user's proxy."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, cast

from gpu_clusters._paths import CACHE_VARIABLE, cache_dir
from gpu_clusters.errors import OperationError
from gpu_clusters.toolchain.golang import ensure_go, go_environment
from gpu_clusters.toolchain.processes import ends_orderly, run_logged
from gpu_clusters.toolchain.programs import Program
from gpu_clusters.toolchain.progress import Step

_REMEDY: Final = "name a Go module proxy that can be reached in GOPROXY"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoModule:
    """One version of a Go module.

    Attributes:
        path: such as `sigs.k8s.io/kueue`.
        version: with its `v`.
        checksum: `h1:...`, as a go.sum file has it for the module itself.
    """

    path: str
    version: str
    checksum: str

    def __str__(self) -> str:
        return f"{self.path} {self.version}"


def module_files(module: GoModule, folder: str) -> dict[str, bytes]:
    """Fetch a module, check it against its checksum, and read the files that lie right in one of its folders.

    Nothing is kept: the caller keeps what it makes of them.

    Raises:
        OperationError: there is no Go, no proxy was reached, or the module isn't the one that is pinned.
    """
    root = cache_dir() / "modules"
    try:
        root.mkdir(parents=True, exist_ok=True)
        area = Path(tempfile.mkdtemp(prefix=".fetching-", dir=root))
    except OSError as error:
        raise OperationError(
            f"{module} can't be fetched into {root}: {error}",
            f"see that the folder can be written to, or name another in {CACHE_VARIABLE}",
        ) from error
    try:
        with ends_orderly():
            return _read(_download(module, area), module, folder)
    finally:
        shutil.rmtree(area, ignore_errors=True)


def _download(module: GoModule, area: Path) -> Path:
    (area / "tmp").mkdir()
    go = _go(module, area)
    # Go's checksum database isn't asked: the checksum that is compared below came with this library.
    environment = go_environment(area) | {"GOSUMDB": "off"}
    with Step(f"fetching {module}") as step:
        command = [str(go), "mod", "download", "-json", f"{module.path}@{module.version}"]
        log = area / "download.log"
        _, lines = run_logged(command, environment=environment, directory=area / "tmp", log=log, step=step)
    answer = _answer(log.read_text("utf-8", "replace"))
    # A module whose go.mod asks for a newer Go is an error to Go, though it has fetched it: nothing is built here.
    if not answer.get("Zip"):
        problem = answer.get("Error") or (lines[-1] if lines else "Go said nothing")
        raise OperationError(f"{module} couldn't be fetched: {problem}", _REMEDY, lines)
    if answer.get("Sum") != module.checksum:
        raise OperationError(
            f"{module} has the checksum {answer.get('Sum')}, and {module.checksum} was expected",
            "see which proxy GOPROXY names: it serves something else under this name",
        )
    return Path(answer["Zip"])


def _go(module: GoModule, area: Path) -> Path:
    try:
        return ensure_go([Program.HELM], area)
    except OperationError as error:
        problem = f"{module} can't be fetched: there is no Go"
        raise OperationError(problem, "install Go from https://go.dev/dl", error.details) from error


def _answer(text: str) -> dict[str, str]:
    try:
        found = cast("object", json.JSONDecoder().raw_decode(text, text.index("{"))[0])
    except ValueError:
        return {}
    items = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    return {key: value for key, value in items.items() if isinstance(value, str)}


def _read(archive: Path, module: GoModule, folder: str) -> dict[str, bytes]:
    wanted = PurePosixPath(f"{module.path}@{module.version}", folder)
    with zipfile.ZipFile(archive) as opened:
        paths = {name: PurePosixPath(name) for name in opened.namelist()}
        return {path.name: opened.read(name) for name, path in sorted(paths.items()) if path.parent == wanted}
