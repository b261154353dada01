"""Free ports on loopback, and who has one that isn't."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from gpu_clusters.errors import OperationError

LOOPBACK: Final = "127.0.0.1"

# Below the ranges from which Linux (32768 on) and macOS (49152 on) take the ports of outgoing connections: a port
# that is free while the sandbox is stopped then is free when it is started again.
_RANGE: Final = range(20000, 32768)
_RELEASE_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.02


def free(count: int, taken: Collection[int]) -> tuple[int, ...]:
    """Choose ports that nobody listens on.

    Args:
        count: how many.
        taken: ports not to choose although they are free, such as those of a stopped sandbox.
    """
    chosen: list[int] = []
    for port in _shuffled():
        if len(chosen) == count:
            return tuple(chosen)
        if port not in taken and is_free(port):
            chosen.append(port)
    raise OperationError(
        f"there are no {count} free ports between {_RANGE.start} and {_RANGE.stop - 1}",
        "stop sandboxes that you don't need: `gpu-clusters sandbox list`",
    )


def is_free(port: int) -> bool:
    """Whether a server can listen on it now, on loopback.

    Raises:
        OperationError: this user may not listen on it at all, e.g. on one below 1024.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        # As the servers do: connections of the last one that linger are no obstacle.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((LOOPBACK, port))
            server.listen(1)
        except PermissionError as error:
            raise OperationError(
                f"this user may not listen on port {port}", "choose one from 1024 on with --port"
            ) from error
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                return False
            raise
    return True


def gets_free(port: int) -> bool:
    """Whether a server can listen on it now or in a moment: a killed process lets go of its port while it ends."""
    end = time.monotonic() + _RELEASE_SECONDS
    while not is_free(port):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def holder(port: int) -> str | None:
    """Who listens on it, e.g. `nginx (process 812)`; None where the system doesn't tell."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    if not sockets:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        # Other users' processes can't be looked into, and any may end meanwhile.
        with contextlib.suppress(OSError):
            for handle in (process / "fd").iterdir():
                if os.readlink(handle) in sockets:  # noqa: PTH115 - the target is no path
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None


def _listening(port: int) -> Iterator[str]:
    """The inodes of the sockets that listen on it (Linux: /proc/net/tcp, man 5 proc)."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _shuffled() -> list[int]:
    return random.sample(_RANGE, len(_RANGE))
