"""A rehearsal: any stack brought up, looked at, brought up again and taken down, with nothing real in reach."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from types import CoroutineType, FrameType
from typing import Final, NoReturn

from gpu_clusters.controlplane.layout import Part
from gpu_clusters.controlplane.sandbox import Sandbox
from gpu_clusters.rehearsal.clusters import SimulatedWorld
from gpu_clusters.rehearsal.course import Course
from gpu_clusters.rehearsal.engine.events import Listener
from gpu_clusters.rehearsal.engine.project import Stack
from gpu_clusters.rehearsal.folders import rehearsal_folder
from gpu_clusters.rehearsal.isolation import isolated, state_folder
from gpu_clusters.rehearsal.report import Report
from gpu_clusters.toolchain import Located, Program, ensure

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


def engine_for_rehearsals() -> Located:
    """The engine, once all programs of the control plane are seen to be there, too; builds what is missing.

    Raises:
        OperationError: one can't be built.
    """
    return ensure([Program.PULUMI, *(Program(part) for part in Part)])[Program.PULUMI]


def rehearse(stack: Stack, engine: Located, listener: Listener, *, earlier: Stack | None = None) -> Report:
    """Bring `stack` up where nothing is real, and say how that went.

    Everything is of this rehearsal alone and gone at the end, also after an error or Ctrl-C: sandboxes, backend, state.
    The program runs in this process, whose environment is isolated meanwhile.

    Args:
        earlier: the same stack in an earlier configuration, which is brought up first: then the change is rehearsed.

    Raises:
        ConfigErrors, UsageError: the program found its configuration or its surroundings unusable.
        OperationError: the rehearsal itself can't be had: no control plane, a full disk.
        KeyboardInterrupt: it was interrupted.
    """
    begin = time.monotonic()
    if stack.sandbox:
        # Refuses a name that can't be one.
        Sandbox(stack.sandbox)

    def say(message: str) -> None:
        listener.said("info", message)

    with (
        _endings_as_interrupts(),
        _abandoned_programs_end_silently(),
        rehearsal_folder(say) as folder,
        isolated(folder),
        SimulatedWorld(state_folder(folder), say) as world,
    ):
        report = Course(stack, engine, folder, world, listener).run(earlier)
    return replace(report, seconds=time.monotonic() - begin)


@contextmanager
def _endings_as_interrupts() -> Generator[None]:
    """What ends a process ends a rehearsal as Ctrl-C does: everything that it has started goes with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _abandoned_programs_end_silently() -> Generator[None]:
    """What an engine ends in the midst of a program stays behind as coroutines, which complain when they are freed."""
    before = sys.unraisablehook

    def show(what: sys.UnraisableHookArgs) -> None:
        if not isinstance(what.object, CoroutineType):
            before(what)

    sys.unraisablehook = show
    try:
        yield
    finally:
        sys.unraisablehook = before
