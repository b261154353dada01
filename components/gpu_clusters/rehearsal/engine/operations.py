"""The four verbs, each one run of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gpu_clusters.errors import GpuClustersError, OperationError
from gpu_clusters.rehearsal.engine.choice import Engine
from gpu_clusters.rehearsal.engine.events import Changes, Listener, ResourceError, Step
from gpu_clusters.rehearsal.engine.failures import remedy
from gpu_clusters.rehearsal.engine.project import Stack
from gpu_clusters.rehearsal.engine.session import Ending, Session
from gpu_clusters.rehearsal.engine.verbs import Result, Verb
from gpu_clusters.rehearsal.engine.workspace import remove_workspace, uses_own_backend, workspace


@dataclass(frozen=True)
class Outcome:
    """What one run of the engine did.

    Attributes:
        steps: the resources that changed, or that would.
        duration: seconds, with what had to be settled first.
        outputs: the stack's; a secret is `[secret]`.
        errors: what failed, in the words of who refused it.
        cause: an error of the program itself, as it was raised.
    """

    verb: Verb
    stack: str
    result: Result
    changes: Changes
    steps: tuple[Step, ...]
    duration: float
    outputs: Mapping[str, object]
    errors: tuple[ResourceError, ...] = ()
    cause: GpuClustersError | None = None

    @property
    def error(self) -> GpuClustersError | None:
        """What to raise; None if all went well or it was interrupted."""
        if self.result is not Result.FAILED:
            return None
        if self.cause:
            return self.cause
        details = tuple(line for error in self.errors for line in str(error).splitlines() if line.strip())
        return OperationError(f"{self.verb} of stack {self.stack!r} failed", remedy(self.errors), details)


def run(verb: Verb, stack: Stack, engine: Engine, listener: Listener, *, remove: bool = False) -> Outcome:
    """Run `verb` on `stack` to its end.

    Ctrl-C lets running operations end; a second one doesn't.

    Args:
        remove: for `destroy`: remove the stack itself too, and with the last one all that was kept for sandbox stacks.

    Raises:
        OperationError: the stack is in use. What fails later is in the outcome.
    """

    def say(message: str) -> None:
        listener.said("info", message)

    with workspace(stack, own_home=engine.own_home, say=say) as place:
        if verb is Verb.DESTROY and not place.exists():
            ending = Ending(Result.SUCCEEDED)
        else:
            with engine.attached() as attached:
                ending = Session(stack, engine, place, attached, listener).run(verb, remove=remove)
    if remove and ending.result is Result.SUCCEEDED and uses_own_backend(stack):
        remove_workspace(stack)
    return Outcome(
        verb=verb,
        stack=stack.name,
        result=ending.result,
        changes=ending.changes,
        steps=ending.steps,
        duration=ending.duration,
        outputs=ending.outputs,
        errors=ending.errors,
        cause=ending.cause,
    )
