"""What every verb shares: answers on standard output, everything else on standard error."""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from gpu_clusters.errors import ConfigErrors, GpuClustersError, OperationError, UsageError

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else there.")
]

#: Set to anything, errors are shown with the place in the code that they come from.
TRACEBACK_VARIABLE: Final = "GPU_CLUSTERS_TRACEBACK"
# Of these, the machine is to blame even if no file is named.
_MACHINE_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE})

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


def examples(*commands: str) -> str:
    """The end of a verb's help: command lines to start from, each short enough for 80 columns."""
    title = "Examples:" if len(commands) > 1 else "Example:"
    return "\n".join((title, *(f"$ [bold]{escape(command)}[/]" for command in commands)))


def end(error: Exception) -> int:
    """Print an error that ends the command, whichever it is; its exit code."""
    error = _explained(error)
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    if isinstance(error, GpuClustersError):
        print_error(error)
        return error.exit_code
    what = " ".join(f"{type(error).__name__}: {error}".split())
    messages.print("[bold red]error:[/] ", end="")
    messages.print(
        f"this is a fault in gpu-clusters: {what}; set {TRACEBACK_VARIABLE}=1 to see where, and report it", markup=False
    )
    return 1


@contextmanager
def errors_as_json(json_output: bool) -> Generator[None, None, None]:
    """With `--json`, an error that ends the block becomes the document: `{"errors": [...]}`, one object for each.

    Each has `problem` and `remedy`; one of the configuration also `path`, `id`, `file` and `line`; one of an operation
    also `details`, a list of lines. The error goes on to the end of the command, which prints it for people, too.
    """
    try:
        yield
    except (GpuClustersError, OSError, ModuleNotFoundError) as error:
        explained = _explained(error)
        if json_output and isinstance(explained, GpuClustersError):
            print_json({"errors": _error_objects(explained)})
        raise


def _explained(error: Exception) -> Exception:
    """A full disk, a part of the distribution that isn't installed and the like, with a remedy; else as it is."""
    from gpu_clusters.toolchain.diagnosis import SANDBOX_PACKAGES

    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in SANDBOX_PACKAGES:
        return OperationError(
            f"the package {error.name} isn't installed, which the sandbox needs", 'pip install "gpu-clusters[sandbox]"'
        )
    if not isinstance(error, OSError) or not (error.filename or error.errno in _MACHINE_ERRORS):
        return error
    where = f"{error.filename}: " if error.filename else ""
    explained = OperationError(
        f"{where}{error.strerror or error}", "see that there is space, and that you may read and write there"
    )
    explained.__cause__ = error
    return explained


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
