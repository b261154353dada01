"""One start or stop of a sandbox at a time, across processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

from gpu_clusters.errors import OperationError

_POLL_SECONDS: Final = 0.05


@contextlib.contextmanager
def locked(path: Path, wait_seconds: float) -> Generator[None]:
    """Hold the lock of a file, which stays there. The kernel lets go of it however its holder ends.

    Raises:
        OperationError: another process still has it after `wait_seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(handle, path, time.monotonic() + wait_seconds)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, path: Path, end: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise OperationError(
                    f"another start or stop of the sandbox is under way: it holds {path}",
                    "wait until it is done, or end it, then try again",
                ) from None
            time.sleep(_POLL_SECONDS)
        else:
            return
