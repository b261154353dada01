"""Where the `gpu-clusters` command begins: a Ctrl-C has a plain end from the first moment, while imports run, too."""

from __future__ import annotations

import sys
from typing import Final

INTERRUPTED: Final = "interrupted: run the same command again to go on from here"
#: The exit code of shells for a command that Ctrl-C has ended.
INTERRUPTED_CODE: Final = 130


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    try:
        from gpu_clusters.cli import app

        app.main()
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED}\n")
        sys.exit(INTERRUPTED_CODE)
