"""The course of a rehearsal: up, what is there then, up again, down, and what that leaves."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from gpu_clusters.controlplane.overview import Overview, overview
from gpu_clusters.controlplane.sandbox import Sandbox, sandboxes
from gpu_clusters.errors import GpuClustersError, OperationError
from gpu_clusters.rehearsal.clusters import SimulatedWorld
from gpu_clusters.rehearsal.engine.choice import Engine, ProviderKind
from gpu_clusters.rehearsal.engine.events import STACK_TYPE, Listener, ResourceError, Step
from gpu_clusters.rehearsal.engine.failures import missing_plugins
from gpu_clusters.rehearsal.engine.project import Stack
from gpu_clusters.rehearsal.engine.session import Ending, Session
from gpu_clusters.rehearsal.engine.verbs import Result, Verb
from gpu_clusters.rehearsal.packages import other_providers, stand_in
from gpu_clusters.rehearsal.providers import SimulatedProvider, serve
from gpu_clusters.rehearsal.providers.aws import SimulatedAws
from gpu_clusters.rehearsal.providers.deferred import DeferredChecks
from gpu_clusters.rehearsal.providers.kubernetes import SimulatedKubernetes
from gpu_clusters.rehearsal.report import Change, Created, Phase, Report, SecondUp
from gpu_clusters.rehearsal.resources import Recorded, recorded
from gpu_clusters.rehearsal.workspaces import rehearsal_workspace, write_stack
from gpu_clusters.rehearsal.world import Leftover, PendingPod
from gpu_clusters.toolchain import Located

_DEBUG_PROVIDERS: Final = "PULUMI_DEBUG_PROVIDERS"
#: For pods that nobody waits for, such as those of a bare ReplicaSet: until they have stayed the same for a while.
_STEADY_SECONDS: Final = 2.0
_SETTLING_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.25


class Course:
    """One rehearsal of one stack.

    Args:
        folder: its own; the environment is isolated in it already.
        world: the clusters.
        listener: told what happens while it happens.
    """

    def __init__(self, stack: Stack, engine: Located, folder: Path, world: SimulatedWorld, listener: Listener) -> None:
        self._stack, self._engine, self._world = stack, engine, world
        self._listener = _Muteable(listener)
        self._place = rehearsal_workspace(stack, folder)
        self._phases: list[Phase] = []
        self._aws = SimulatedAws(world)
        self._servers = ExitStack()
        self._served: list[str] = []
        self._stood_in: set[str] = set()

    def run(self, earlier: Stack | None) -> Report:
        """Go through it to the end. What the stack does wrong is in the report.

        Raises:
            ConfigErrors, UsageError: the program found its configuration or its surroundings unusable.
            KeyboardInterrupt: it was interrupted.
        """
        with ThreadPoolExecutor(1) as ahead, self._servers:
            if self._stack.sandbox:
                # While the engine and the SDKs load. What goes wrong here is met again by the program.
                ahead.submit(self._world.start_sandbox, self._stack.sandbox)
            engine = Engine(self._engine, ProviderKind.SIMULATED, None)
            providers = [
                DeferredChecks(SimulatedKubernetes(world=self._world)),
                DeferredChecks(self._aws),
                *other_providers(self._world.journal, self._engine.path),
            ]
            session = Session(self._stack, engine, self._place, self._serve(providers), self._listener, rehearsed=True)
            return self._run(session, earlier)

    def _serve(self, providers: Sequence[SimulatedProvider]) -> dict[str, str]:
        """Serve providers until the end, too; what the engine needs in its environment to find all of them."""
        self._served.append(self._servers.enter_context(serve(providers)).debug_providers)
        return {_DEBUG_PROVIDERS: ",".join(self._served)}

    def _run(self, session: Session, earlier: Stack | None) -> Report:
        before = None
        if earlier is not None:
            write_stack(self._stack, self._place, earlier.settings)
            before = self._up(session, "earlier", f"bringing up what {earlier.path} says")
        copied = write_stack(self._stack, self._place, self._stack.settings)
        first = self._up(session, "up", "changing it to the stack's own" if earlier else "bringing it up")
        findings, there = session.findings, recorded(self._place.state)
        with self._phase("pods", "looking at its pods"):
            pending = self._pending()
            overviews = _overviews()
        second = None
        if first.result is Result.SUCCEEDED:
            second = self._up(session, "secondUp", "a second up, which should change nothing")
        leftovers = self._down(session, there)
        return Report(
            stack=self._stack.name,
            engine=self._engine,
            created=tuple(Created(type=one.type, name=one.name) for one in there if one.ready and not one.external),
            refused=_refused(first),
            pending=tuple(pending),
            second_up=second and SecondUp(steps=_steps(second), errors=_refused(second)),
            change=Change(file=str(earlier.path), errors=_refused(before), steps=_steps(first))
            if earlier and before
            else None,
            leftovers=leftovers,
            findings=findings,
            overviews=overviews,
            protected=tuple(str(one) for one in there if one.protected),
            simulated_secrets=copied.simulated,
            left_out=copied.left_out,
            phases=tuple(self._phases),
            journal=self._world.journal,
        )

    def _up(self, session: Session, phase: str, words: str) -> Ending:
        with self._phase(phase, words):
            ending = _ended(session.run(Verb.UP))
            while missing := missing_plugins(ending.errors) - self._stood_in:
                # Which packages a program uses is known when it asks for them; one that is missing ends the run.
                self._stood_in |= missing
                session.attach(self._serve([stand_in(name, self._world.journal) for name in sorted(missing)]))
                ending = _ended(session.run(Verb.UP))
            return ending

    def _pending(self) -> Sequence[PendingPod]:
        """The pods that don't run, once that has stayed the same for a while."""
        end = time.monotonic() + _SETTLING_SECONDS
        pending, since = self._world.pending(), time.monotonic()
        while pending and time.monotonic() < min(end, since + _STEADY_SECONDS):
            time.sleep(_POLL_SECONDS)
            now = self._world.pending()
            if now != pending:
                pending, since = now, time.monotonic()
        return pending

    def _down(self, session: Session, there: Sequence[Recorded]) -> tuple[Leftover, ...]:
        """Destroy it all, protection lifted; what stays."""
        with self._phase("destroy", "taking it down"), self._listener.muted():
            if any(one.protected for one in there):
                session.unprotect()
            self._aws.lift_deletion_protection()
            ending = _ended(session.run(Verb.DESTROY))
            self._world.note_leftovers()
        kept = [
            Leftover(kind="other", name=str(one), reason="the program says `retain_on_delete`")
            for one in there
            if one.retained
        ]
        failed = [
            Leftover(kind="other", name=error.resource or "the stack", reason=error.message)
            for error in _refused(ending)
        ]
        return tuple(dict.fromkeys([*self._world.journal.leftovers, *kept, *failed]))

    @contextmanager
    def _phase(self, name: str, words: str) -> Generator[None]:
        self._listener.said("info", words)
        begin = time.monotonic()
        yield
        self._phases.append(Phase(name=name, seconds=time.monotonic() - begin))


