"""Builds programs from pinned Go modules into the user's cache folder.

<cache>/toolchain/
    .lock                    held by the one process that builds
    go/                      Go's own caches, several GB; removed once all that was asked for is there
    .building-*/             one program while it is built; a kill leaves it, the next build removes it
    etcd-3.7.3-<pin>/etcd    moved here when it is whole
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Final

from gpu_clusters._paths import CACHE_VARIABLE, cache_dir
from gpu_clusters.errors import OperationError
from gpu_clusters.toolchain.finding import Located, Missing, buildable, cached_path, locate, needs
from gpu_clusters.toolchain.golang import ensure_go, go_environment
from gpu_clusters.toolchain.processes import ends_orderly, run_logged
from gpu_clusters.toolchain.programs import RECIPES, Program
from gpu_clusters.toolchain.progress import Step, console_for_progress
from gpu_clusters.toolchain.versions import Unanswered, ask_version

_WORK_PREFIX: Final = ".building-"
_NETWORK_SIGNS: Final = (
    "dial tcp",
    "goproxy=off",
    "proxyconnect",
    "i/o timeout",
    "tls handshake",
    "x509:",
    "no such host",
    "403 forbidden",
    "404 not found",
    "502 bad gateway",
    "503 service",
)


def ensure(programs: Sequence[Program]) -> Mapping[Program, Located]:
    """Find programs, and build those that are nowhere; progress goes to standard error.

    The whole base set takes about 8 minutes on 2 cores, 8 GB of disk while it is built and 0.6 GB after, and 2 GB of
    memory. Of two calls at once the second waits for the first, then finds what it built.

    Raises:
        OperationError: a setting names a file that won't do, or a build failed; nothing half made is left.
    """
    found = {program: locate(program) for program in programs}
    missing = [item for item in found.values() if isinstance(item, Missing)]
    try:
        if missing:
            _refuse_unbuildable(missing)
            with ends_orderly(), _lock(waits=True):
                found |= _build_all([item.program for item in missing])
                _remove_go_area()
        elif _go_area().exists():
            with contextlib.suppress(BlockingIOError), _lock(waits=False):
                _remove_go_area()
    except OSError as error:
        raise OperationError(
            f"programs can't be built in {_root()}: {error}",
            f"see that the folder can be written to and has 8 GB free, or name another in {CACHE_VARIABLE}",
        ) from error
    return {program: item for program, item in found.items() if isinstance(item, Located)}


def _root() -> Path:
    return cache_dir() / "toolchain"


def _go_area() -> Path:
    return _root() / "go"


def _remove_go_area() -> None:
    # A Go process of a killed run may still write there; what it leaves is removed the next time.
    if _go_area().exists():
        with Step("removing Go's caches"):
            shutil.rmtree(_go_area(), ignore_errors=True)


def _refuse_unbuildable(missing: Sequence[Missing]) -> None:
    for item in missing:
        if not buildable(item.program):
            recipe = RECIPES[item.program]
            raise OperationError(
                f"{needs(recipe)} of {item.program} is needed, the version of the API server that is set,"
                f" and {recipe.version} is what could be built",
                f"name one in {item.program.variable}, or unset {Program.KUBE_APISERVER.variable}",
                item.reasons,
            )


@contextlib.contextmanager
def _lock(*, waits: bool) -> Generator[None, None, None]:
    _root().mkdir(parents=True, exist_ok=True)
    with (_root() / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waits:
                raise
            _wait_for(file.fileno())
        yield


def _wait_for(lock: int) -> None:
    with Step("waiting for another process that builds programs") as step:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.5)
                step.tick()
            else:
                return


def _build_all(programs: Sequence[Program]) -> dict[Program, Located | Missing]:
    found = {program: locate(program) for program in programs}
    missing = [program for program in RECIPES if isinstance(found.get(program), Missing)]
    if not missing:
        return found
    for leftover in _root().glob(f"{_WORK_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    area = _go_area()
    shutil.rmtree(area / "tmp", ignore_errors=True)
    (area / "tmp").mkdir(parents=True)
    _announce([item for item in found.values() if isinstance(item, Missing)])
    go = ensure_go(missing, area)
    for number, program in enumerate(missing, start=1):
        found[program] = _build(program, go, f"{number} of {len(missing)}")
    return found


def _announce(missing: Sequence[Missing]) -> None:
    console = console_for_progress()
    for item in missing:
        console.print(f"{item.program} must be built: {'; '.join(item.reasons)}", markup=False)


def _build(program: Program, go: Path, place: str) -> Located:
    recipe, area = RECIPES[program], _go_area()
    work = Path(tempfile.mkdtemp(prefix=_WORK_PREFIX, dir=_root()))
    built = work / program.value
    try:
        with Step(f"building {program} {recipe.version} ({place})") as step:
            code, lines = run_logged(
                [str(go), "build", "-o", str(built), *recipe.arguments],
                environment=go_environment(area),
                directory=recipe.directory,
                log=area / "build.log",
                step=step,
            )
            if code != 0:
                raise OperationError(f"{program} {recipe.version} couldn't be built", _remedy(program, lines), lines)
            version = ask_version(built, recipe.question)
            if version != recipe.version:
                said = version.reason if isinstance(version, Unanswered) else f"it calls itself {version}"
                raise OperationError(
                    f"{program} {recipe.version} was built, but doesn't run as it should: {said}",
                    f"if programs may not be run from {_root()}, name another folder in {CACHE_VARIABLE}",
                )
            _keep(work, built, cached_path(program).parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Located(program, cached_path(program), str(recipe.version), "built")


def _keep(work: Path, built: Path, target: Path) -> None:
    """Move a finished program to its place, where a loss of power must not leave half of it either."""
    with built.open("rb") as file:
        os.fsync(file.fileno())
    # Whatever lies there was found unfit to run.
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    work.rename(target)


def _remedy(program: Program, lines: Sequence[str]) -> str:
    output = "\n".join(lines).lower()
    otherwise = f"put {program} on PATH, or name it in {program.variable}"
    if "no space left" in output:
        return f"make room in {_root()} (8 GB for all programs), or name another folder in {CACHE_VARIABLE}"
    if "signal: killed" in output:
        return f"Go was killed, most likely for want of memory: free 2.1 GB, or {otherwise}"
    if any(sign in output for sign in _NETWORK_SIGNS):
        return f"no Go module proxy was reached: name one that can be in GOPROXY, or {otherwise}"
    return f"read the end of Go's output below, or {otherwise}"
