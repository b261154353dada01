"""One stack and one engine, through Pulumi's Automation API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pulumi import automation
from pulumi.automation._stack import StackInitMode  # pyright: ignore[reportPrivateUsage] - exported nowhere else

from gpu_clusters.errors import ConfigErrors, GpuClustersError
from gpu_clusters.findings import Finding
from gpu_clusters.rehearsal.engine.choice import Engine, ProviderKind
from gpu_clusters.rehearsal.engine.events import Changes, Listener, Recorder, ResourceError, Step
from gpu_clusters.rehearsal.engine.failures import complaints, meaningful
from gpu_clusters.rehearsal.engine.pending import settled
from gpu_clusters.rehearsal.engine.process import EngineCommand
from gpu_clusters.rehearsal.engine.program import Program
from gpu_clusters.rehearsal.engine.project import Stack
from gpu_clusters.rehearsal.engine.verbs import Result, Verb
from gpu_clusters.rehearsal.engine.workspace import Workspace

#: Operations at a time for a sandbox, whose API server is on this machine; elsewhere Pulumi's own default.
_SANDBOX_PARALLEL: Final = 32
#: For the engine's last events, which may come in after it has ended.
_EVENTS_SECONDS: Final = 5.0
_INTERRUPTED: Final = "interrupted: what runs is being finished and saved; press Ctrl-C again to stop at once"


@dataclass(frozen=True)
class Ending:
    """How a run of the engine ended; the attributes are those of an `Outcome`."""

    result: Result
    changes: Changes = field(default_factory=Changes)
    steps: tuple[Step, ...] = ()
    duration: float = 0.0
    outputs: Mapping[str, object] = field(default_factory=dict[str, object])
    errors: tuple[ResourceError, ...] = ()
    cause: GpuClustersError | None = None


class Session:
    """A stack, an engine and a workspace, ready for a verb, or for one after the other.

    Args:
        rehearsed: what fails keeps nothing else from being tried, and findings are kept rather than shown.
    """

    def __init__(
        self,
        stack: Stack,
        engine: Engine,
        place: Workspace,
        environment: Mapping[str, str],
        listener: Listener,
        *,
        rehearsed: bool = False,
    ) -> None:
        self._place, self._listener = place, listener
        self._settles = engine.provider is ProviderKind.SIMULATED and not rehearsed
        self._parallel = _SANDBOX_PARALLEL if stack.sandbox or rehearsed else None
        self._goes_on = True if rehearsed else None
        self._program = Program(stack.project, keeps_findings=rehearsed)
        self._command = EngineCommand(engine.program.path, engine.program.version, self._say_interrupted)
        files = _Files(
            work_dir=str(place.directory),
            program=self._program,
            env_vars={**place.environment, **environment},
            pulumi_command=self._command,
        )
        self._stack = _Stack(stack.short_name if place.state else stack.name, files, StackInitMode.SELECT)

    def run(self, verb: Verb, *, remove: bool = False) -> Ending:
        """Run `verb` to its end; what fails is in what is returned. `remove` the stack if nothing did."""
        start = time.monotonic()
        recorder = Recorder(self._listener)
        failed = False
        with self._program.surroundings():
            try:
                self._attempt(verb, recorder)
                if remove:
                    self._stack.workspace.remove_stack(self._stack.name, preserve_config=True)
            except automation.CommandError:
                failed = True
            last = self._command.last
            if recorder.began and last and last.code >= 0:
                recorder.done.wait(_EVENTS_SECONDS)
        errors = self._errors(recorder) if failed else ()
        interrupted = failed and self._command.interrupted
        return Ending(
            result=Result.INTERRUPTED if interrupted else Result.FAILED if failed else Result.SUCCEEDED,
            changes=recorder.changes,
            steps=tuple(recorder.steps),
            duration=time.monotonic() - start,
            outputs=recorder.outputs,
            errors=errors,
            cause=self._program.error if failed else None,
        )

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the program's components found in its last run."""
        return tuple(self._program.findings)

    def attach(self, environment: Mapping[str, str]) -> None:
        """Change the engine's environment for the verbs that follow."""
        workspace = self._stack.workspace
        workspace.env_vars = {**workspace.env_vars, **environment}

    def unprotect(self) -> None:
        """Lift the protection of all resources.

        Raises:
            CommandError: the engine can't.
        """
        arguments = ["state", "unprotect", "--all", "--yes", "--stack", self._stack.name]
        self._command.run(arguments, str(self._place.directory), self._stack.workspace.env_vars)

    def _attempt(self, verb: Verb, recorder: Recorder) -> None:
        if not self._place.exists():
            self._stack.workspace.create_stack(self._stack.name)
        refresh = verb is not Verb.PREVIEW and self._settles and self._settle()
        try:
            self._call(verb, recorder, refresh)
        except automation.StackNotFoundError:
            if verb is Verb.DESTROY:
                return
            if verb is not Verb.UP:
                raise
            self._stack.workspace.create_stack(self._stack.name)
            self._call(verb, recorder, refresh)

    def _call(self, verb: Verb, recorder: Recorder, refresh: bool) -> None:
        match verb:
            case Verb.UP:
                self._stack.up(
                    parallel=self._parallel,
                    color="never",
                    on_event=recorder,
                    refresh=refresh or None,
                    continue_on_error=self._goes_on,
                )
            case Verb.PREVIEW:
                self._stack.preview(parallel=self._parallel, color="never", on_event=recorder)
            case Verb.DESTROY:
                self._stack.destroy(
                    parallel=self._parallel,
                    color="never",
                    on_event=recorder,
                    refresh=refresh or None,
                    continue_on_error=self._goes_on,
                )
            case Verb.REFRESH:
                self._stack.refresh(parallel=self._parallel, color="never", on_event=recorder)

    def _settle(self) -> bool:
        """Settle what a killed engine had begun; whether there was anything, so that a refresh is due."""
        if not self._place.has_pending_operations():
            return False
        self._listener.said("info", "an earlier run was cut short: looking at what it had begun")
        state = self._stack.export_stack()
        self._stack.import_stack(automation.Deployment(state.version, settled(state.deployment or {})))
        return True

    def _errors(self, recorder: Recorder) -> tuple[ResourceError, ...]:
        if isinstance(self._program.error, ConfigErrors):
            return tuple(ResourceError(None, str(error)) for error in self._program.error.errors)
        of_resources = tuple(error for error in recorder.errors if error.resource)
        if self._program.error:
            # What the engine says of the program is only what the program has said itself.
            return (*of_resources, ResourceError(None, str(self._program.error)))
        last = self._command.last
        said = meaningful(recorder.errors)
        return said or (complaints(last.stdout, last.stderr) if last else ())

    def _say_interrupted(self) -> None:
        self._listener.said("warning", _INTERRUPTED)


class _Files(automation.LocalWorkspace):
    """The Automation API's workspace without the questions whose answers the events have brought already."""

    def select_stack(self, stack_name: str) -> None:
        """Nothing: every command names its stack."""

    def stack_outputs(self, stack_name: str) -> automation.OutputMap:  # noqa: ARG002 - the base class's signature
        return {}


class _Stack(automation.Stack):
    """The Automation API's stack without a look at the history after each operation, for the same reason."""

    def info(self, show_secrets: bool = True) -> automation.UpdateSummary:  # noqa: ARG002 - the base class's signature
        return automation.UpdateSummary(
            kind="", start_time=datetime.now(UTC), message="", environment={}, config={}, result=""
        )
