"""`gpu-clusters up`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu_clusters.cli import stacks
from gpu_clusters.cli.output import JsonOption, errors_as_json, examples, messages

if TYPE_CHECKING:
    from gpu_clusters.rehearsal.engine.choice import Engine
    from gpu_clusters.rehearsal.engine.project import Stack

EXAMPLES = examples("gpu-clusters up --stack sandbox", "gpu-clusters up --stack eks --yes --json")


def up(
    stack: stacks.StackOption,
    project: stacks.ProjectOption = None,
    yes: stacks.YesOption = False,
    json_output: JsonOption = False,
) -> None:
    """Bring a stack up, or to what its program says now.

    A sandbox stack needs nothing but its sandbox (`gpu-clusters sandbox start`).
    Its state is kept on this machine, and without Pulumi's Kubernetes plugin a
    simulated provider is used. Any other stack is brought up as `pulumi up` does.

    With --json, one object with

      stack
      engine {path, version, source}
      kubernetesProvider {kind "simulated" or "plugin", version}
      result "succeeded", "failed" or "interrupted"
      changes {create, update, replace, delete, same}
      durationSeconds
      errors [{resource, message}]
      outputs {name: value}, secrets hidden
      overview {nodes, tenants, services}, null unless a sandbox stack is up

    If it fails before the engine runs, `errors` [{problem, remedy, ...}] alone.
    """
    from gpu_clusters.rehearsal.engine.verbs import Result, Verb

    with errors_as_json(json_output):
        target = stacks.load(stack, project)
        engine = stacks.prepare(target)
        if stacks.must_ask(target, Verb.UP, yes=yes, json_output=json_output):
            _show_plan(target, engine)
            stacks.ask(target, Verb.UP)
    outcome = stacks.perform(Verb.UP, target, engine, json_output=json_output)
    seen = stacks.overview_of(target) if target.sandbox and outcome.result is Result.SUCCEEDED else None
    if json_output:
        shown = {"outputs": dict(outcome.outputs), "overview": seen.to_json() if seen else None}
        stacks.finish(outcome, stacks.document(outcome, engine) | shown)
        return
    stacks.finish(outcome, None)
    if seen:
        from gpu_clusters.cli.tables import print_overview

        print_overview(seen)
        _say_how_on(target)


def _show_plan(stack: Stack, engine: Engine) -> None:
    from gpu_clusters.rehearsal.engine.verbs import Verb

    plan = stacks.perform(Verb.PREVIEW, stack, engine, json_output=False)
    stacks.finish(plan, None)
    stacks.print_steps(plan)


def _say_how_on(stack: Stack) -> None:
    from gpu_clusters.controlplane import Sandbox
    from gpu_clusters.toolchain import Located, Program, locate

    found = locate(Program.KUBECTL)
    kubectl = found.path if isinstance(found, Located) and found.source != "PATH" else "kubectl"
    sandbox = stack.sandbox or ""
    name = "" if sandbox == "default" else f" --name {sandbox}"
    messages.print(
        f"look further:  {kubectl} --kubeconfig {Sandbox(sandbox).kubeconfig_path} get pods -A", markup=False
    )
    messages.print(f"take it down:  gpu-clusters destroy --stack {stack.name} --remove", markup=False)
    messages.print(f"               gpu-clusters sandbox stop{name} --delete-data", markup=False)
