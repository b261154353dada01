"""Starts, finds and ends the sandbox's processes.

The process table is the record of what runs: a process is known by an argument that holds its sandbox's folder. So
nothing is lost when the command is killed between starting a process and noting it down, after a reboot no stranger
with a recycled id is taken for ours, and no file can be out of date.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from gpu_clusters.errors import OperationError

_PROC: Final = Path("/proc")
_POLL_SECONDS: Final = 0.02
_KILL_SECONDS: Final = 5.0

# A child of this very process must be reaped when it ends, or it would stay in the process table as a zombie.
_children: dict[int, subprocess.Popen[bytes]] = {}


def spawn(arguments: Sequence[str], log: Path, directory: Path, environment: Mapping[str, str]) -> int:
    """Start a process that outlives this one: own session, no terminal, both outputs in `log`. Returns its id.

    The log of the start before this one is kept beside it, with the suffix `.previous`.
    """
    if log.exists():
        log.replace(log.with_suffix(".previous"))
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            cwd=directory,
            env=dict(environment),
            start_new_session=True,
        )
    finally:
        os.close(handle)
    _children[process.pid] = process
    return process.pid


def find(markers: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Look up running processes by an argument of theirs.

    Args:
        markers: for each name, an argument that only this process has.

    Returns:
        The ids of the processes that have it, for every name.
    """
    found: dict[str, list[int]] = {}
    table = _process_table()
    for name, marker in markers.items():
        # `ps` doesn't tell a space within an argument from one between two.
        needles = {f"\0{marker}\0", f"\0{marker}\0".replace(" ", "\0")}
        found[name] = [pid for pid, arguments in table if any(needle in arguments for needle in needles)]
    return {name: tuple(sorted(pids)) for name, pids in found.items()}


def is_running(pid: int) -> bool:
    """Whether the process has not ended. One that has ended and waits to be reaped counts as ended."""
    child = _children.get(pid)
    if child is not None:
        if child.poll() is None:
            return True
        del _children[pid]
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def terminate(pids: Collection[int], grace_seconds: float) -> None:
    """End processes: SIGTERM, and SIGKILL for those that are still there after `grace_seconds`.

    Raises:
        OperationError: one of them can't be ended, e.g. as it hangs in the kernel.
    """
    _signal(pids, signal.SIGTERM)
    left = _wait(pids, grace_seconds)
    _signal(left, signal.SIGKILL)
    left = _wait(left, _KILL_SECONDS)
    if left:
        names = ", ".join(str(pid) for pid in left)
        raise OperationError(f"processes {names} don't end, not even by SIGKILL", "end them by hand, then try again")


def _signal(pids: Collection[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _wait(pids: Collection[int], seconds: float) -> list[int]:
    end = time.monotonic() + seconds
    left = [pid for pid in pids if is_running(pid)]
    while left and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
        left = [pid for pid in left if is_running(pid)]
    return left


def _process_table() -> list[tuple[int, str]]:
    """Every process's arguments, each between two NULs."""
    if not _PROC.joinpath("self").exists():
        return _process_table_of_ps()
    table: list[tuple[int, str]] = []
    for entry in os.listdir(_PROC):  # noqa: PTH208 - a Path for each of hundreds of entries would cost half the time
        if entry.isdigit():
            # It may have ended since the folder was listed.
            with contextlib.suppress(OSError):
                table.append((int(entry), "\0" + os.fsdecode(Path(_PROC, entry, "cmdline").read_bytes())))
    return table


def _process_table_of_ps() -> list[tuple[int, str]]:
    listing = subprocess.run(["ps", "-axww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.strip().partition(" ") for line in listing.splitlines())
    return [(int(pid), f"\0{arguments}\0".replace(" ", "\0")) for pid, _, arguments in rows if pid.isdigit()]


def _is_zombie(pid: int) -> bool:
    try:
        # The name in parentheses may itself hold spaces and parentheses; the state comes after the last one.
        return Path(_PROC, str(pid), "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
