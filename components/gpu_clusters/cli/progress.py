"""What people see while the engine works, on standard error."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.markup import escape

from gpu_clusters.cli.output import messages

if TYPE_CHECKING:
    from rich.status import Status

    from gpu_clusters.rehearsal.engine.events import Changes, Step

_SHOWN: Final = 3
#: What is done, is being done, and has been done.
_WORDS: Final = {
    "create": ("+", "creating", "created"),
    "update": ("~", "updating", "updated"),
    "replace": ("±", "replacing", "replaced"),
    "delete": ("-", "deleting", "deleted"),
    "import": ("+", "importing", "imported"),
}
_STACK_TYPE: Final = "pulumi:pulumi:Stack"


class Progress:
    """A line for each resource that is done and, on a terminal, one below with those being worked on.

    Args:
        verb: what is being done, for the time before the first resource.
        preview: nothing is done: resources are only counted.
    """

    def __init__(self, verb: str, *, preview: bool) -> None:
        self._verb, self._preview = verb, preview
        self._working: dict[str, Step] = {}
        self._done = 0
        self._status: Status | None = None

    @contextmanager
    def shown(self) -> Generator[None, None, None]:
        """Show it while the block runs."""
        if not messages.is_terminal:
            yield
            return
        with messages.status(f"{self._verb}: starting the engine") as self._status:
            yield
        self._status = None

    def started(self, step: Step) -> None:
        if not self._preview and step.type != _STACK_TYPE:
            self._working[step.urn] = step
            self._refresh()

    def ended(self, step: Step, *, succeeded: bool) -> None:
        self._working.pop(step.urn, None)
        self._done += 1
        if not self._preview and step.type != _STACK_TYPE:
            self._line(done(step) if succeeded else f"{word(step.op, 1)} failed", step)
        self._refresh()

    def said(self, severity: str, message: str) -> None:
        if severity == "warning":
            messages.print("[yellow]warning:[/] ", end="")
        messages.print(message, markup=False)

    def _line(self, what: str, step: Step) -> None:
        kind = step.type.rpartition(":")[2]
        messages.print(f"  {what:<10} {kind} {step.name}", markup=False)

    def _refresh(self) -> None:
        if self._status is None:
            return
        first = [f"{word(step.op, 1)} {step.name}" for step in list(self._working.values())[:_SHOWN]]
        more = len(self._working) - len(first)
        text = ", ".join(first) + (f" and {more} more" if more > 0 else "")
        self._status.update(escape(f"{self._verb}: {self._done} done{'; ' if text else ''}{text}"))


def word(op: str, form: int) -> str:
    """The word for an operation: 0 its sign, 1 being done, 2 done."""
    return _WORDS.get(op, ("*", op, op))[form]


def done(step: Step) -> str:
    """The word for a step that is done."""
    return word(step.op, 2)


def counted(changes: Changes, *, preview: bool, seconds: float) -> str:
    """`12 created, 1 updated, 30 unchanged in 4.2 s`, or that there is nothing to change."""
    if not changes.any:
        what = f"{changes.same} resources are as they should be" if changes.same else "there are no resources"
        return f"nothing to change; {what} ({seconds:.1f} s)"
    counts = {
        "create": changes.create,
        "update": changes.update,
        "replace": changes.replace,
        "delete": changes.delete,
    }
    parts = [f"{count} {'to ' + op if preview else word(op, 2)}" for op, count in counts.items() if count]
    parts += [f"{changes.same} unchanged"] if changes.same else []
    return f"{', '.join(parts)} in {seconds:.1f} s"
