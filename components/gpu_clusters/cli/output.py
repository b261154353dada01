"""What every verb shares: answers on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from gpu_clusters.errors import ConfigErrors, GpuClustersError, OperationError, UsageError

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else there.")
]

#: For answers. Colour only on a terminal (rich sees to it, and honours NO_COLOR).
answers = Console(highlight=False, soft_wrap=True)
#: For progress and messages.
messages = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(document: Mapping[str, object]) -> None:
    """Print the one JSON document of a `--json` run: camelCase keys, indented, in the order given."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def print_error(error: GpuClustersError) -> None:
    """Print an error as its users read it: what, where, what to do. No traceback."""
    if isinstance(error, ConfigErrors):
        count = len(error.errors)
        messages.print(f"[bold red]error:[/] {count} problem{'s' if count > 1 else ''} in the configuration")
        for item in error.errors:
            messages.print(f"  {item}", markup=False)
        return
    messages.print("[bold red]error:[/] ", end="")
    messages.print(str(error), markup=False)
    if isinstance(error, OperationError):
        for line in error.details:
            messages.print(f"  {line}", markup=False, style="dim")


@contextmanager
def errors_as_json(json_output: bool) -> Generator[None, None, None]:
    """With `--json`, an error that ends the block becomes the document: `{"errors": [...]}`, one object for each.

    Each has `problem` and `remedy`; one of the configuration also `path`, `id`, `file` and `line`; one of an operation
    also `details`, a list of lines. The error goes on to the end of the command, which prints it for people, too.
    """
    try:
        yield
    except GpuClustersError as error:
        if json_output:
            print_json({"errors": _error_objects(error)})
        raise


def _error_objects(error: GpuClustersError) -> list[dict[str, object]]:
    if isinstance(error, ConfigErrors):
        return [
            {
                "path": item.path,
                "problem": item.problem,
                "remedy": item.remedy,
                "id": item.id,
                "file": item.file,
                "line": item.line,
            }
            for item in error.errors
        ]
    if isinstance(error, OperationError):
        return [{"problem": error.problem, "remedy": error.remedy, "details": list(error.details)}]
    if isinstance(error, UsageError):
        return [{"problem": error.problem, "remedy": error.remedy}]
    return [{"problem": str(error), "remedy": None}]
