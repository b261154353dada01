"""`gpu-clusters destroy`."""

from __future__ import annotations

from typing import Annotated

import typer

from gpu_clusters.cli import stacks
from gpu_clusters.cli.output import JsonOption, errors_as_json, examples

EXAMPLES = examples("gpu-clusters destroy --stack sandbox --remove", "gpu-clusters destroy --stack eks --yes")


def destroy(
    stack: stacks.StackOption,
    project: stacks.ProjectOption = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the stack itself too; its file in the project stays.")
    ] = False,
    yes: stacks.YesOption = False,
    json_output: JsonOption = False,
) -> None:
    """Delete everything that a stack has made.

    Of a sandbox that doesn't exist any more nothing has to be deleted, so that
    this succeeds. With `--remove` of the last sandbox stack goes all that was
    kept for sandbox stacks.

    With --json, one object with

      stack
      engine {path, version, source}
      kubernetesProvider {kind "simulated" or "plugin", version}
      result "succeeded", "failed" or "interrupted"
      changes {create, update, replace, delete, same}
      durationSeconds
      errors [{resource, message}]

    If it fails before the engine runs, `errors` [{problem, remedy, ...}] alone.
    """
    from gpu_clusters.rehearsal.engine.verbs import Verb

    with errors_as_json(json_output):
        target = stacks.load(stack, project)
        engine = stacks.prepare(target, or_gone=True)
        if stacks.must_ask(target, Verb.DESTROY, yes=yes, json_output=json_output):
            stacks.ask(target, Verb.DESTROY)
    outcome = stacks.perform(Verb.DESTROY, target, engine, json_output=json_output, remove=remove)
    stacks.finish(outcome, stacks.document(outcome, engine) if json_output else None)
