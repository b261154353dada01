"""`gpu-clusters refresh`."""

from __future__ import annotations

from gpu_clusters.cli import stacks
from gpu_clusters.cli.output import JsonOption, errors_as_json, examples

EXAMPLES = examples("gpu-clusters refresh --stack sandbox")


def refresh(
    stack: stacks.StackOption,
    project: stacks.ProjectOption = None,
    json_output: JsonOption = False,
) -> None:
    """Bring a stack's state to what is really there; what is there is left alone.

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
    outcome = stacks.perform(Verb.REFRESH, target, engine, json_output=json_output)
    shown = stacks.document(outcome, engine) | {"steps": stacks.steps_document(outcome)}
    stacks.finish(outcome, shown if json_output else None)
