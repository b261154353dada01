"""What `up`, `preview`, `refresh` and `destroy` share."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_clusters.cli.entry import INTERRUPTED, INTERRUPTED_CODE
from gpu_clusters.cli.output import answers, errors_as_json, messages, print_json
from gpu_clusters.cli.progress import Progress, counted, word
from gpu_clusters.errors import GpuClustersError, OperationError, UsageError

if TYPE_CHECKING:
    from gpu_clusters.controlplane.overview import Overview
    from gpu_clusters.rehearsal.engine.choice import Engine
    from gpu_clusters.rehearsal.engine.operations import Outcome
    from gpu_clusters.rehearsal.engine.project import Stack
    from gpu_clusters.rehearsal.engine.verbs import Verb


StackOption = Annotated[
    str, typer.Option("--stack", "-s", envvar="PULUMI_STACK", help="The stack, by the name of its file.")
]
ProjectOption = Annotated[
    Path | None,
    typer.Option("--project", "-C", help="The project's folder. Default: the nearest with a Pulumi.yaml, upwards."),
]
YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Don't ask. Needed for any stack but a sandbox's where nobody can answer.")
]


def load(name: str, project: Path | None) -> Stack:
    """The stack called `name`, its configuration checked as far as that goes without running the program."""
    from gpu_clusters.rehearsal.engine.project import CLUSTER_KEY, find_project

    stack = find_project(project).stack(name)
    if CLUSTER_KEY in stack.config:
        from gpu_clusters.config import load_stack

        load_stack(stack.path)
    return stack


def prepare(stack: Stack, *, or_gone: bool = False) -> Engine:
    """The engine for `stack`, once its sandbox is seen to run; says which engine it is."""
    from gpu_clusters.rehearsal.engine.choice import ProviderKind, engine_for, require_sandbox

    require_sandbox(stack, or_gone=or_gone)
    engine = engine_for(stack)
    whose = "built by gpu-clusters" if engine.program.source in {"cache", "built"} else "installed"
    messages.print(f"engine: pulumi {engine.program.version}, {whose} ({engine.program.path})", markup=False)
    if stack.sandbox and engine.provider is ProviderKind.SIMULATED:
        messages.print("Kubernetes provider: simulated, by gpu-clusters")
    elif stack.sandbox:
        version = f" v{engine.provider_version}" if engine.provider_version else " on PATH"
        messages.print(f"Kubernetes provider: the real plugin{version}")
    return engine


def must_ask(stack: Stack, verb: Verb, *, yes: bool, json_output: bool) -> bool:
    """Whether a person has to agree first: to a change of anything that isn't a sandbox, without `--yes`.

    Raises:
        UsageError: they have to, and there is nobody to ask.
    """
    if yes or stack.sandbox:
        return False
    if json_output or not sys.stdin.isatty():
        raise UsageError(f"{verb} of stack {stack.name!r} changes real things, and nobody can be asked", "add --yes")
    return True


def ask(stack: Stack, verb: Verb) -> None:
    """Have a person agree.

    Raises:
        typer.Exit: they don't.
    """
    try:
        agreed = typer.confirm(f"{verb} stack {stack.name!r}?", err=True)
    except typer.Abort:
        messages.print()
        agreed = False
    if not agreed:
        messages.print("nothing was changed")
        raise typer.Exit(1)


def perform(verb: Verb, stack: Stack, engine: Engine, *, json_output: bool, remove: bool = False) -> Outcome:
    """Run the engine and show what it does. What failed is in the outcome, for `finish`.

    Raises:
        ConfigErrors, UsageError: the program found its configuration or its surroundings unusable.
    """
    from gpu_clusters.rehearsal.engine.operations import run
    from gpu_clusters.rehearsal.engine.verbs import Result
    from gpu_clusters.rehearsal.engine.verbs import Verb as Verbs

    preview = verb is Verbs.PREVIEW
    progress = Progress(verb, preview=preview)
    with errors_as_json(json_output), progress.shown():
        outcome = run(verb, stack, engine, progress, remove=remove)
        if outcome.cause and outcome.cause.exit_code != OperationError.exit_code:
            # Bad input ends a command in one way, whether it is found before the engine runs or by the program.
            raise outcome.cause
    if outcome.result is Result.SUCCEEDED:
        messages.print(counted(outcome.changes, preview=preview, seconds=outcome.duration))
    return outcome


def document(outcome: Outcome, engine: Engine) -> dict[str, object]:
    """What the JSON documents of the four verbs have in common."""
    changes = outcome.changes
    return {
        "stack": outcome.stack,
        "engine": {
            "path": str(engine.program.path),
            "version": engine.program.version,
            "source": engine.program.source,
        },
        "kubernetesProvider": {"kind": engine.provider, "version": engine.provider_version},
        "result": outcome.result,
        "changes": {
            "create": changes.create,
            "update": changes.update,
            "replace": changes.replace,
            "delete": changes.delete,
            "same": changes.same,
        },
        "durationSeconds": round(outcome.duration, 3),
        "errors": [{"resource": error.resource, "message": error.message} for error in outcome.errors],
    }


def steps_document(outcome: Outcome) -> list[dict[str, object]]:
    """The resources that changed or would change, for a JSON document."""
    return [
        {
            "op": step.op,
            "type": step.type,
            "name": step.name,
            "urn": step.urn,
            "replaceReasons": list(step.replace_reasons),
            "diff": dict(step.diff or {}),
        }
        for step in outcome.steps
    ]


def print_steps(outcome: Outcome) -> None:
    """The resources that would change, one a line, with the properties that do."""
    for step in outcome.steps:
        answers.print(f"{word(step.op, 0)} {step.op:<8} {step}", markup=False)
        for path, change in (step.diff or {}).items():
            reason = "  (forces a replacement)" if path in step.replace_reasons or "replace" in change else ""
            answers.print(f"    {change.removesuffix('-replace'):<8} {path}{reason}", markup=False)


def finish(outcome: Outcome, json_document: dict[str, object] | None) -> None:
    """Print the document of `--json`, if there is one, and end as the outcome says.

    If it was interrupted, this is the end of the process.

    Raises:
        GpuClustersError: it failed.
    """
    from gpu_clusters.rehearsal.engine.verbs import Result

    if json_document is not None:
        print_json(json_document)
    if outcome.result is Result.INTERRUPTED:
        messages.print(INTERRUPTED)
        # The program may be in the midst of anything, in a thread that an orderly end would wait for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED_CODE)
    if outcome.error:
        raise outcome.error


def overview_of(stack: Stack) -> Overview | None:
    """What the stack's sandbox looks like; None, and it is said why, if that can't be told."""
    from gpu_clusters.controlplane import Sandbox
    from gpu_clusters.controlplane.overview import overview

    try:
        return overview(Sandbox(stack.sandbox or "").kubeconfig())
    except GpuClustersError as error:
        messages.print(f"no overview: {error}", markup=False)
        return None