class _Muteable:
    """A listener that can be spared the single resources."""

    def __init__(self, listener: Listener) -> None:
        self._listener, self._is_muted = listener, False

    @contextmanager
    def muted(self) -> Generator[None]:
        self._is_muted = True
        try:
            yield
        finally:
            self._is_muted = False

    def started(self, step: Step) -> None:
        if not self._is_muted:
            self._listener.started(step)

    def ended(self, step: Step, *, succeeded: bool) -> None:
        if not self._is_muted:
            self._listener.ended(step, succeeded=succeeded)

    def said(self, severity: str, message: str) -> None:
        self._listener.said(severity, message)


def _ended(ending: Ending) -> Ending:
    """What a run of the engine did, unless it ends the rehearsal: Ctrl-C, or bad input."""
    if ending.result is Result.INTERRUPTED:
        raise KeyboardInterrupt
    if ending.cause and ending.cause.exit_code != OperationError.exit_code:
        raise ending.cause
    return ending


def _refused(ending: Ending) -> tuple[ResourceError, ...]:
    """What failed. An error of the program comes with the lines of it that led there."""
    details = ending.cause.details if isinstance(ending.cause, OperationError) else ()
    return tuple(
        ResourceError(error.resource, "\n".join([error.message.strip(), *(() if error.resource else details)]))
        for error in ending.errors
    )


def _steps(ending: Ending) -> tuple[Step, ...]:
    return tuple(step for step in ending.steps if step.type != STACK_TYPE)


def _overviews() -> dict[str, Overview]:
    """What is on each cluster; one that doesn't answer is left out, since it is only for show."""
    found: dict[str, Overview] = {}
    for name in sandboxes():
        with suppress(GpuClustersError):
            found[name] = overview(Sandbox(name).kubeconfig())
    return found
