"""Files that are either whole or not there, locks on files, and folders that go when they are empty."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

# Each time a lock file or its folder has gone between two steps, somebody else was cleaning up.
_ATTEMPTS: Final = 1000


def write_atomically(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write `content` beside `path`, then move it there, so that no reader and no kill sees half of it.

    Args:
        mode: the file's permissions; 0o600 for anything with a key in it. They hold before the content is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def lock_file(path: Path, mode: int) -> int | None:
    """Make and lock a file that its holder may delete: the file that was locked is still the one at `path`.

    Args:
        mode: as `fcntl.flock` takes it.

    Returns:
        What `os.close` lets go of, as the kernel does when the process ends; None if `mode` has `LOCK_NB` and somebody
        else holds it.

    Raises:
        OSError: the file can't be made.
    """
    for attempt in range(_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (FileNotFoundError, FileExistsError):
            # The latter where the folder was there for `mkdir`, and gone when that looked whether it is one.
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        try:
            fcntl.flock(handle, mode)
            # A lock on a file that has no name any more protects nothing.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
    raise FileNotFoundError(f"{path} is deleted again and again")


def remove_if_empty(folder: Path) -> None:
    """Remove a folder if nothing is in it and nobody keeps us from it."""
    with suppress(OSError):
        folder.rmdir()
