"""Who may use a stack or the local backend at a time, and what is left of those who were killed."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gpu_clusters._files import lock_file
from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.engine.project import as_mapping

_ORPHAN_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1


@contextmanager
def exclusive(path: Path, purpose: str) -> Generator[None, None, None]:
    """Hold the lock file `path` for as long as the block runs; a process that is killed loses it.

    Raises:
        OperationError: another process holds it; names its pid.
    """
    handle = lock_file(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if handle is None:
        pid = path.read_text(errors="replace").strip() if path.exists() else ""
        raise OperationError(
            f"another run works on {purpose}{f' (pid {pid})' if pid else ''}", "wait until it has ended, or end it"
        )
    try:
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)


@contextmanager
def shared(path: Path) -> Generator[None, None, None]:
    """Hold the lock file `path` together with others who do the same; waits for one who holds it alone."""
    handle = lock_file(path, fcntl.LOCK_SH)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def alone(path: Path) -> Generator[bool, None, None]:
    """Hold the lock file `path` if nobody else does, and say whether it is held."""
    handle = lock_file(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def clear_engine_locks(folder: Path, say: Callable[[str], None]) -> None:
    """Remove the locks that dead engines left in a local backend's lock folder of one stack.

    An engine whose parent was killed ends by itself once it has saved its state: it is waited for, for a minute.

    Raises:
        OperationError: a lock's holder lives on, or is on another machine.
    """
    deadline = time.monotonic() + _ORPHAN_SECONDS
    waiting = False
    while (holders := _living_holders(folder, say)) and time.monotonic() < deadline:
        if not waiting:
            say(f"waiting for the engine of an interrupted run to end ({holders[0]})")
        waiting = True
        time.sleep(_POLL_SECONDS)
    if holders:
        raise OperationError(
            f"the stack is locked by another engine ({holders[0]})",
            f"wait until it has ended, or end it; then, if {folder} still has a file, delete that",
        )


def _living_holders(folder: Path, say: Callable[[str], None]) -> list[str]:
    living: list[str] = []
    for file in folder.glob("*.json"):
        content: object = None
        with suppress(OSError, ValueError, RecursionError):
            content = json.loads(file.read_bytes())
        lock = as_mapping(content)
        pid, host = lock.get("pid"), lock.get("hostname")
        if host not in {None, socket.gethostname()}:
            living.append(f"pid {pid} on {host}")
        elif isinstance(pid, int) and _is_engine(pid):
            living.append(f"pid {pid}")
        elif file.exists():
            say(f"removed the lock of an engine that was killed (pid {pid})")
            # The sidecar with the blob's attributes goes with it.
            for left in (file, file.with_name(f"{file.name}.attrs")):
                left.unlink(missing_ok=True)
    return living


def _is_engine(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A number can have been given to another program since; a zombie's command line is empty.
    if not Path("/proc/self").exists():
        return True
    try:
        return b"pulumi" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
