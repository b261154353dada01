"""`gpu-clusters preview`."""

from __future__ import annotations

from typing import Annotated

import typer

from gpu_clusters.cli import stacks
from gpu_clusters.cli.output import JsonOption, errors_as_json, examples, messages

EXAMPLES = examples("gpu-clusters preview --stack sandbox", "gpu-clusters preview --stack sandbox --expect-no-changes")


def preview(
    stack: stacks.StackOption,
    project: stacks.ProjectOption = None,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help="Exit with 1 if anything would change.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Show what `up` would change, and change nothing.

    With --json, one object with

      stack
      engine {path, version, source}
      kubernetesProvider {kind "simulated" or "plugin", version}
      result "succeeded", "failed" or "interrupted"
      changes {create, update, replace, delete, same}
      durationSeconds
      errors [{resource, message}]
      steps [{op, type, name, urn, replaceReasons,
              diff {property path: "add", "update", "delete", ...}}]

    If it fails before the engine runs, `errors` [{problem, remedy, ...}] alone.
    """
    from gpu_clusters.rehearsal.engine.verbs import Verb

    with errors_as_json(json_output):
        target = stacks.load(stack, project)
        engine = stacks.prepare(target)
    outcome = stacks.perform(Verb.PREVIEW, target, engine, json_output=json_output)
    shown = stacks.document(outcome, engine) | {"steps": stacks.steps_document(outcome)}
    if not json_output:
        stacks.print_steps(outcome)
    stacks.finish(outcome, shown if json_output else None)
    if expect_no_changes and outcome.changes.any:
        messages.print("there are changes, and none were expected")
        raise typer.Exit(1)
