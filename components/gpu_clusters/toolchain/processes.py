"""Long commands that leave nothing behind: run in a group of their own, which ends when they are not waited for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from gpu_clusters.toolchain.progress import Step

_TICK_SECONDS = 1.0
_MERCY_SECONDS = 5.0
_LOG_END_BYTES = 8_000
_LOG_END_LINES = 25


def run_logged(
    command: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path, step: Step
) -> tuple[int, list[str]]:
    """Run a command to its end, its output in `log`.

    Returns:
        Its exit code, and the last lines of what it said.

    Raises:
        OSError: it can't be started.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while True:
                try:
                    code = process.wait(_TICK_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    step.tick()
        finally:
            _end_group(process)
    return code, _end_of(log)


@contextlib.contextmanager
def ends_orderly() -> Generator[None, None, None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that nothing started in here outlives it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    # What the caller handles or ignores (nohup) stays so.
    ours = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in ours:
            signal.signal(number, leave)
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_MERCY_SECONDS)
            return


def _end_of(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _LOG_END_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return [line for line in lines if line.strip()][-_LOG_END_LINES:]
