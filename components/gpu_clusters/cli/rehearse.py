"""`gpu-clusters rehearse`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from gpu_clusters.cli import stacks
from gpu_clusters.cli.entry import INTERRUPTED_CODE
from gpu_clusters.cli.output import JsonOption, errors_as_json, examples, messages, print_json
from gpu_clusters.cli.progress import Progress

if TYPE_CHECKING:
    from gpu_clusters.rehearsal.engine.project import Stack
    from gpu_clusters.rehearsal.report import Report

EXAMPLES = examples(
    "gpu-clusters rehearse --stack sandbox",
    "gpu-clusters rehearse --stack eks --from Pulumi.eks.before.yaml --json",
)


def rehearse(
    stack: stacks.StackOption,
    program: Annotated[
        Path | None,
        typer.Option(
            "--program",
            "--project",
            "-C",
            help="The project's folder. Default: the nearest with a Pulumi.yaml, upwards.",
        ),
    ] = None,
    earlier: Annotated[
        Path | None,
        typer.Option("--from", help="An earlier configuration of the stack, to rehearse the change from it."),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Bring a stack up where nothing is real, and say how that goes.

    Any Python program is brought up by the real engine, in fresh sandboxes and
    with every provider simulated, whatever plugins are installed. No credentials
    are needed and none are used. Then a second up, which should change nothing,
    and a destroy. What comes up, what stays Pending and why, what is refused,
    and what a destroy leaves behind is in the report.

    Ends with 0 only if all came up, nothing is Pending and the second up changes
    nothing.

    With --json, one object with

      stack, result "passed" or "failed", engine {path, version, source}
      created [{type, name}]
      pending [{cluster, namespace, pod, reason}]
      refused [{resource, message}]
      unchecked [{resource, reason}]
      scaled [{cluster, pool, before, after, reason}]
      rollouts [{cluster, pool, nodes, maximum, peak, lowest, blocked}]
      secondUp {changes, resources, errors}, null if anything was refused
      change {from, errors, resources}, null without --from
      leftovers [{kind, name, reason}]
      findings, simulatedAnswers, simulatedSecrets, leftOut, protected
      clusters [{name, overview}], phases [{name, seconds}], durationSeconds

    If it can't be rehearsed, `errors` [{problem, remedy, ...}] alone.
    """
    try:
        with errors_as_json(json_output):
            report = _report(stack, program, earlier)
    except KeyboardInterrupt:
        messages.print("interrupted: all that was started for the rehearsal is gone")
        _leave(INTERRUPTED_CODE)
    if json_output:
        print_json(report.to_json())
    else:
        from gpu_clusters.cli.rehearsed import print_report

        print_report(report)
    _leave(0 if report.passed else 1)


def _report(name: str, program: Path | None, earlier: Path | None) -> Report:
    from gpu_clusters.rehearsal.rehearse import engine_for_rehearsals
    from gpu_clusters.rehearsal.rehearse import rehearse as rehearsed

    stack = stacks.load(name, program)
    before = _earlier(stack, earlier)
    engine = engine_for_rehearsals()
    messages.print(f"engine: pulumi {engine.version} ({engine.path}); every provider is simulated", markup=False)
    progress = Progress("rehearse", preview=False)
    with progress.shown():
        return rehearsed(stack, engine, progress, earlier=before)


def _earlier(stack: Stack, file: Path | None) -> Stack | None:
    """The stack as `file` has it, checked as far as that goes without running the program."""
    if file is None:
        return None
    from gpu_clusters.rehearsal.engine.project import CLUSTER_KEY

    before = stack.configured_by(file.absolute())
    if CLUSTER_KEY in before.config:
        from gpu_clusters.config import load_stack

        load_stack(before.path)
    return before


def _leave(code: int) -> NoReturn:
    # A program that the engine has given up may be in the midst of anything, in a thread that an orderly end would
    # wait for.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
