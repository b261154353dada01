"""What a build says while it goes on, on standard error: one live line on a terminal, else a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

_QUIET_SECONDS = 30.0


class Step:
    """One thing that takes long. Call `tick` about once a second while it goes on.

    Args:
        what: what is done, such as `building etcd 3.7.3 (1 of 7)`.
    """

    def __init__(self, what: str, console: Console | None = None) -> None:
        self._what = what
        self._console = console or console_for_progress()
        self._status: Status | None = None
        self._start = self._said = time.monotonic()

    def __enter__(self) -> Step:
        self._start = self._said = time.monotonic()
        if self._console.is_terminal:
            self._status = self._console.status(self._what)
            self._status.start()
        else:
            self._console.print(self._what, markup=False)
        return self

    def tick(self) -> None:
        """Show how long it has taken by now."""
        now = time.monotonic()
        line = f"{self._what}, {elapsed(now - self._start)}"
        if self._status is not None:
            self._status.update(line)
        elif now - self._said >= _QUIET_SECONDS:
            self._console.print(line, markup=False)
            self._said = now

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
        end = "done" if kind is None else "failed" if issubclass(kind, Exception) else "stopped"
        self._console.print(f"{self._what}: {end} after {elapsed(time.monotonic() - self._start)}", markup=False)


def console_for_progress() -> Console:
    """Standard error; a terminal or not."""
    # rich takes a fifth of a second to import, and most calls find everything and say nothing.
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def elapsed(seconds: float) -> str:
    """`12 s`, or `1 min 12 s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
