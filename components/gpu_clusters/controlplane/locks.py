"""One start or stop of a sandbox at a time, across processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

from gpu_clusters._files import lock_file, remove_if_empty
from gpu_clusters.errors import OperationError

_POLL_SECONDS: Final = 0.05


@contextlib.contextmanager
def locked(path: Path, wait_seconds: float) -> Generator[None]:
    """Hold the lock of a file. The kernel lets go of it however its holder ends.

    Raises:
        OperationError: another process still has it after `wait_seconds`.
    """
    handle = _acquired(path, time.monotonic() + wait_seconds)
    try:
        yield
    finally:
        os.close(handle)


def _acquired(path: Path, end: float) -> int:
    while (handle := lock_file(path, fcntl.LOCK_EX | fcntl.LOCK_NB)) is None:
        if time.monotonic() > end:
            raise OperationError(
                f"another start or stop of the sandbox is under way: it holds {path}",
                "wait until it is done, or end it, then try again",
            )
        time.sleep(_POLL_SECONDS)
    return handle


def remove_unused(folder: Path, is_used: Callable[[Path], bool]) -> None:
    """Remove the lock files of a folder that nobody holds, and the folder itself if nothing else is in it.

    Args:
        is_used: whether a lock belongs to something that is there; asked while the lock is held.
    """
    paths: list[Path] = []
    # Another process may remove the folder while it is read.
    with contextlib.suppress(FileNotFoundError):
        paths = sorted(folder.glob("*.lock"))
    for path in paths:
        handle = lock_file(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if handle is not None:
            try:
                if not is_used(path):
                    path.unlink(missing_ok=True)
            finally:
                os.close(handle)
    remove_if_empty(folder)
