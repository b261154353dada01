"""The `gpu-clusters` command: its verbs and how it ends."""

from __future__ import annotations

import os
import sys

import typer

from gpu_clusters.cli import destroy, doctor, preview, refresh, sandbox, up
from gpu_clusters.cli.output import messages, print_error
from gpu_clusters.errors import GpuClustersError

app = typer.Typer(
    name="gpu-clusters",
    help="GPU clusters for LLMs: bring stacks up, rehearse them in a sandbox, and see what would go wrong.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 as asked; 1 the answer is no, or something failed; 2 bad input or usage.",
)
app.command("doctor")(doctor.doctor)
app.command("up")(up.up)
app.command("preview")(preview.preview)
app.command("refresh")(refresh.refresh)
app.command("destroy")(destroy.destroy)
app.add_typer(sandbox.app, name="sandbox")


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    try:
        app()
    except GpuClustersError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        messages.print("interrupted; run the same command again to go on from here")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has left, e.g. `| head`: nothing is wrong, and nothing more is to be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
