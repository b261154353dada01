"""The `gpu-clusters` command: its verbs and how it ends."""

from __future__ import annotations

import os
import sys

import typer

from gpu_clusters.cli import destroy, doctor, preview, refresh, rehearse, sandbox, up
from gpu_clusters.cli.entry import INTERRUPTED, INTERRUPTED_CODE
from gpu_clusters.cli.output import end, examples, messages

app = typer.Typer(
    name="gpu-clusters",
    help="GPU clusters for LLMs: bring stacks up, rehearse them in a sandbox, and see what would go wrong.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=examples(
        "gpu-clusters sandbox start",
        "gpu-clusters up --stack sandbox",
        "gpu-clusters rehearse --stack sandbox",
        "gpu-clusters destroy --stack sandbox --remove",
        "gpu-clusters sandbox stop --delete-data",
    )
    + """

Exit codes:
  0    as asked
  1    the answer is no, or something failed
  2    bad input or usage
  130  interrupted""",
)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.command("up", epilog=up.EXAMPLES)(up.up)
app.command("preview", epilog=preview.EXAMPLES)(preview.preview)
app.command("rehearse", epilog=rehearse.EXAMPLES)(rehearse.rehearse)
app.command("refresh", epilog=refresh.EXAMPLES)(refresh.refresh)
app.command("destroy", epilog=destroy.EXAMPLES)(destroy.destroy)
app.add_typer(sandbox.app, name="sandbox")


def main() -> None:
    """Run the command line to its end, whichever that is."""
    try:
        app()
    except SystemExit as ending:
        # Typer has swallowed the interruption, and ends with this code without a word.
        if ending.code == INTERRUPTED_CODE:
            messages.print(INTERRUPTED)
        if isinstance(ending.__context__, BrokenPipeError):
            # The reader of our output has left, e.g. `| head`: nothing is wrong, and nothing more is to be said.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(0)
        raise
    except Exception as error:
        sys.exit(end(error))
