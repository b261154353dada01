"""The folder of a rehearsal: one for each, gone at the end; what killed ones have left is found by the next."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from gpu_clusters._files import lock_file, remove_if_empty
from gpu_clusters._paths import STATE_VARIABLE, state_dir
from gpu_clusters.controlplane.sandbox import Sandbox, sandboxes
from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.isolation import state_folder


@contextmanager
def rehearsal_folder(say: Callable[[str], None]) -> Generator[Path]:
    """A new folder in our state folder until the block ends; then it goes with all processes that work in it.

    Args:
        say: is told what a rehearsal that was killed had left.

    Raises:
        OperationError: the state folder can't be used.
    """
    root = state_dir()
    rehearsals = root / "rehearsals"
    _sweep(rehearsals, say)
    try:
        # The lock first: a folder without one would be swept.
        folder = rehearsals / secrets.token_hex(4)
        handle = lock_file(_lock_of(folder), fcntl.LOCK_EX)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise OperationError(
            f"the state folder {root} can't be used: {error}",
            f"make it writable and see that the disk isn't full, or name another in {STATE_VARIABLE}",
        ) from None
    try:
        yield folder
    finally:
        _remove(folder)
        if handle is not None:
            os.close(handle)
        for empty in (rehearsals, root):
            remove_if_empty(empty)


def _sweep(rehearsals: Path, say: Callable[[str], None]) -> None:
    """Remove what rehearsals that don't run any more have left."""
    for lock in sorted(rehearsals.glob("*.lock")):
        handle = lock_file(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if handle is None:
            continue
        try:
            say("removing what an earlier rehearsal left that was killed")
            _remove(lock.with_suffix(""))
        finally:
            os.close(handle)


def _remove(folder: Path) -> None:
    """Stop all sandboxes of a rehearsal, then delete its folder. The caller holds its lock."""
    with _state_in(folder):
        for name in sandboxes():
            Sandbox(name).stop(delete_data=True)
    shutil.rmtree(folder, ignore_errors=True)
    _lock_of(folder).unlink(missing_ok=True)


@contextmanager
def _state_in(folder: Path) -> Generator[None]:
    before = os.environ.get(STATE_VARIABLE)
    os.environ[STATE_VARIABLE] = str(state_folder(folder))
    try:
        yield
    finally:
        if before is None:
            del os.environ[STATE_VARIABLE]
        else:
            os.environ[STATE_VARIABLE] = before


def _lock_of(folder: Path) -> Path:
    # Beside the folder: it has to be held until the folder is gone.
    return folder.with_name(f"{folder.name}.lock")
