"""`gpu-clusters doctor`: what this machine has of what is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_clusters.cli.output import JsonOption, answers, errors_as_json, examples, print_json

if TYPE_CHECKING:
    from gpu_clusters.toolchain.diagnosis import Diagnosis

EXAMPLES = examples("gpu-clusters doctor", "gpu-clusters doctor --build")
_STYLES = {"found": "green", "missing": "yellow", "wrong": "red", "optional": "dim"}


def doctor(
    json: JsonOption = False,
    build: Annotated[
        bool, typer.Option("--build", help="First build the programs that are missing, from pinned Go modules.")
    ] = False,
) -> None:
    """List what the engine and the sandbox need: where it is, its version, the remedy.

    Exit code 1 if the sandbox can't run now.

    With --json, one object with

      ready
      engine "user", "built" or "missing"
      programs, packages, each a list, and go, kubernetesPlugin of
        {name, status "found", "missing" or "wrong", needed, version, path,
         source, notes, remedy}
    """
    from gpu_clusters.toolchain.diagnosis import diagnose

    with errors_as_json(json):
        if build:
            from gpu_clusters.toolchain import BASE, ensure

            ensure(BASE)
        diagnosis = diagnose()
    if json:
        print_json(diagnosis.as_json())
    else:
        _print(diagnosis)
    if not diagnosis.ready:
        raise typer.Exit(1)


def _print(diagnosis: Diagnosis) -> None:
    parts = (*diagnosis.programs, *diagnosis.packages, diagnosis.go, diagnosis.kubernetes_plugin)
    wide = max(len(part.name) for part in parts)
    # rich's tables cut what is wider than the terminal, and a path that is cut is of no use.
    for part in parts:
        status = "optional" if part.status == "missing" and not part.needed else part.status.value
        where = f"{part.path or ''}{f' ({part.source})' if part.source else ''}"
        answers.print(f"{part.name:{wide}}  [{_STYLES[status]}]{status:8}[/]  {part.version or '':8}  ", end="")
        answers.print(where, markup=False)
    _print_grouped("Notes", [(note, part.name) for part in parts for note in part.notes])
    _print_grouped("Remedies", [(part.remedy, part.name) for part in parts if part.remedy is not None])
    engine = {"user": "the one that you have installed", "built": "built from pinned modules", "missing": "missing"}
    answers.print(f"\nPulumi engine: {engine[diagnosis.engine]}")
    answers.print(f"The sandbox {'can run' if diagnosis.ready else '[bold red]cannot run[/] yet'}.")


def _print_grouped(title: str, remarks: Sequence[tuple[str, str]]) -> None:
    """Say each thing once, with all that it is true of: on a fresh machine seven programs share a remedy."""
    names: dict[str, list[str]] = {}
    for text, name in remarks:
        names.setdefault(text, []).append(name)
    if names:
        answers.print(f"\n{title}")
    for text, owners in names.items():
        answers.print(f"  {', '.join(owners)}: {text}", markup=False)
